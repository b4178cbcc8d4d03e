/**
 * The exposure of an ACTIVE: what a loss of this side now would take along, in changes and in time. A copy counts for as much as its
 * replica has acknowledged as durable; a copy that is being compared or filled counts for nothing, and one whose replica is gone keeps
 * what it had. Invariant: everything that the index held at `heldAtMs` is durable in that copy.
 */
import { Newest } from "../../base/newest.ts";
import { type Concerns, countOf } from "./concerns.ts";

/** The index of the ACTIVE, as far as it is counted here. */
export interface Revisions {
  readonly head: number;
  /** The number of keys that changed after a revision. */
  countSince(revision: number): number;
}

/** The exposure at one moment. */
export interface Exposure {
  /** Replicas that follow now. */
  replicas: number;
  /** Changes that no copy is known to have; undefined: not known. */
  unacknowledged: number | undefined;
  /** Everything that this side had so long ago is durable in a copy, in ms; undefined: there is no such time. */
  heldAgoMs: number | undefined;
  /** So long ago a replica had everything and the same digest, in ms; undefined: never since this side became ACTIVE. */
  equalAgoMs: number | undefined;
}

/** A replica's progress, as its stream tells. */
export interface Progressed {
  /** Changes up to this revision are durable there; undefined: its copy is being compared or filled. */
  applied: number | undefined;
  /** Changes up to this revision have arrived there. */
  received: number;
  /** Keys that have arrived and are not durable, those that it cannot write included. */
  unwritten: number;
  /** When it last had everything and the same digest, on our clock; 0: never. */
  equalAtMs: number;
}

interface Copy extends Progressed {
  heldAtMs: number | undefined;
  connected: boolean;
}

/** An earlier process's knowledge. */
export interface Remembered {
  replica: string;
  heldAtMs: number;
  equalAtMs: number;
  /** The present content is what that copy held. */
  same: boolean;
}

const MAX_COPIES = 20;
const MAX_MOMENTS = 64;

/** The copies of one ACTIVE's resources, over its index. All times are on one monotonic clock. */
export class Copies {
  readonly #copies = new Newest<string, Copy>(MAX_COPIES);
  /** A revision, and when it was made: everything below it was there before. */
  #moments: { revision: number; atMs: number }[] = [];

  constructor(private readonly index: Revisions) {}

  /** Call after each change of the index. */
  changed(nowMs: number): void {
    const { head } = this.index;
    this.#moments.push({ revision: head, atMs: nowMs });
    if (this.#moments.length > MAX_MOMENTS) this.#moments = this.#moments.filter((_, i) => i % 2 === 0);
    for (const copy of this.#copies.values()) if (copy.applied === head - 1) copy.heldAtMs = nowMs;
  }

  /**
   * The progress of a replica that is connected. One that was not known before may have taken the place of those that are gone, with a store
   * that is lost: theirs count no longer.
   */
  progressed(replica: string, progress: Progressed, nowMs: number): void {
    if (!this.#copies.has(replica)) {
      for (const [other, { connected }] of this.#copies) if (!connected) this.#copies.delete(other);
    }
    const { applied } = progress;
    const equalAtMs = Math.min(progress.equalAtMs, nowMs);
    const before = this.#copies.get(replica);
    const heldAtMs = applied === undefined
      ? undefined
      : this.#momentOf(applied, nowMs) ?? (before?.applied === undefined ? undefined : before.heldAtMs);
    this.#copies.set(replica, { ...progress, equalAtMs, heldAtMs, connected: true });
  }

  /** A replica is gone; what it has acknowledged it keeps. */
  gone(replica: string): void {
    const copy = this.#copies.get(replica);
    if (copy) copy.connected = false;
  }

  /** Takes an earlier process's knowledge. */
  remembered({ replica, heldAtMs, equalAtMs, same }: Remembered): void {
    const applied = same ? this.index.head : -1;
    this.#copies.set(replica, {
      applied,
      received: applied,
      unwritten: 0,
      equalAtMs,
      heldAtMs,
      connected: false,
    });
  }

  /** Nothing is known any more: this side is not ACTIVE, or becomes it anew. */
  clear(): void {
    this.#copies.clear();
    this.#moments = [];
  }

  /** The copy that has most, and its replica. */
  best(nowMs: number): { replica: string; heldAtMs: number; equalAtMs: number } | undefined {
    const known = [...this.#copies].flatMap(([replica, copy]) => {
      const heldAtMs = this.#missing(copy) === 0 ? nowMs : copy.heldAtMs;
      return heldAtMs === undefined ? [] : [{ replica, heldAtMs, equalAtMs: copy.equalAtMs }];
    });
    return known.sort((a, b) => b.heldAtMs - a.heldAtMs)[0];
  }

