/** The facts that an operator reads before a change of roles: both sides, the possible loss, and the consequence. */
import type { argocdagentha } from "../../proto/gen.d.ts";
import { adminService } from "../adapters/grpc/services.ts";
import { adminCall, UnknownCall } from "./admin_client.ts";
import { askExplanation } from "./knowing.ts";
import { peerFact, sideFact } from "./side_facts.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";

type Explanation = argocdagentha.v1.Explanation;

/** The principal's explanation of itself. A Go principal has none: of its status the same as far as it goes. */
export async function looked(args: Arguments): Promise<Explanation> {
  try {
    return await askExplanation(args, "cannot look first");
  } catch (error) {
    if (!(error instanceof UnknownCall)) throw error;
    const call = { timeoutMs: args.number("timeout"), action: "cannot look first" };
    const status = await withTarget(
      args,
      (client, address) => adminCall(client, adminService.Status, {}, { ...call, address }),
    );
    return {
      standing: { state: status.state ?? "", connectedAgents: status.connected_agents ?? 0 },
      peerAddress: status.peer_address ?? "",
      loss: "not known: this principal does not say",
    };
  }
}

function sidesAndLoss(found: Explanation): string[] {
  return [
    line("This side", sideFact(found.standing ?? {})),
    line("Peer", peerFact(found)),
    line("Possible loss", found.loss ?? ""),
  ];
}

export function promoteFacts(found: Explanation, force: boolean): string[] {
  const { standing, peer } = found;
  const name = standing?.name ? `"${standing.name}"` : "this side";
  const overridden = force && peer?.state === "active"
    ? ` The peer is ACTIVE and is overridden: it steps down when it hears of the new epoch, and its own changes wait for ha reconcile.`
    : "";
  return [
    `ha promote${force ? " --force" : ""}`,
    ...sidesAndLoss(found),
    line(
      "Consequence",
      `${name} becomes ACTIVE in a new epoch; agents come when the DNS name has moved.${overridden}`,
    ),
  ];
}

export function demoteFacts(found: Explanation, force: boolean): string[] {
  const { standing, peer, peerAddress } = found;
  const agents = (standing?.connectedAgents ?? 0).toLocaleString("en-US");
  const served = peer?.state === "active"
    ? "the peer serves"
    : peerAddress
    ? `no principal serves until ha promote on "${
      peer?.name || peerAddress
    }"; ha switchover does both in one command`
    : "no principal serves until ha promote here";
  return [
    `ha demote${force ? " --force" : ""}`,
    ...sidesAndLoss(found),
    line("Consequence", `${agents} agents are disconnected, and ${served}.`),
  ];
}

export function switchoverFacts(
  found: Explanation,
  { before, resources = 0, agentsBefore = 0, epochBefore = 0, differing = 0 }: argocdagentha.v1.Receipt,
): string[] {
  const { standing, peer } = found;
  const to = standing?.uid === before?.uid ? peer : standing;
  const repaired = differing > 0
    ? `, and ${differing.toLocaleString("en-US")} keys that differ are repaired there first`
    : "";
  return [
    "ha switchover",
    line("This side", sideFact(standing ?? {})),
    line("Peer", peerFact(found)),
    line(
      "Preflight",
      `passed: ${resources.toLocaleString("en-US")} resources, ${
        agentsBefore.toLocaleString("en-US")
      } agents`,
    ),
    line("Possible loss", "nothing that was acknowledged; until the hand-over every failure is undone"),
    line(
      "Consequence",
      `"${to?.name || "the replica"}" becomes ACTIVE in an epoch above ${epochBefore} and "${
        before?.name || "the ACTIVE"
      }" its replica; agents reconnect${repaired}.`,
    ),
  ];
}

function line(label: string, text: string): string {
  return `  ${label.padEnd(14)} ${text}`;
}
