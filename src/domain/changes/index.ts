/**
 * The change index is the one mechanism behind everything that leaves a principal: a map from key to latest state, and a
 * log of (revision, key). A write appends to the log and makes the key's older log entry stale, so reading "since
 * revision R" yields each changed key once. Invariants: exactly one log entry per key is live; revisions only grow; the
 * log has at most twice the number of keys plus a constant; a reader behind a forgotten tombstone sees `floor`, not a gap.
 */
import { pack, type Packed, unpack } from "../../base/packed.ts";
import { type Digest, DigestTable } from "./digest.ts";

/** The latest state of one key. A copy by spreading lacks the payload, which a large entry unpacks at each reading. */
export interface Entry {
  readonly key: string;
  readonly revision: number;
  /** The replicated form as canonical JSON; empty for a tombstone. */
  readonly payload: string;
  /** Characters of the payload. */
  readonly size: number;
  readonly digest: Digest;
  /** Facts of this state for this principal's agents and no replica, as JSON; empty: none. */
  readonly local: string;
  readonly deleted: boolean;
  /** Since when its deletion is requested (RFC 3339); empty: it is not. */
  readonly deletionRequested: string;
  /** Whether this side's store is deleting it and waits for finalizers. */
  readonly terminating: boolean;
  /** Of a tombstone: no watch saw the deletion, a listing lacks the key. */
  readonly concluded?: boolean;
  /** The store's resourceVersion of this state. */
  version: string;
  /** When this index saw the change, in unix ms. */
  readonly changedAt: number;
  /** When this index saw a change of more than the status, in unix ms. */
  readonly contentAt: number;
}

/** A state to record, seen at `now` (unix ms). */
export interface Written {
  payload: string;
  digest: Digest;
  version: string;
  now: number;
  local?: string;
  deletionRequested?: string;
  terminating?: boolean;
}

/** The bounds of an index. */
export interface IndexOptions {
  /** Tombstones kept for readers that are behind. */
  maxTombstones?: number;
}

/** Whether a key that is not there was seen to go; otherwise nothing is known but that it is absent. */
export function wasSeenToGo(entry: Entry | undefined): boolean {
  return entry !== undefined && !entry.concluded;
}

const MAX_REASON = 300;
const COMPACT_SLACK = 1024;
const STATUS = ',"status":{';

/** An entry as the index keeps it: a large payload is compressed. */
class Kept implements Entry {
  readonly key: string;
  readonly revision: number;
  readonly digest: Digest;
  readonly local: string;
  readonly deleted: boolean;
  readonly deletionRequested: string;
  readonly terminating: boolean;
  readonly concluded: boolean;
  version: string;
  readonly changedAt: number;
  readonly contentAt: number;
  readonly held: Packed;

  constructor(state: Omit<Entry, "payload" | "size">, payload: Packed) {
    this.key = state.key;
    this.revision = state.revision;
    this.digest = state.digest;
    this.local = state.local;
    this.deleted = state.deleted;
    this.deletionRequested = state.deletionRequested;
    this.terminating = state.terminating;
    this.concluded = state.concluded ?? false;
    this.version = state.version;
    this.changedAt = state.changedAt;
    this.contentAt = state.contentAt;
    this.held = payload;
  }

  get payload(): string {
    return unpack(this.held);
  }

  get size(): number {
    return this.held.length;
  }

  /** The same state under another digest. */
  under(digest: Digest): Kept {
    return new Kept({ ...this, digest }, this.held);
  }
}

