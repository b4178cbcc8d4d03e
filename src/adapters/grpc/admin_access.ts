/**
 * The admin listener that is not loopback only (`--ha-admin-listen`): mTLS, and of the identities that a CA's certificates prove only
 * those that are named, with separate rights to ask and to change (rights.ts).
 */
import grpc from "@grpc/grpc-js";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { MtlsRule } from "../../domain/agents/identity.ts";
import { type AuthenticatedCall, identityOf } from "./auth.ts";
import { refuseStream } from "./server.ts";
import { mayCall } from "./rights.ts";
import type { Methods } from "./services.ts";
import { Status, toStatus } from "./status.ts";

/** The rights of the admin listeners. */
export interface AdminPolicy {
  rule: MtlsRule;
  /** Identities that may ask. */
  readers: ReadonlySet<string>;
  /** Identities that may ask and change. */
  operators: ReadonlySet<string>;
}

/** The proved caller, by a call's metadata. */
const proved = new WeakMap<grpc.Metadata, string>();

/** The identity that a caller has proved; undefined: on loopback there is no proof. */
export function provedIdentity(metadata: grpc.Metadata): string | undefined {
  return proved.get(metadata);
}

/** The identity of a call. @throws Status where it may not be made */
export function authorizeAdmin(
  call: AuthenticatedCall & { metadata: grpc.Metadata },
  path: string,
  { rule, readers, operators }: AdminPolicy,
): string {
  const found = identityOf(call, rule);
  if ("problem" in found) throw new Status(grpc.status.UNAUTHENTICATED, `admin listener: ${found.problem}`);
  const { identity } = found;
  const name = path.slice(path.lastIndexOf("/") + 1);
  if (!operators.has(identity) && !(readers.has(identity) && mayCall("asker", path))) {
    const why = readers.has(identity)
      ? `it may ask (--ha-admin-readers), and ${name} changes something: that takes --ha-admin-operators`
      : "it is in neither --ha-admin-readers nor --ha-admin-operators";
    throw new Status(grpc.status.PERMISSION_DENIED, `identity "${identity}" may not call ${name}: ${why}`);
  }
  proved.set(call.metadata, identity);
  return identity;
}

type UnaryHandler = grpc.handleUnaryCall<unknown, unknown>;
type StreamHandler = grpc.handleServerStreamingCall<unknown, unknown>;

/** The same handlers, for those who may call them. */
export function guarded(
  service: Methods,
  handlers: grpc.UntypedServiceImplementation,
  policy: AdminPolicy,
  log: Log,
): grpc.UntypedServiceImplementation {
  const allowed = (call: AuthenticatedCall & { metadata: grpc.Metadata }, path: string) => {
    try {
      authorizeAdmin(call, path, policy);
      return undefined;
    } catch (error) {
      log.warn("admin call refused", { event: "admin_refused", method: path, reason: reasonOf(error) });
      return error as Error;
    }
  };
  return Object.fromEntries(
    Object.entries(service).map(([name, { path, responseStream }]) => {
      const handler = handlers[name];
      const unary: UnaryHandler = (call, callback) => {
        const refusal = allowed(call as unknown as Parameters<typeof allowed>[0], path);
        if (refusal) callback(toStatus(refusal));
        else (handler as UnaryHandler)(call, callback);
      };
      const streaming: StreamHandler = (call) => {
        const refusal = allowed(call as unknown as Parameters<typeof allowed>[0], path);
        if (refusal) refuseStream(call, refusal);
        else (handler as StreamHandler)(call);
      };
      return [name, responseStream ? streaming : unary];
    }),
  );
}
