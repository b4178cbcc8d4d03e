/** The tokens of agents are the peer's: RS512, an access token of 5 minutes and a refresh token of 24 hours, audience by use. */
import * as jose from "jose";
import type { Mode } from "../../domain/resources/agents.ts";
import { isDnsLabel } from "../../domain/resources/keys.ts";
import { isRecord } from "../../domain/resources/object.ts";

const ISSUER = "argocd-agent-server";
const ACCESS = { audience: `${ISSUER}-access`, lifeS: 300 };
const REFRESH = { audience: `${ISSUER}-refresh`, lifeS: 86_400 };
const RESOURCE_PROXY = { audience: `${ISSUER}-resource-proxy` };

/** Who a token is about. */
export interface Subject {
  clientID: string;
  mode: Mode;
}

/** Issues and checks the tokens of agents. */
export class Tokens {
  constructor(private readonly privateKey: jose.CryptoKey, private readonly publicKey: jose.CryptoKey) {}

  static async fromPem(pem: string): Promise<Tokens> {
    const privateKey = await jose.importPKCS8(pem, "RS512", { extractable: true });
    const { kty, n, e } = await jose.exportJWK(privateKey);
    const jwk = { kty, n, e } as jose.JWK;
    return new Tokens(privateKey, await jose.importJWK(jwk, "RS512") as jose.CryptoKey);
  }

  static async generate(): Promise<Tokens> {
    const { privateKey, publicKey } = await jose.generateKeyPair("RS512");
    return new Tokens(privateKey, publicKey);
  }

  access(subject: Subject): Promise<string> {
    return this.#issue(JSON.stringify(subject), ACCESS.audience, ACCESS.lifeS);
  }

  refresh(subject: Subject): Promise<string> {
    return this.#issue(JSON.stringify(subject), REFRESH.audience, REFRESH.lifeS);
  }

  /** A token without end, with which Argo CD reaches an agent's cluster through the resource proxy. */
  resourceProxy(agent: string): Promise<string> {
    return this.#issue(agent, RESOURCE_PROXY.audience);
  }

  /** The subject of a valid access token. @throws any error */
  async verifyAccess(token: string): Promise<Subject> {
    return subjectOf(await this.#verify(token, ACCESS.audience));
  }

  /** The subject of a valid refresh token and its remaining life in seconds. @throws any error */
  async verifyRefresh(token: string, nowS: number): Promise<{ subject: Subject; leftS: number }> {
    const payload = await this.#verify(token, REFRESH.audience);
    return { subject: subjectOf(payload), leftS: (payload.exp ?? 0) - nowS };
  }

  /** The agent of a valid resource-proxy token. @throws any error */
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
  const value: unknown = JSON.parse(sub);
  if (!isRecord(value)) throw new Error("the token's subject is not an object");
  const { clientID, mode } = value;
  if (typeof clientID !== "string" || !isDnsLabel(clientID)) throw new Error("the token names no agent");
  if (mode !== "managed" && mode !== "autonomous") throw new Error("the token names no mode");
  return { clientID, mode };
}
