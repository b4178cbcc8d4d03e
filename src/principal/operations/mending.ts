/** Before a switchover proves that both sides are equal, the replica takes again, in the stream's order, the keys that differ. */
import { chunk } from "@std/collections/chunk";
import { until } from "../../base/until.ts";
import type { Standing } from "../../domain/ha/state.ts";
import { HEARTBEAT_MS } from "../../domain/replication/messages.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { Replicas } from "../core/replica_sessions.ts";
import { MAX_REPAIRED } from "../ports/operations.ts";
import type { PeerConnection, Repaired } from "../ports/peer.ts";

/** Of keys that could not be repaired so many are named. */
const NAMED = 5;
/** The replica's answer takes so much longer than its work. */
const ANSWER_MS = 5_000;
/** A replica acknowledges at least this often. */
const ACK_MS = 2 * HEARTBEAT_MS;

/** Has the replica take these keys again, within `timeoutMs`. @throws PeerError */
export async function mend(
  connection: PeerConnection,
  keys: readonly Key[],
  { standing, who, timeoutMs }: { standing: Standing; who: string; timeoutMs: number },
): Promise<Repaired> {
  const result: Repaired = { done: [], failed: [] };
  for (const some of chunk(keys, MAX_REPAIRED)) {
    const { done, failed } = await connection.repair(
      { standing, keys: some, timeoutMs, who },
      timeoutMs + ANSWER_MS,
    );
    result.done.push(...done);
    result.failed.push(...failed);
  }
  return result;
}

/** Whether a replica holds changes, which it tells with its next acknowledgement. */
export async function tellsHeld(replicas: Replicas): Promise<boolean> {
  const holds = () => [...replicas].some(({ heldTotal }) => heldTotal > 0);
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
