/** Before a switchover proves that both sides are equal, the replica takes again, in the stream's order, the keys that differ. */
import { delay } from "@std/async/delay";
import { chunk } from "@std/collections/chunk";
import { monotonicMs } from "../../base/clock.ts";
import { until } from "../../base/until.ts";
import type { Standing } from "../../domain/ha/state.ts";
import { HEARTBEAT_MS } from "../../domain/replication/messages.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { Replicas } from "../core/replica_sessions.ts";
import { MAX_REPAIRED } from "../ports/operations.ts";
import { type PeerConnection, PeerError, type Repaired } from "../ports/peer.ts";

/** A replica whose stream has ended, as it does to compare its copy, follows again within this time. */
const BACK_MS = 5_000;
const ASK_EVERY_MS = 100;

/** Of keys that could not be repaired so many are named. */
const NAMED = 5;
/** The replica's answer takes so much longer than its work. */
const ANSWER_MS = 5_000;
/** A replica acknowledges at least this often. */
const ACK_MS = 2 * HEARTBEAT_MS;

/** Has the replica take these keys again, within `timeoutMs`; one that does not follow for the moment is waited for. @throws PeerError */
export async function mend(
  connection: PeerConnection,
  keys: readonly Key[],
  { standing, who, timeoutMs }: { standing: Standing; who: string; timeoutMs: number },
): Promise<Repaired> {
  const result: Repaired = { done: [], failed: [] };
  const backByMs = monotonicMs() + BACK_MS;
  const repair = async (some: readonly Key[]): Promise<Repaired> => {
    for (;;) {
      try {
        return await connection.repair({ standing, keys: some, timeoutMs, who }, timeoutMs + ANSWER_MS);
      } catch (error) {
        const refused = error instanceof PeerError && error.kind === "refused";
        if (!refused || monotonicMs() > backByMs) throw error;
        await delay(ASK_EVERY_MS);
      }
    }
  };
  for (const some of chunk(keys, MAX_REPAIRED)) {
    const { done, failed } = await repair(some);
    result.done.push(...done);
    result.failed.push(...failed);
  }
  return result;
}

/** Waits until the replica has applied a revision; one whose stream ends is waited for, other readers of the stream are not. @param deadline on the monotonic clock, in ms */
export async function untilApplied(
  replicas: Replicas,
  revision: number,
  deadline: number,
): Promise<"applied" | "gone" | "late"> {
  const has = () => replicas.haveApplied(revision);
  const some = () => replicas.counted.length > 0;
  const wait = (over: () => boolean, withinMs: number) =>
    until(over, { changed: [replicas.onChange], withinMs });
  while (!has()) {
    const leftMs = deadline - monotonicMs();
    if (leftMs <= 0) return "late";
    await wait(() => has() || !some(), leftMs);
    if (some()) continue;
    const back = await wait(some, Math.min(BACK_MS, deadline - monotonicMs()));
    if (!back) return "gone";
  }
  return "applied";
}

/** Whether the replica holds changes, which it tells with its next acknowledgement. */
export async function tellsHeld(replicas: Replicas): Promise<boolean> {
  const holds = () => replicas.counted.some(({ heldTotal }) => heldTotal > 0);
  await until(holds, { changed: [replicas.onChange], withinMs: ACK_MS });
  return holds();
}

/** `2 keys differ at the replica, which cannot take them: …`. */
export function unmended(failed: Repaired["failed"]): string {
  const named = failed.slice(0, NAMED).map(({ key, reason }) => `${key}: ${reason}`).join("; ");
  const more = failed.length > NAMED ? ` and ${(failed.length - NAMED).toLocaleString("en-US")} more` : "";
  const many = failed.length === 1 ? "1 key differs" : `${failed.length.toLocaleString("en-US")} keys differ`;
  return `${many} at the replica and cannot be repaired: ${named}${more}; see: ha diff`;
}
