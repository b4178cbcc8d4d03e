/** `authapi.Authentication` and `versionapi.Version`: letting agents in. A refusal is held back for a second: agents retry at once. */
import grpc from "@grpc/grpc-js";
import { delay } from "@std/async/delay";
import type { authapi } from "../../../proto/gen.d.ts";
import type { Context } from "../../principal/core/context.ts";
import { registerCluster } from "../../principal/active/cluster_registration.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Authenticator } from "./methods.ts";
import { REFUSAL_DELAY_MS, unary } from "./server.ts";
import { Status } from "./status.ts";
import type { Tokens } from "./tokens.ts";

const RENEW_REFRESH_BELOW_S = 600;

const failed = () => new Status(grpc.status.UNAUTHENTICATED, "authentication failed");

/** Which releases of the agent are let in. */
export type VersionPolicy = "exact" | "minor" | "any";

/** Whether an agent of a release may connect to a principal of another. */
export function versionAccepted(agent: string, principal: string, policy: VersionPolicy): boolean {
  if (policy === "any") return true;
  if (policy === "exact") return agent === principal;
  const minor = (version: string) => /^v?(\d+\.\d+)(\.|$)/.exec(version)?.[1] ?? version;
  return minor(agent) === minor(principal);
}

export function authenticationHandlers(
  ctx: Context,
  authenticator: Authenticator,
  tokens: Tokens | undefined,
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
      const mode = modeOf(request);
      if (request.method !== authenticator.method) throw failed();
      const proof = await authenticator.authenticate(call, request.credentials ?? {});
      if ("problem" in proof) {
        ctx.log.warn("agent refused", { reason: proof.problem });
        throw failed();
      }
      checkVersion(ctx, request.version ?? "", proof.identity);
      const signer = usable();
      await register(ctx, proof.identity, signer);
      const subject = { clientID: proof.identity, mode };
      ctx.registry.authenticated(proof.identity, mode, (request.agentNamespace ?? "").slice(0, 63));
      return {
        accessToken: await signer.access(subject),
        refreshToken: await signer.refresh(subject),
        version: ctx.version,
        principalNamespace: ctx.settings.namespace,
      };
    }),
    RefreshToken: paced<authapi.RefreshTokenRequest, authapi.AuthResponse>(async (request, call) => {
      const signer = usable();
      const verified = await signer.verifyRefresh(request.refreshToken ?? "", Date.now() / 1000).catch(() => {
        throw failed();
      });
      if ("problem" in authenticator.stillHolds(call, verified.subject.clientID)) throw failed();
      const renew = verified.leftS < RENEW_REFRESH_BELOW_S;
      return {
        accessToken: await signer.access(verified.subject),
        refreshToken: renew ? await signer.refresh(verified.subject) : "",
      };
    }),
  };
}

function modeOf({ mode = "" }: authapi.AuthRequest): "managed" | "autonomous" {
  if (mode === "managed" || mode === "autonomous") return mode;
  throw new Status(grpc.status.UNKNOWN, `unknown or missing operation mode: '${mode.slice(0, 64)}'`);
}

function checkVersion({ settings, version, log }: Context, theirs: string, agent: string): void {
  if (theirs === "") throw new Status(grpc.status.INVALID_ARGUMENT, "agent version is required");
  const { agentVersionPolicy: policy } = settings;
  if (versionAccepted(theirs, version, policy)) return;
  log.warn("agent refused: its version", { agent, version: theirs.slice(0, 64), ours: version, policy });
  throw new Status(grpc.status.FAILED_PRECONDITION, "version mismatch");
}

async function register(ctx: Context, agent: string, signer: Tokens): Promise<void> {
  try {
    await registerCluster(ctx, agent, signer);
  } catch (error) {
    ctx.log.warn("agent refused: its cluster could not be registered", { agent, reason: reasonOf(error) });
    throw failed();
  }
}

export function versionHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  return { Version: unary(() => ({ version: `argocd-agent-${ctx.version}` })) };
}
