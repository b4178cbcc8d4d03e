/** One side in a line, with its name. */
import type { argocdagentha } from "../../proto/gen.d.ts";

type Explanation = argocdagentha.v1.Explanation;
type Standing = argocdagentha.v1.Standing;

/** `"east": REPLICATING, epoch 3, 12 agents`. */
export function sideFact({ name, state = "", epoch, connectedAgents = 0 }: Standing): string {
  const agents = `${connectedAgents.toLocaleString("en-US")} ${connectedAgents === 1 ? "agent" : "agents"}`;
  const shown = [state.toUpperCase() || "in an unknown state", ...(epoch ? [`epoch ${epoch}`] : []), agents];
  return `${name ? `"${name}": ` : ""}${shown.join(", ")}`;
}

/** The peer as it answered now, with its address. */
export function peerFact({ peerAddress, peer, peerError }: Explanation): string {
  if (!peerAddress) return "none is configured";
  if (peer) return `${sideFact(peer)} (${peerAddress})`;
  return `${peerAddress} does not answer${peerError ? `: ${peerError}` : " what it is"}`;
}
