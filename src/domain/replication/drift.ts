/**
 * Copies that another writer changed on a replica. Of each such key the state that the leader sent last is kept: the leader is asked for
 * the key at once, and where there is no leader, a promotion restores the copy from it. A change counts as replication's own by the
 * version that its write was answered with, or, without an answer, by its content. Repairs of a key that drifts again and again are spread.
 */
import { type BackoffPolicy, delayMs } from "../../base/backoff.ts";
import { Newest } from "../../base/newest.ts";
import { digestOf } from "../changes/content.ts";
import { type Digest, xor } from "../changes/digest.ts";
import type { ChangeIndex, Entry } from "../changes/index.ts";

/** The first repair is at once; those after it within `FORGET_MS`, 1 s to 60 s apart. */
const REPAIR: BackoffPolicy = { firstMs: 1_000, maxMs: 60_000, factor: 2 };
/** A key that did not drift for so long is as any. */
const FORGET_MS = 600_000;
/** A request without an effect after this time is repeated. */
const ANSWER_MS = 5_000;
/** Keys whose repairs are counted. */
const MAX_COUNTED = 10_000;

/** A copy that is not the leader's. */
export interface DriftedCopy {
  key: string;
  /** The state that the leader sent last, as the index keeps it; undefined: none. */
  payload: string | undefined;
  change: "created" | "changed" | "being deleted" | "deleted";
  /** The field manager that made the change; empty: not known. */
  manager: string;
  /** How often it was repaired lately. */
  repairs: number;
}

interface Write {
  /** Empty: the key was deleted. */
  version: string;
  payload: string | undefined;
}

/** A write without an answer that it was carried out. */
interface FailedWrite {
  /** The state that it would have made; undefined: none. */
  payload: string | undefined;
  /** Whether it may have been carried out all the same. */
  mayBeDone: boolean;
}

/** Pure: times are arguments, in ms on one monotonic clock. */
export class Drift {
  readonly #drifted = new Map<string, DriftedCopy & { dueMs: number }>();
  /** Writes of replication under way, and the states that were seen meanwhile. */
  readonly #writing = new Map<string, number>();
  readonly #seen = new Map<string, { before: Entry | undefined; manager: string }>();
  /** Writes of replication that the index does not show yet. */
  readonly #unconfirmed = new Map<string, Write>();
  /** The state that the last write of a key was to make, where no answer told whether it did. */
  readonly #unanswered = new Map<string, Pick<Write, "payload">>();
  readonly #repairs = new Newest<string, { many: number; lastMs: number }>(MAX_COUNTED);
  /** Hears of each change of another writer, whichever word brought it to light: the watch's, or the answer to a write. */
  found: (key: string, manager: string, nowMs: number) => void = () => {};

  constructor(private readonly index: Pick<ChangeIndex, "get">) {}

