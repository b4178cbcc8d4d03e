/**
 * `authapi.Authentication` and `versionapi.Version`: the door at which agents get their tokens. A refusal is held back for a second:
 * agents retry at once.
 */
import type grpc from "@grpc/grpc-js";
import { delay } from "@std/async/delay";
import type { authapi } from "../../../proto/gen.d.ts";
import { VERSION } from "../../base/version.ts";
import { type Admission, NotAdmitted } from "../../principal/ports/agents.ts";
import type { Authenticator } from "./methods.ts";
import { REFUSAL_DELAY_MS } from "./pacing.ts";
import { unary } from "./server.ts";

/** Rejects as `admission` does, after a second. */
export async function paced<T>(admission: Promise<T>): Promise<T> {
  try {
    return await admission;
  } catch (error) {
    await delay(REFUSAL_DELAY_MS);
    throw error;
  }
}

export function authenticationHandlers(
  admission: Admission,
  authenticator: Authenticator,
): grpc.UntypedServiceImplementation {
  return {
    Authenticate: unary<authapi.AuthRequest, authapi.AuthResponse>((request, call) => {
      const { mode = "", version = "", agentNamespace = "", method, credentials = {} } = request;
      const prove = () => {
        if (method === authenticator.method) return authenticator.authenticate(call, credentials ?? {});
        throw new NotAdmitted("unauthenticated", "authentication failed");
      };
      return paced(admission.authenticate({ mode, version, namespace: agentNamespace }, prove));
    }),
    RefreshToken: unary<authapi.RefreshTokenRequest, authapi.AuthResponse>((request, call) =>
      paced(
        admission.refresh(request.refreshToken ?? "", (subject) => authenticator.stillHolds(call, subject)),
      )
    ),
  };
}

export function versionHandlers(): grpc.UntypedServiceImplementation {
  return { Version: unary(() => ({ version: `argocd-agent-${VERSION}` })) };
}
