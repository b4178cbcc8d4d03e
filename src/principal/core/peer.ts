/** Asking the peer what it is: before going ACTIVE, and now and then while ACTIVE. */
import { call } from "../../adapters/grpc/dial.ts";
import { linkService } from "../../adapters/grpc/services.ts";
import { Code, codeOf, explainCall } from "../../adapters/grpc/status.ts";
import { conditionFromWire, standingFromWire, standingToWire } from "../../adapters/grpc/wire.ts";
import type { Condition } from "../../domain/ha/preflight.ts";
import type { Standing } from "../../domain/ha/state.ts";
import type { Context } from "./context.ts";
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
  const client = ctx.peer.dial();
  try {
    const request = { standing: standingToWire(ctx.standing()), examine: examineMs > 0 };
    const askedAtMs = Date.now();
    const timeoutMs = peerCheckTimeoutMs + examineMs;
    const { standing, condition } = await call(client, linkService.Ask, request, timeoutMs);
    const answer = { peer: standingFromWire(standing), error: "" };
    if (!condition) return answer;
    const skewMs = (condition.now_unix_ms ?? 0) - (askedAtMs + Date.now()) / 2;
    return { ...answer, condition: conditionFromWire(condition), skewMs };
  } catch (error) {
    if (codeOf(error) === Code.UNIMPLEMENTED) return await askHealthz(ctx);
    return { peer: undefined, error: explainCall(error, peerAddress) };
  } finally {
    client.close();
  }
}
