/** Agents' tokens, as in the Go principal: RS512, an access token of 5 minutes and a refresh token of 24 hours, audience by use. */
import * as jose from "jose";
import { parseJson } from "../../base/json.ts";
import { isDnsLabel } from "../../domain/resources/keys.ts";
import { isRecord } from "../../domain/resources/object.ts";
import type { Subject, Tokens } from "../../principal/ports/tokens.ts";

const ISSUER = "argocd-agent-server";
const ACCESS = { audience: `${ISSUER}-access`, lifeS: 300 };
const REFRESH = { audience: `${ISSUER}-refresh`, lifeS: 86_400 };
const RESOURCE_PROXY = { audience: `${ISSUER}-resource-proxy` };

/** Tokens under one RSA key. */
export class SignedTokens implements Tokens {
  constructor(private readonly privateKey: jose.CryptoKey, private readonly publicKey: jose.CryptoKey) {}

  /** @param pem an RSA key, PKCS#8. @throws Error when it is not readable */
  static async fromPem(pem: string): Promise<SignedTokens> {
    const privateKey = await jose.importPKCS8(pem, "RS512", { extractable: true });
    const { kty, n, e } = await jose.exportJWK(privateKey);
    const jwk = { kty, n, e } as jose.JWK;
    return new SignedTokens(privateKey, await jose.importJWK(jwk, "RS512") as jose.CryptoKey);
  }

  /** A key of this process, which no other principal knows. */
  static async generate(): Promise<SignedTokens> {
    const { privateKey, publicKey } = await jose.generateKeyPair("RS512");
    return new SignedTokens(privateKey, publicKey);
  }

  access(subject: Subject): Promise<string> {
    return this.#issue(JSON.stringify(subject), ACCESS.audience, ACCESS.lifeS);
  }

  refresh(subject: Subject): Promise<string> {
    return this.#issue(JSON.stringify(subject), REFRESH.audience, REFRESH.lifeS);
  }

  resourceProxy(agent: string): Promise<string> {
    return this.#issue(agent, RESOURCE_PROXY.audience);
  }

  async verifyAccess(token: string): Promise<Subject> {
    return subjectOf(await this.#verify(token, ACCESS.audience));
  }

  async verifyRefresh(token: string, nowS: number): Promise<{ subject: Subject; leftS: number }> {
    const payload = await this.#verify(token, REFRESH.audience);
    return { subject: subjectOf(payload), leftS: (payload.exp ?? 0) - nowS };
  }

  async verifyResourceProxy(token: string): Promise<string> {
    return (await this.#verify(token, RESOURCE_PROXY.audience)).sub ?? "";
  }

  async #verify(token: string, audience: string): Promise<jose.JWTPayload> {
    const options = { issuer: ISSUER, audience, algorithms: ["RS512"] };
    return (await jose.jwtVerify(token, this.publicKey, options)).payload;
  }

  #issue(subject: string, audience: string, lifeS?: number): Promise<string> {
    const token = new jose.SignJWT().setProtectedHeader({ alg: "RS512", typ: "JWT" })
      .setJti(crypto.randomUUID()).setIssuer(ISSUER).setSubject(subject).setAudience([audience]).setIssuedAt()
      .setNotBefore("0s");
    if (lifeS !== undefined) token.setExpirationTime(`${lifeS}s`);
    return token.sign(this.privateKey);
  }
}

function subjectOf({ sub = "" }: jose.JWTPayload): Subject {
  const value: unknown = parseJson(sub);
  if (!isRecord(value)) throw new Error("the token's subject is not an object");
  const { clientID, mode } = value;
  if (typeof clientID !== "string" || !isDnsLabel(clientID)) throw new Error("the token names no agent");
  if (mode !== "managed" && mode !== "autonomous") throw new Error("the token names no mode");
  return { clientID, mode };
}