  /** The store told a change of a key. True: another writer made it. */
  changed(key: string, before: Entry | undefined, manager: string, nowMs: number): boolean {
    if (!this.#writing.has(key)) return this.#judge(key, before, manager, nowMs);
    this.#seen.set(key, { before: this.#seen.get(key)?.before ?? before, manager });
    return false;
  }

  /** Replication begins to write a key. */
  writing(key: string): void {
    this.#writing.set(key, (this.#writing.get(key) ?? 0) + 1);
  }

  /** Replication has written a key. @param write what it is now */
  wrote(key: string, write: Write, nowMs: number): void {
    this.#end(key);
    const seen = this.#seen.get(key);
    this.#seen.delete(key);
    this.#drifted.delete(key);
    this.#unanswered.delete(key);
    this.#unconfirmed.set(key, write);
    if (seen) this.#judge(key, seen.before, seen.manager, nowMs);
    else if (isShown(this.index.get(key), write)) this.#unconfirmed.delete(key);
  }

  /** The leader has deleted a key, and the store has nothing to delete. */
  absent(key: string, nowMs: number): void {
    this.writing(key);
    this.wrote(key, { version: "", payload: undefined }, nowMs);
  }

  /**
   * A write of replication failed. Where it may have been carried out all the same, what the leader sent counts as the leader's from now
   * on, whether or not the store shows it yet.
   */
  failed(key: string, { payload, mayBeDone }: FailedWrite, nowMs: number): void {
    this.#end(key);
    const seen = this.#seen.get(key);
    this.#seen.delete(key);
    const known = this.#drifted.get(key);
    if (known && mayBeDone) known.payload = payload;
    if (mayBeDone) this.#unanswered.set(key, { payload });
    if (!seen) return;
    if (isState(this.index.get(key), key, payload)) this.#shown(key);
    else this.#judge(key, seen.before, seen.manager, nowMs);
  }

  /** Every key was compared with the leader: of one that is not to be written, it has what is here. */
  compared(toWrite: (key: string) => boolean): void {
    for (const key of this.#unanswered.keys()) if (!toWrite(key)) this.#unanswered.delete(key);
  }

  /**
   * Everything in the store was looked at, and replication does not write. A key that it wrote and that the store does not have, although
   * no watch has told of either, was deleted by another writer.
   *
   * @param inStore whether the store has a key
   */
  listed(inStore: (key: string) => boolean, nowMs: number): void {
    for (const [key, { payload }] of [...this.#unconfirmed, ...this.#unanswered]) {
      if (payload === undefined || inStore(key) || this.#drifted.has(key)) continue;
      this.#unconfirmed.delete(key);
      this.#drifted.set(key, { key, payload, change: "deleted", manager: "", repairs: 0, dueMs: nowMs });
      this.found(key, "", nowMs);
    }
  }

  /** The keys to ask the leader for now, at most `limit`. @param random in [0, 1) */
  due(nowMs: number, limit: number, random: number): DriftedCopy[] {
    const due = [...this.#drifted.values()].filter(({ dueMs }) => dueMs <= nowMs).slice(0, limit);
    for (const copy of due) {
      copy.repairs = this.#count(copy.key, nowMs);
      copy.dueMs = nowMs + Math.max(ANSWER_MS, delayMs(REPAIR, copy.repairs, random));
    }
    return due;
  }

  /** Every copy that is known not to be the leader's. */
  get copies(): DriftedCopy[] {
    return [...this.#drifted.values()];
  }

  /** The digest of all that the leader sent last, whatever others have made of it. @param root the digest of what is here */
  received(root: Digest): Digest {
    let received = root;
    for (const { key, payload } of this.#drifted.values()) {
      const now = this.index.get(key);
      if (now && !now.deleted) received = xor(received, now.digest);
      if (payload !== undefined) received = xor(received, digestOf(key, payload));
    }
    return received;
  }

  get size(): number {
    return this.#drifted.size;
  }

  /** The copies count as they are: there is no leader any more, or all of them were compared with it. */
  clear(): void {
    this.#drifted.clear();
    this.#seen.clear();
    this.#unconfirmed.clear();
    this.#unanswered.clear();
  }

  #end(key: string): void {
    const left = (this.#writing.get(key) ?? 1) - 1;
    if (left > 0) this.#writing.set(key, left);
    else this.#writing.delete(key);
  }

  #judge(key: string, before: Entry | undefined, manager: string, nowMs: number): boolean {
    const now = this.index.get(key);
    const written = this.#unconfirmed.get(key);
    if (written && isShown(now, written)) {
      this.#unconfirmed.delete(key);
      return false;
    }
    if (written && isOlder(now, written)) return false;
    this.#unconfirmed.delete(key);
    const known = this.#drifted.get(key);
    const { payload } = this.#unanswered.get(key) ?? known ?? written ??
      { payload: before?.payload || undefined };
    if (isState(now, key, payload)) {
      this.#shown(key);
      return false;
    }
    const repairs = this.#lately(key, nowMs);
    const dueMs = known?.dueMs ?? (repairs === 0 ? nowMs : nowMs + delayMs(REPAIR, repairs, 0.5));
    this.#drifted.set(key, { key, payload, change: changeOf(now, payload), manager, repairs, dueMs });
    this.found(key, manager, nowMs);
    return true;
  }

  /** The store shows what the leader sent last. */
  #shown(key: string): void {
    this.#drifted.delete(key);
    this.#unanswered.delete(key);
  }

  #lately(key: string, nowMs: number): number {
    const repairs = this.#repairs.get(key);
    return repairs && nowMs - repairs.lastMs < FORGET_MS ? repairs.many : 0;
  }

  #count(key: string, nowMs: number): number {
    const many = this.#lately(key, nowMs) + 1;
    this.#repairs.set(key, { many, lastMs: nowMs });
    return many;
  }
}

/** Whether this state of a key is the one with this payload. */
function isState(now: Entry | undefined, key: string, payload: string | undefined): boolean {
  if (payload === undefined) return !now || now.deleted;
  if (!now || now.deleted || now.terminating) return false;
  return now.payload === payload || now.digest === digestOf(key, payload);
}

/** Whether the index shows just what a write made. */
function isShown(now: Entry | undefined, { version }: Write): boolean {
  if (version === "") return !now || now.deleted;
  return now !== undefined && !now.deleted && Number(now.version) === Number(version);
}

/** Whether the index shows a state from before a write. */
function isOlder(now: Entry | undefined, { version }: Write): boolean {
  if (version === "" || !now) return false;
  return now.version !== "" && Number(now.version) < Number(version);
}

function changeOf(now: Entry | undefined, payload: string | undefined): DriftedCopy["change"] {
  if (!now || now.deleted) return "deleted";
  if (now.terminating) return "being deleted";
  return payload === undefined ? "created" : "changed";
}
