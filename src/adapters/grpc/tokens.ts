/** Agents' tokens, as in the Go principal: RS512, an access token of 5 minutes and a refresh token of 24 hours, audience by use. */
import * as jose from "jose";
import { parseJson } from "../../base/json.ts";
import { isDnsLabel } from "../../domain/resources/keys.ts";
import { isRecord } from "../../domain/resources/object.ts";
import type { Subject, Tokens } from "../../principal/ports/tokens.ts";

const ISSUER = "argocd-agent-server";
interface Use {
  audience: string;
  lifeS: number;
}

const ACCESS: Use = { audience: `${ISSUER}-access`, lifeS: 300 };
const REFRESH: Use = { audience: `${ISSUER}-refresh`, lifeS: 86_400 };
/** Ours: the tag of the password that a token was given for. */
const CREDENTIAL = "credential";
const RESOURCE_PROXY = { audience: `${ISSUER}-resource-proxy` };

/** Tokens of the key before are good for so long after a rotation: twice an access token's life, while agents prove once more who they are. */
export const OVERLAP_MS = 600_000;

/** The two halves of an RSA key. */
interface SigningKey {
  private: jose.CryptoKey;
  public: jose.CryptoKey;
}

/** Tokens under one RSA key at a time. */
export class SignedTokens implements Tokens {
  /** Keys of before, the latest first. */
  #earlier: { key: SigningKey; untilMs: number }[] = [];

  private constructor(private key: SigningKey, private readonly now: () => number) {}

  /** @param pem an RSA key, PKCS#8. @throws Error when it is not readable */
  static async fromPem(pem: string, now = Date.now): Promise<SignedTokens> {
    return new SignedTokens(await keyOf(pem), now);
  }

  /** A key of this process, which no other principal knows. */
  static async generate(): Promise<SignedTokens> {
    const { privateKey, publicKey } = await jose.generateKeyPair("RS512");
    return new SignedTokens({ private: privateKey, public: publicKey }, Date.now);
  }

  /** Signs with another key from now on. @throws Error when it is not readable; then nothing changes */
  async rotate(pem: string): Promise<void> {
    const key = await keyOf(pem);
    const untilMs = this.now() + OVERLAP_MS;
    this.#earlier = [{ key: this.key, untilMs }, ...this.#earlier.filter((old) => old.untilMs > this.now())];
    this.key = key;
  }

  access(subject: Subject): Promise<string> {
    return this.#issueTo(subject, ACCESS);
  }

  refresh(subject: Subject): Promise<string> {
    return this.#issueTo(subject, REFRESH);
  }

  resourceProxy(agent: string): Promise<string> {
    return this.#issue({}, agent, RESOURCE_PROXY.audience);
  }

  async verifyAccess(token: string): Promise<Subject> {
    return subjectOf(await this.#verify(token, ACCESS));
  }

  async verifyRefresh(token: string): Promise<{ subject: Subject; leftS: number }> {
    const payload = await this.#verify(token, REFRESH);
    return { subject: subjectOf(payload), leftS: (payload.exp ?? 0) - this.now() / 1_000 };
  }

  /** Not by an earlier key: the token of a cluster has no end, and is made anew with the present one. */
  async verifyResourceProxy(token: string): Promise<string> {
    const { payload } = await jose.jwtVerify(token, this.key.public, this.#expected(RESOURCE_PROXY.audience));
    return payload.sub ?? "";
  }

  /** An agent's token ends, and not later than one that is issued here. */
  async #verify(token: string, { audience, lifeS }: Use): Promise<jose.JWTPayload> {
    const options = { ...this.#expected(audience), requiredClaims: ["exp"], maxTokenAge: lifeS };
    const earlier = this.#earlier.filter(({ untilMs }) => untilMs > this.now());
    let problem: unknown;
    for (const key of [this.key, ...earlier.map(({ key }) => key)]) {
      try {
        return (await jose.jwtVerify(token, key.public, options)).payload;
      } catch (error) {
        if (!(error instanceof jose.errors.JWSSignatureVerificationFailed)) throw error;
        problem = error;
      }
    }
    throw problem;
  }

  #expected(audience: string): jose.JWTVerifyOptions {
    return { issuer: ISSUER, audience, algorithms: ["RS512"], currentDate: new Date(this.now()) };
  }

  #issueTo({ clientID, mode, credential }: Subject, { audience, lifeS }: Use): Promise<string> {
    const claims = credential === "" ? {} : { [CREDENTIAL]: credential };
    return this.#issue(claims, JSON.stringify({ clientID, mode }), audience, lifeS);
  }

  #issue(claims: jose.JWTPayload, subject: string, audience: string, lifeS?: number): Promise<string> {
    const nowS = Math.floor(this.now() / 1_000);
    const token = new jose.SignJWT(claims).setProtectedHeader({ alg: "RS512", typ: "JWT" })
      .setJti(crypto.randomUUID()).setIssuer(ISSUER).setSubject(subject).setAudience([audience])
      .setIssuedAt(nowS).setNotBefore(nowS);
    if (lifeS !== undefined) token.setExpirationTime(nowS + lifeS);
    return token.sign(this.key.private);
  }
}

async function keyOf(pem: string): Promise<SigningKey> {
  const privateKey = await jose.importPKCS8(pem, "RS512", { extractable: true });
  const { kty, n, e } = await jose.exportJWK(privateKey);
  const jwk = { kty, n, e } as jose.JWK;
  return { private: privateKey, public: await jose.importJWK(jwk, "RS512") as jose.CryptoKey };
}

function subjectOf({ sub = "", [CREDENTIAL]: credential = "" }: jose.JWTPayload): Subject {
  const value: unknown = parseJson(sub);
  if (!isRecord(value)) throw new Error("the token's subject is not an object");
  const { clientID, mode } = value;
  if (typeof clientID !== "string" || !isDnsLabel(clientID)) throw new Error("the token names no agent");
  if (mode !== "managed" && mode !== "autonomous") throw new Error("the token names no mode");
  return { clientID, mode, credential: String(credential) };
}