  /** The exposure now. */
  exposure(nowMs: number): Exposure {
    const copies = [...this.#copies.values()];
    const missing = copies.map((copy) => this.#missing(copy)).filter((n) => n !== undefined);
    const best = this.best(nowMs);
    const equalAtMs = Math.max(0, ...copies.map(({ equalAtMs }) => equalAtMs));
    return {
      replicas: copies.filter(({ connected }) => connected).length,
      unacknowledged: missing.length === 0 ? undefined : Math.min(...missing),
      heldAgoMs: best && Math.max(0, nowMs - best.heldAtMs),
      equalAgoMs: equalAtMs === 0 ? undefined : Math.max(0, nowMs - equalAtMs),
    };
  }

  #missing({ applied, received, unwritten }: Copy): number | undefined {
    if (applied === undefined || applied < 0) return undefined;
    return this.index.countSince(received) + unwritten;
  }

  /** The last time at which everything there was is covered by a revision. */
  #momentOf(revision: number, nowMs: number): number | undefined {
    if (revision >= this.index.head) return nowMs;
    return this.#moments.findLast((moment) => moment.revision <= revision + 1)?.atMs;
  }
}

const count = (n: number) => n.toLocaleString("en-US");
const changes = (n: number) => `${count(n)} ${n === 1 ? "change" : "changes"}`;
/** A time as operators read it, in UTC. */
export const timeText = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

/** A loss of this ACTIVE now, in words: no more than this. @param nowMs in unix ms */
export function exposedLoss(
  exposure: Exposure,
  { peerAddress, concerns, peerConcerns, nowMs }: {
    peerAddress: string;
    concerns: Concerns;
    peerConcerns: Concerns;
    nowMs: number;
  },
): string {
  const differing = Math.max(
    countOf(concerns, "differing"),
    countOf(peerConcerns, "differing"),
    countOf(peerConcerns, "drift"),
  );
  const also = differing > 0
    ? `; and what differs at the replica: ${count(differing)} ${
      differing === 1 ? "key" : "keys"
    }, see ha diff`
    : "";
  return unacknowledged(exposure, peerAddress, nowMs) + also + keptThere(peerConcerns);
}

/** The replica's part of what this side does not have, because its store was restored from a backup. */
function keptThere(peerConcerns: Concerns): string {
  if (countOf(peerConcerns, "restored") === 0) return "";
  const kept = countOf(peerConcerns, "losses") + countOf(peerConcerns, "foreign");
  return `; and, since this store was restored from a backup, what the replica alone keeps: ${count(kept)} ${
    kept === 1 ? "state" : "states"
  }, see ha reconcile`;
}

function unacknowledged(
  { replicas, unacknowledged, heldAgoMs }: Exposure,
  peerAddress: string,
  nowMs: number,
): string {
  const since = heldAgoMs === undefined ? "" : timeText(nowMs - heldAgoMs);
  if (replicas > 0) {
    if (unacknowledged === 0) return "nothing: the replica has acknowledged every change";
    if (unacknowledged !== undefined) {
      return `${changes(unacknowledged)} not acknowledged by the replica${since && `, since ${since}`}`;
    }
    return since
      ? `everything since ${since} (the replica's copy is being compared or filled)`
      : "everything that the replica does not have yet: its copy is being compared or filled";
  }
  if (peerAddress === "") return "everything: no peer is configured, and nobody replicates";
  if (unacknowledged === 0) {
    return "nothing so far: the last replica has acknowledged every change (nobody replicates)";
  }
  if (since === "") {
    return "everything: no replica has had a whole copy since this side became ACTIVE (nobody replicates)";
  }
  const known = unacknowledged === undefined ? "" : `, ${changes(unacknowledged)}`;
  return `everything since ${since}${known} (nobody replicates)`;
}
