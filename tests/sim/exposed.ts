/** The loss that either side reports, against what the replica's store really lacks (I12). */
import type { Situation } from "../../src/domain/ha/situation.ts";
import type { State } from "./disk.ts";
import { HAND } from "./hand.ts";
import { Violation } from "./violation.ts";
import type { Watched } from "./watched.ts";

/** More keys than have a name, or none that is known. */
const UNNAMED = / and \d+ more|cannot be compared/;

/**
 * The keys that the replica lacks are no more than the ACTIVE reports as unacknowledged. False: there is nothing to compare, because it
 * reports no number, or the other side goes its own way.
 *
 * @param own states of the replica's store that replication did not write @throws Violation
 */
export function exposureBounded(
  { site, taken }: Watched,
  other: Watched,
  own: WeakSet<State>,
): boolean {
  const { core } = site;
  if (!core || !site.serving || other.site.serving) return false;
  const { unacknowledged, replicas } = core.exposure.now();
  const followed = [...core.replicas].some(({ standing }) => standing?.uid === other.uid);
  if (unacknowledged === undefined || (replicas > 0 && !followed)) return false;
  const { lostAtMs } = other.site.disk;
  // Nobody has told it yet that the replica's store was lost.
  if (lostAtMs > 0 && !(followed && other.site.core?.following.connected)) return false;
  if ((other.site.disk.remembered?.epoch ?? 0) > core.model().memory.epoch) return false;
  const missing = [...taken].filter(([key, records]) => {
    const last = records.at(-1);
    const states = other.site.disk.states.get(key);
    const written = states?.at(-1);
    // What its API server altered while a key was sent again is held, and told with the next acknowledgement (I15).
    if (!last || (written && (own.has(written) || written.sent !== undefined))) return false;
    // What is kept as foreign is nothing that this side has lost.
    if (last.digest === "" && (other.site.core?.foreign.has(key) || other.site.disk.isForeign(key))) {
      return false;
    }
    return other.site.disk.now(key) !== last.digest;
  });
  if (missing.length <= unacknowledged) return true;
  const named = missing.slice(0, 3).map(([key]) => key).join(", ");
  throw new Violation(
    "exposure",
    `${site.name}, ACTIVE, says that ${unacknowledged} changes are not acknowledged, and ${other.site.name} lacks ` +
      `${missing.length}: ${named}`,
  );
}

/**
 * The changes that a side lacks are within its estimate, at `atMs`, of a possible loss. False: it gives none.
 *
 * @param overridden what a forced promotion says that it leaves as another writer made it @throws Violation
 */
export function lossBounded(
  { site }: Watched,
  other: Watched,
  { inSyncAgoMs: inThisProcess, inSyncBefore, model, nowMs: wallMs }: Situation,
  { atMs, nowMs, overridden }: { atMs: number; nowMs: number; overridden: string },
): boolean {
  // A wall clock that drifts between two processes counts another second.
  const inSyncAgoMs = inThisProcess ?? (inSyncBefore && wallMs - inSyncBefore.atMs + 1_000);
  if (inSyncAgoMs === undefined || model.memory.formerActive || model.memory.leader !== other.uid) {
    return false;
  }
  const seconds = Math.ceil(inSyncAgoMs / 1_000);
  const since = atMs - seconds * 1_000;
  const held = new Set(site.core?.following.held.map(({ key }) => key) ?? []);
  for (const [key, records] of other.taken) {
    const at = records.findLastIndex(({ atMs }) => atMs <= since);
    const record = records[at];
    // What is kept as foreign is not served, whatever became of it at the leader: ha reconcile lists it.
    if (!record || held.has(key) || site.core?.foreign.has(key)) continue;
    const last = site.disk.states.get(key)?.at(-1);
    const now = last ? sentOf(last) : "";
    if (records.slice(at).some(({ digest }) => digest === now)) continue;
    if (last?.by === HAND && (overridden.includes(key) || UNNAMED.test(overridden))) continue;
    const agoMs = Math.round(nowMs - record.atMs);
    throw new Violation(
      "I12",
      `${site.name} says that at most the last ${seconds} s are lost, and lacks ${key} of ${agoMs} ms ago`,
    );
  }
  return true;
}

/** The digest of what was written, whatever the API server keeps of it. */
export function sentOf({ digest, sent = digest }: State): string {
  return sent;
}
