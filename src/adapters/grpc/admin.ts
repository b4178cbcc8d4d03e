/** `haadminapi.HAAdmin` on the loopback listener, for our CLI and the Go CLI. */
import type grpc from "@grpc/grpc-js";
import type { haadminapi } from "../../../proto/gen.d.ts";
import type { Context } from "../../principal/core/context.ts";
import type { Switchover } from "../../principal/operations/switchover.ts";
import { provedIdentity } from "./admin_access.ts";
import { OPERATOR_METADATA } from "./dial.ts";
import { unary } from "./server.ts";

/** The caller's name: from its certificate, or on loopback, where nothing proves it, as our CLI gives it. The Go CLI gives none. */
export function operatorOf(metadata: grpc.Metadata): string {
  const claimed = String(metadata.get(OPERATOR_METADATA)[0] ?? "").replace(/[^\x21-\x7e]/g, "?").slice(
    0,
    100,
  );
  const identity = provedIdentity(metadata);
  if (identity !== undefined) return `${identity} by certificate${claimed ? `, as ${claimed}` : ""}`;
  return claimed === "" ? "admin listener" : `${claimed} (admin listener)`;
}

export function adminHandlers(ctx: Context, switchover: Switchover): grpc.UntypedServiceImplementation {
  const command = async (kind: "promote" | "demote", force: boolean, who: string) => {
    const { state } = await switchover.command(kind, force, who);
    return { state };
  };
  return {
    Status: unary<haadminapi.StatusRequest, haadminapi.HAStatusResponse>(() => {
      const model = ctx.model();
      return {
        state: model.state,
        preferred_role: model.preferredRole,
        peer_address: model.peerAddress,
        peer_reachable: ctx.peerReachable(),
        peer_state: model.peer?.state ?? "",
        connected_replicas: ctx.replicas.size,
        last_event_timestamp: Math.floor(ctx.following.lastEventMs / 1000),
        last_sequence_num: ctx.following.lastSequence,
        connected_agents: ctx.connectedAgents(),
      };
    }),
    Promote: unary<haadminapi.PromoteRequest, haadminapi.PromoteResponse>((request, call) =>
      command("promote", request.force ?? false, operatorOf(call.metadata))
    ),
    Demote: unary<haadminapi.DemoteRequest, haadminapi.DemoteResponse>((_, call) =>
      command("demote", false, operatorOf(call.metadata))
    ),
  };
}