/** Keyed, ordered by revision, latest wins. Not persistent: positions are valid for its `session` only. */
export class ChangeIndex {
  readonly #entries = new Map<string, Kept>();
  #log: { revision: number; key: string }[] = [];
  #head = 0;
  #floor = 0;
  #live = 0;
  readonly #tombstones = new Set<string>();
  readonly #maxTombstones: number;
  readonly #listeners = new Set<() => void>();
  /** Keys whose deletion is requested, and those that this side's store is deleting. */
  readonly #requested = new Set<string>();
  readonly #terminating = new Set<string>();
  #standby = false;
  /**
   * Keys whose state in the store cannot be used, each with the reason: the index keeps the state before it, or none, and then the
   * absence says nothing.
   */
  readonly withheld = new Map<string, string>();
  /** Hears of each key that is withheld, and why. */
  onWithheld: (key: string, reason: string) => void = () => {};
  /** The digests of all live entries. */
  readonly digests = new DigestTable();

  /** @param session names this index's revisions; a position of another session is meaningless here */
  constructor(readonly session: string, options: IndexOptions = {}) {
    this.#maxTombstones = options.maxTombstones ?? 10_000;
  }

  /** The newest revision. */
  get head(): number {
    return this.#head;
  }

  /** Readers below this revision may have missed a dropped tombstone. */
  get floor(): number {
    return this.#floor;
  }

  /** The number of live resources. */
  get size(): number {
    return this.#live;
  }

  /** Log entries held, stale ones included: for tests of the bound. */
  get logLength(): number {
    return this.#log.length;
  }

  /** The latest state of a key; a tombstone is a state. */
  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** The entry of a key that exists. */
  present(key: string): Entry | undefined {
    const entry = this.#entries.get(key);
    return entry?.deleted ? undefined : entry;
  }

  /** Handling the state of a key failed: it is withheld until its next one. */
  withhold(key: string, reason: string): void {
    const text = reason.slice(0, MAX_REASON);
    if (this.withheld.get(key) === text) return;
    this.withheld.set(key, text);
    this.onWithheld(key, text);
  }

  /** Whether this index cannot say if a key exists. */
  isUnsaid(key: string): boolean {
    return this.withheld.has(key) && this.present(key) === undefined;
  }

