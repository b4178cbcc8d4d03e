/** What a peer may call in our own contract, and who counts as a peer: the same on the agents' port and in the simulator. */
import type grpc from "@grpc/grpc-js";
import type { Context } from "../../principal/core/context.ts";
import { type Core, isBlocked } from "../../principal/principal.ts";
import type { ReplicationPolicy } from "./auth.ts";
import { inventoryHandlers } from "./diff.ts";
import { linkHandlers } from "./link.ts";
import { adoptHandlers } from "./reconcile.ts";
import { switchoverLinkHandlers } from "./switchover.ts";

/** Whose calls of replication are answered. */
export function replicationPolicy(ctx: Context): ReplicationPolicy {
  const { haEnabled, auth, allowedReplicationClients, allowAnyReplicationClient } = ctx.settings;
  return {
    haEnabled,
    rule: auth.method === "mtls" ? auth.rule : undefined,
    allowed: new Set(allowedReplicationClients),
    allowAny: allowAnyReplicationClient,
    blocked: (fingerprint) => isBlocked(ctx, fingerprint),
  };
}

/** `argocdagentha.v1.Link`, whole. */
export function peerHandlers(
  { ctx, switchover, reconciler }: Core,
  policy: ReplicationPolicy,
): grpc.UntypedServiceImplementation {
  return {
    ...linkHandlers(ctx, policy),
    ...switchoverLinkHandlers(ctx, switchover, policy),
    ...inventoryHandlers(ctx, policy),
    ...adoptHandlers(reconciler, policy),
  };
}
