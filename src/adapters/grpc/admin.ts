/** `haadminapi.HAAdmin` on the loopback listener, for our CLI and the Go CLI. */
import type grpc from "@grpc/grpc-js";
import type { haadminapi } from "../../../proto/gen.d.ts";
import type { Operations } from "../../principal/ports/operations.ts";
import { provedIdentity } from "./admin_access.ts";
import { FORCE_METADATA, OPERATOR_METADATA } from "./dial.ts";
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

export function adminHandlers(
  operations: Pick<Operations, "report" | "command">,
): grpc.UntypedServiceImplementation {
  const command = async (kind: "promote" | "demote", force: boolean, who: string) => {
    const { state } = await operations.command(kind, force, who);
    return { state };
  };
  return {
    Status: unary<haadminapi.StatusRequest, haadminapi.HAStatusResponse>(() => {
      const report = operations.report();
      return {
        state: report.standing.state,
        preferred_role: report.preferredRole,
        peer_address: report.peerAddress,
        peer_reachable: report.peerReachable,
        peer_state: report.peer?.state ?? "",
        connected_replicas: report.replicas.length,
        last_event_timestamp: Math.floor(report.lastEventMs / 1000),
        last_sequence_num: report.lastSequence,
        connected_agents: report.standing.connectedAgents,
      };
    }),
    Promote: unary<haadminapi.PromoteRequest, haadminapi.PromoteResponse>((request, call) =>
      command("promote", request.force ?? false, operatorOf(call.metadata))
    ),
    Demote: unary<haadminapi.DemoteRequest, haadminapi.DemoteResponse>((_, call) =>
      command("demote", call.metadata.get(FORCE_METADATA)[0] === "true", operatorOf(call.metadata))
    ),
  };
}