  /** Live entries, in no particular order. */
  *live(): Generator<Entry> {
    for (const entry of this.#entries.values()) if (!entry.deleted) yield entry;
  }

  /**
   * Whether this side holds a copy of another's state. A copy that is being deleted is not what the leader has, whatever its content: it
   * then counts with another digest.
   */
  set standby(standby: boolean) {
    if (standby === this.#standby) return;
    this.#standby = standby;
    for (const key of this.#terminating) {
      const entry = this.#entries.get(key) as Kept;
      const digest = inverted(entry.digest);
      this.digests.toggle(key, entry.digest);
      this.digests.toggle(key, digest);
      this.#entries.set(key, entry.under(digest));
    }
  }

  get standby(): boolean {
    return this.#standby;
  }

  /** Entries whose deletion is requested and not carried out. */
  requested(): Entry[] {
    return [...this.#requested].map((key) => this.#entries.get(key) as Entry);
  }

  /** Entries that this side's store is deleting. */
  terminating(): Entry[] {
    return [...this.#terminating].map((key) => this.#entries.get(key) as Entry);
  }

  /** Records a key's state. Returns false, without a new revision, if the content is unchanged. */
  put(key: string, state: Written): boolean {
    const before = this.#entries.get(key);
    const { payload, version, now, local = "", deletionRequested = "", terminating = false } = state;
    const digest = terminating && this.#standby ? inverted(state.digest) : state.digest;
    if (before && !before.deleted) {
      const same = before.digest === digest && before.payload === state.payload;
      if (same && before.local === local) {
        before.version = version;
        return false;
      }
      this.digests.toggle(key, before.digest);
    } else {
      this.#live++;
      this.#tombstones.delete(key);
    }
    this.digests.toggle(key, digest);
    const revision = this.#head + 1;
    const contentAt = before && isStatusOnly(before.payload, payload) ? before.contentAt : now;
    const entry = {
      key,
      revision,
      digest,
      local,
      version,
      deleted: false,
      deletionRequested,
      terminating,
      changedAt: now,
      contentAt,
    };
    this.#append(new Kept(entry, pack(payload)));
    return true;
  }

  /** Records a deletion; `concluded`: no watch saw it. Returns false if the key is unknown or already deleted. */
  remove(key: string, version: string, now: number, concluded = false): boolean {
    const before = this.#entries.get(key);
    if (!before || before.deleted) return false;
    this.digests.toggle(key, before.digest);
    this.#live--;
    this.#tombstones.add(key);
    const revision = this.#head + 1;
    const entry = {
      key,
      revision,
      digest: "",
      local: "",
      version,
      deleted: true,
      deletionRequested: "",
      terminating: false,
      concluded,
      changedAt: now,
      contentAt: now,
    };
    this.#append(new Kept(entry, ""));
    this.#forgetTombstones();
    return true;
  }

  /**
   * The keys changed after `revision`, oldest change first, each once, at most `limit`, those that `accept`
   * takes. `position` is where a reader stands who has these: its next `revision`.
   */
  since(revision: number, limit: number, accept?: (entry: Entry) => boolean): {
    entries: Entry[];
    position: number;
  } {
    const entries: Entry[] = [];
    for (let i = this.#firstAfter(revision); i < this.#log.length; i++) {
      const entry = this.#liveAt(i);
      if (!entry || (accept && !accept(entry))) continue;
      if (entries.length === limit) return { entries, position: entries.at(-1)?.revision ?? revision };
      entries.push(entry);
    }
    return { entries, position: Math.max(revision, this.#head) };
  }

  /** The number of keys that changed after `revision`. */
  countSince(revision: number): number {
    let count = 0;
    for (let i = this.#firstAfter(revision); i < this.#log.length; i++) if (this.#liveAt(i)) count++;
    return count;
  }

  /** Calls `listener` after every change until the returned function is called. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #append(entry: Kept): void {
    this.#head = entry.revision;
    this.#entries.set(entry.key, entry);
    note(this.#requested, entry.key, entry.deletionRequested !== "");
    note(this.#terminating, entry.key, entry.terminating);
    this.#log.push({ revision: entry.revision, key: entry.key });
    if (this.#log.length > 2 * this.#entries.size + COMPACT_SLACK) {
      this.#log = this.#log.filter((_, i) => this.#liveAt(i) !== undefined);
    }
    for (const listener of this.#listeners) listener();
  }

  #forgetTombstones(): void {
    while (this.#tombstones.size > this.#maxTombstones) {
      const oldest = this.#tombstones.values().next().value as string;
      this.#tombstones.delete(oldest);
      this.#floor = Math.max(this.#floor, this.#entries.get(oldest)?.revision ?? 0);
      this.#entries.delete(oldest);
    }
  }

  #liveAt(i: number): Entry | undefined {
    const slot = this.#log[i];
    const entry = slot && this.#entries.get(slot.key);
    return entry?.revision === slot?.revision ? entry : undefined;
  }

  #firstAfter(revision: number): number {
    let low = 0;
    let high = this.#log.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#log[middle]?.revision ?? 0) <= revision) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

function note(keys: Set<string>, key: string, belongs: boolean): void {
  if (belongs) keys.add(key);
  else keys.delete(key);
}

/** Another digest, which no content has but by chance; twice it is the first. */
function inverted(digest: Digest): Digest {
  return digest.replace(/./g, (digit) => (15 - Number.parseInt(digit, 16)).toString(16));
}

/**
 * Whether two payloads differ in no more than their status, which stands last in canonical JSON. Where something inside looks like it,
 * a change of the status counts as one of the content, never the other way round.
 */
function isStatusOnly(before: string, after: string): boolean {
  const end = after.lastIndexOf(STATUS);
  if (end < 0) return false;
  const first = before.lastIndexOf(STATUS);
  return before.slice(0, first < 0 ? -1 : first) === after.slice(0, end);
}
