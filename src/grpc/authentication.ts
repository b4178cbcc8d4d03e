/**
 * `authapi.Authentication` with method mtls, and `versionapi.Version`. Agents themselves are served in a later
 * release: `EventStream/Subscribe` answers UNAVAILABLE, on which an agent reconnects without harm.
 *
 * Tokens are the peer's: RS512, an access token of 5 minutes and a refresh token of 24 hours, audience by use.
 */
import grpc from "@grpc/grpc-js";
import { delay } from "@std/async/delay";
import * as jose from "jose";
import type { authapi } from "../../proto/gen.d.ts";
import { AgentRegistry } from "../runtime/agents.ts";
import type { Context } from "../runtime/context.ts";
import { identityOf, type ReplicationPolicy } from "./auth.ts";
import { REFUSAL_DELAY_MS, refuseStream, unary } from "./server.ts";
import { Status } from "./status.ts";

const ISSUER = "argocd-agent-server";
const ACCESS = { audience: `${ISSUER}-access`, lifeS: 300 };
const REFRESH = { audience: `${ISSUER}-refresh`, lifeS: 86_400 };
const RENEW_REFRESH_BELOW_S = 600;

const failed = () => new Status(grpc.status.UNAUTHENTICATED, "authentication failed");

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

  access(subject: string): Promise<string> {
    return this.#issue(subject, ACCESS);
  }

  refresh(subject: string): Promise<string> {
    return this.#issue(subject, REFRESH);
  }

  /** The subject of a valid refresh token and its remaining life in seconds. @throws any error */
  async verifyRefresh(token: string, nowS: number): Promise<{ subject: string; leftS: number }> {
    const options = { issuer: ISSUER, audience: REFRESH.audience, algorithms: ["RS512"] };
    const { payload } = await jose.jwtVerify(token, this.publicKey, options);
    return { subject: payload.sub ?? "", leftS: (payload.exp ?? 0) - nowS };
  }

  #issue(subject: string, { audience, lifeS }: typeof ACCESS): Promise<string> {
    return new jose.SignJWT().setProtectedHeader({ alg: "RS512", typ: "JWT" }).setJti(crypto.randomUUID())
      .setIssuer(ISSUER).setSubject(subject).setAudience([audience]).setIssuedAt().setNotBefore("0s")
      .setExpirationTime(`${lifeS}s`).sign(this.privateKey);
  }
}

export function authenticationHandlers(
  ctx: Context,
  policy: ReplicationPolicy,
  tokens: Tokens | undefined,
  agents: AgentRegistry = new AgentRegistry(ctx),
): grpc.UntypedServiceImplementation {
  const usable = (): Tokens => {
    if (tokens) return tokens;
    const text =
      "no signing key is configured on the principal: set --jwt-key, or --insecure-jwt-generate to try out";
    throw new Status(grpc.status.UNAVAILABLE, text);
  };
  const paced = <Q, S>(answer: (request: Q, call: grpc.ServerUnaryCall<Q, S>) => Promise<S>) =>
    unary<Q, S>((request, call) =>
      answer(request, call).catch(async (error) => {
        await delay(REFUSAL_DELAY_MS);
        throw error;
      })
    );
  return {
    Authenticate: paced<authapi.AuthRequest, authapi.AuthResponse>(async (request, call) => {
      const mode = request.mode ?? "";
      if (mode !== "managed" && mode !== "autonomous") {
        const text = `unknown or missing operation mode: '${mode.slice(0, 64)}'`;
        throw new Status(grpc.status.UNKNOWN, text);
      }
      if (request.method !== "mtls" || !policy.rule) throw failed();
      const found = identityOf(call, policy.rule, policy.blocked);
      if ("problem" in found) {
        ctx.log.warn("agent refused", { reason: found.problem });
        throw failed();
      }
      if (!request.version) throw new Status(grpc.status.INVALID_ARGUMENT, "agent version is required");
      const subject = JSON.stringify({ clientID: found.identity, mode });
      const signer = usable();
      agents.authenticated(found.identity, mode);
      return {
        accessToken: await signer.access(subject),
        refreshToken: await signer.refresh(subject),
        version: ctx.version,
        principalNamespace: ctx.settings.namespace,
      };
    }),
    RefreshToken: paced<authapi.RefreshTokenRequest, authapi.AuthResponse>(async (request) => {
      const signer = usable();
      const verified = await signer.verifyRefresh(request.refreshToken ?? "", Date.now() / 1000).catch(() => {
        throw failed();
      });
      const renew = verified.leftS < RENEW_REFRESH_BELOW_S;
      return {
        accessToken: await signer.access(verified.subject),
        refreshToken: renew ? await signer.refresh(verified.subject) : "",
      };
    }),
  };
}

export function versionHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  return { Version: unary(() => ({ version: `argocd-agent-${ctx.version}` })) };
}

/** Answers on which agents neither wedge nor spin, until they are served. */
export function eventStreamHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  const refusal = () => {
    const { state } = ctx.model();
    const text = state === "active"
      ? "this release of the principal does not serve agents yet"
      : `not accepting connections in state ${state}`;
    ctx.counters.connectionsRejected[state] = (ctx.counters.connectionsRejected[state] ?? 0) + 1;
    return new Status(grpc.status.UNAVAILABLE, text);
  };
  const refuse = async () => {
    await delay(REFUSAL_DELAY_MS);
    throw refusal();
  };
  return {
    Subscribe: (call: grpc.ServerDuplexStream<unknown, unknown>) => {
      refuseStream(call, refusal());
    },
    Push: unary(refuse),
    Ping: unary(refuse),
  };
}
