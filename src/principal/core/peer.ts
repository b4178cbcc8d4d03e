/** Asking the peer what it is: before going ACTIVE, and now and then while ACTIVE. */
import type { Condition } from "../../domain/ha/preflight.ts";
import type { Standing } from "../../domain/ha/state.ts";
import type { Context } from "./context.ts";
import { PeerError } from "../ports/peer.ts";
import { reasonOf } from "../../base/reason.ts";
import { hasSigningKey } from "../../adapters/tls/secrets.ts";

/** A peer that looks around itself may take this much longer to answer. */
export const EXAMINE_MS = 7_000;

export interface PeerAnswer {
  peer: Standing | undefined;
  error: string;
  /** What else it says; absent where it is an older release. */
  condition?: Condition;
  /** Its clock less ours, in ms; good to half a round trip. */
  skewMs?: number;
}

/** What this side says of itself. */
export function conditionOf(ctx: Context): Condition {
  return {
    storeProblem: ctx.storeProblem(),
    certificateNotAfterMs: ctx.peer.certificateNotAfterMs(),
    heldTotal: ctx.following.heldTotal,
    behind: ctx.model().state === "active" ? 0 : ctx.following.behind,
    recordMs: ctx.counters.recordMs,
    noSigningKey: !hasSigningKey(ctx.settings),
  };
}

/**
 * What a Go principal says of itself: its `/healthz`, where that is configured, is 200 only when it is ACTIVE. It has no identity and no
 * epochs, so its being ACTIVE counts as much as ours would.
 */
async function askHealthz({ settings, model }: Context): Promise<PeerAnswer> {
  const { peerHealthz, peerCheckTimeoutMs } = settings;
  if (peerHealthz === "") return { peer: undefined, error: "" };
  try {
    const signal = AbortSignal.timeout(peerCheckTimeoutMs);
    const response = await fetch(peerHealthz, { signal, redirect: "manual" });
    await response.body?.cancel();
    if (response.status !== 200) return { peer: undefined, error: "" };
    const epoch = model().memory.epoch;
    const nobody = { uid: "", version: "", namespace: "", sinceMs: 0, connectedAgents: 0 };
    return { peer: { ...nobody, state: "active", epoch }, error: "" };
  } catch (error) {
    return { peer: undefined, error: `${peerHealthz} does not answer: ${reasonOf(error)}` };
  }
}

/**
 * Asks once, within `--ha-peer-check-timeout`; a peer of the plain contract has no answer but its `/healthz`, which is no error. With
 * `examineMs` the peer also looks around itself first, and may take so much longer.
 */
export async function askPeer(ctx: Context, { examineMs = 0 } = {}): Promise<PeerAnswer> {
  const { peerAddress, plainContract, peerCheckTimeoutMs } = ctx.settings;
  if (peerAddress === "") return { peer: undefined, error: "" };
  if (plainContract) return await askHealthz(ctx);
  const connection = ctx.peer.connect();
  try {
    const askedAtMs = Date.now();
    const request = { standing: ctx.standing(), examine: examineMs > 0 };
    const { standing, condition, nowMs = 0 } = await connection.ask(request, peerCheckTimeoutMs + examineMs);
    const answer = { peer: standing, error: "" };
    if (!condition) return answer;
    return { ...answer, condition, skewMs: nowMs - (askedAtMs + Date.now()) / 2 };
  } catch (error) {
    if (error instanceof PeerError && error.kind === "unimplemented") return await askHealthz(ctx);
    return { peer: undefined, error: reasonOf(error) };
  } finally {
    connection.close();
  }
}
