/**
 * The leader's side of one `Link/Follow` stream. A cursor resumes from the replica's position, if this index still
 * knows it. Otherwise both compare digest tables and only the keys that differ travel, lower ranks first; then the
 * cursor continues from the revision of the comparison. A key that the index does not know is not therefore deleted,
 * because a watch may be late: it is read from the store first (`toLookUp`, `looked`). `LeaderLimits` bounds the rest.
 */
import { sortBy } from "@std/collections/sort-by";
import { canResume, Cursor } from "../changes/cursor.ts";
import { bucketOf } from "../changes/digest.ts";
import type { ChangeIndex, Entry } from "../changes/index.ts";
import type { TraceContext } from "../events/trace.ts";
import { Marks } from "../changes/marks.ts";
import { parseKey } from "../resources/keys.ts";
import { rankOf } from "../resources/kinds.ts";

/** The bounds of one stream: changes in flight, and the size of a message. Nothing else is kept for a replica. */
export interface LeaderLimits {
  windowChanges: number;
  /** Of the changes in flight; a replica holds each as text and, while it writes it, parsed. One message more may be under way. */
  windowBytes: number;
  maxMessageChanges: number;
  maxMessageBytes: number;
  /** Keys that a replica may name in Have messages; a peer that names more is broken or hostile. */
  maxHaveKeys: number;
}

export const LEADER_LIMITS: LeaderLimits = {
  windowChanges: 2_000,
  windowBytes: 32 << 20,
  maxMessageChanges: 500,
  maxMessageBytes: 1 << 20,
  maxHaveKeys: 2_000_000,
};

/** One outgoing change; `entry` undefined means that the key does not exist here. */
export interface OutgoingChange {
  key: string;
  entry?: Entry;
  trace?: TraceContext;
}

/** One message of changes. */
export interface Outgoing {
  firstSequence: number;
  changes: OutgoingChange[];
  /** See `Changes.revision` in link.proto. */
  revision: number;
  snapshot: boolean;
  snapshotEnd: boolean;
  snapshotRemaining: number;
}

/** How a stream begins: resumed, or with the buckets to compare. */
export interface Opening {
  resumed: boolean;
  differing: number[];
}

/** A replica broke the protocol; the message says how. */
export class ProtocolError extends Error {}

/** The leader's state of one stream. Pure: the transport calls `next` whenever its state may have changed. */
export class LeaderProtocol {
  #phase: "hello" | "have" | "looking" | "snapshot" | "live" = "hello";
  /** Messages that the replica has not processed as a whole. */
  readonly #inFlight: { sequence: number; bytes: number }[] = [];
  #bytesInFlight = 0;
  #differing = new Set<number>();
  readonly #have = new Map<string, string>();
  /** Keys being looked up in the store: for the snapshot, and because the replica requested them. */
  readonly #looking = { snapshot: new Set<string>(), resend: new Set<string>() };
  #toLookUp: string[] = [];
  #snapshot: string[] = [];
  #snapshotAt = 0;
  readonly #resend = new Set<string>();
  /** Changes that were resent and are not applied: what the replica had acknowledged of them counts no longer. */
  #resent: { sequence: number; revision: number }[] = [];
  #cursor: Cursor;
  #sequence = 0;
  #processed = 0;
  #applied = 0;
  #received = 0;
  readonly #marks = new Marks();
  readonly #receivedMarks = new Marks();

  constructor(private readonly index: ChangeIndex, private readonly limits: LeaderLimits = LEADER_LIMITS) {
    this.#cursor = new Cursor(index, index.head);
  }

  /** The replica's first message. */
  hello(resume: { session: string; revision: number }, buckets: Uint8Array): Opening {
    if (this.#phase !== "hello") throw new ProtocolError("a second Hello on one stream");
    if (canResume(this.index, resume)) {
      this.#phase = "live";
      this.#cursor = new Cursor(this.index, resume.revision);
      this.#mark(0, resume.revision);
      return { resumed: true, differing: [] };
    }
    // Starts here and not at the answer: a key that changes meanwhile may be in a bucket that was equal.
    this.#cursor = new Cursor(this.index, this.index.head);
    const differing = this.index.digests.differing(buckets);
    this.#differing = new Set(differing);
    this.#phase = "have";
    return { resumed: false, differing };
  }

  /** The replica's keys in the buckets that differ; the last call starts the snapshot. */
  have(entries: readonly { key: string; digest: string }[], last: boolean): void {
    if (this.#phase !== "have") throw new ProtocolError("Have without a comparison");
    for (const { key, digest } of entries) {
      if (!this.#differing.has(bucketOf(key))) throw new ProtocolError("Have names a bucket not asked for");
      if (!parseKey(key)) throw new ProtocolError("Have names a malformed key");
      this.#have.set(key, digest);
      if (this.#have.size > this.limits.maxHaveKeys) throw new ProtocolError("Have names too many keys");
    }
    if (last) this.#begin();
  }

  /** Resends the present state of keys that the replica requests; a key that does not exist here is sent as deleted. */
  resend(keys: readonly string[]): void {
    for (const key of keys) {
      if (!parseKey(key)) throw new ProtocolError("Again names a malformed key");
      if (this.index.get(key)) this.#resend.add(key);
      else if (!this.#looking.snapshot.has(key) && !this.#looking.resend.has(key)) {
        this.#looking.resend.add(key);
        this.#toLookUp.push(key);
      }
    }
    if (this.#resend.size + this.#looking.resend.size > this.limits.windowChanges) {
      throw new ProtocolError("Again names too many keys");
    }
  }

  /** Keys for the caller to read from the store into the index; `looked` answers each. */
  toLookUp(): string[] {
    return this.#toLookUp.splice(0);
  }

  /** The index now shows the store's state of a key. */
  looked(key: string): void {
    const said = !this.index.isUnsaid(key);
    if (this.#looking.resend.delete(key) && said) this.#resend.add(key);
    if (this.#looking.snapshot.delete(key) && said) this.#snapshot.push(key);
    this.#start();
  }

  /** The replica's progress; numbers beyond what was sent are a protocol error. @param received 0: it does not tell */
  ack(processed: number, applied: number, received = 0): void {
    if (processed > this.#sequence || applied > processed) {
      throw new ProtocolError(`acknowledged ${applied}/${processed} of ${this.#sequence} sent`);
    }
    this.#processed = Math.max(this.#processed, processed);
    while ((this.#inFlight[0]?.sequence ?? Infinity) <= this.#processed) {
      this.#bytesInFlight -= this.#inFlight.shift()?.bytes ?? 0;
    }
    this.#applied = Math.max(this.#applied, applied);
    this.#resent = this.#resent.filter(({ sequence }) => sequence > this.#applied);
    // An older release does not tell what has arrived: then no more counts than what is durable.
    this.#received = Math.max(this.#received, this.#applied, Math.min(received, this.#sequence));
  }

  /** The next message, or undefined when no change waits or the window is full. */
  next(): Outgoing | undefined {
    if (this.#phase === "snapshot") return this.#nextOfSnapshot();
    if (this.#phase !== "live") return undefined;
    const room = this.#room();
    if (room === 0) return undefined;
    const changes: OutgoingChange[] = [];
    let bytes = 0;
    for (const key of this.#resend) {
      if (changes.length === room) break;
      this.#resend.delete(key);
      changes.push(this.#now(key));
      const revision = this.index.get(key)?.revision;
      if (revision !== undefined) this.#resent.push({ sequence: this.#sequence + changes.length, revision });
    }
    while (changes.length < room && bytes < this.limits.maxMessageBytes) {
      const [entry] = this.#cursor.read(1);
      if (!entry) break;
      changes.push({ key: entry.key, entry });
      bytes += entry.size;
    }
    if (changes.length === 0) return undefined;
    return this.#message(changes, { revision: this.#cursor.revision });
  }

  /** Changes waiting to be sent. */
  get pending(): number {
    const snapshot = this.#snapshot.length - this.#snapshotAt;
    const looking = this.#looking.snapshot.size + this.#looking.resend.size;
    return snapshot + looking + this.#resend.size + this.#cursor.pending;
  }

  /** The last sequence number sent. */
  get sent(): number {
    return this.#sequence;
  }

  /** Everything up to this sequence number is durable at the replica. */
  get applied(): number {
    return this.#applied;
  }

  /** Everything up to this revision of the index is durable at the replica; 0 during a snapshot. */
  get appliedRevision(): number {
    if (this.#phase !== "live") return 0;
    const resent = this.#resent.map(({ revision }) => revision - 1);
    return Math.min(this.#marks.reached(this.#applied), ...resent);
  }

  /** Everything up to this revision of the index has arrived at the replica; undefined during a snapshot. */
  get receivedRevision(): number | undefined {
    return this.#phase === "live" ? this.#receivedMarks.reached(this.#received) : undefined;
  }

  /** Changes that were resent and have not arrived there. */
  get resending(): number {
    return this.#resent.filter(({ sequence }) => sequence > this.#received).length;
  }

  #mark(sequence: number, revision: number): void {
    this.#marks.push(sequence, revision);
    this.#receivedMarks.push(sequence, revision);
  }

  #room(): number {
    if (this.#bytesInFlight >= this.limits.windowBytes) return 0;
    const room = this.limits.windowChanges - (this.#sequence - this.#processed);
    return Math.max(0, Math.min(room, this.limits.maxMessageChanges));
  }

  #begin(): void {
    for (const entry of this.index.live()) {
      if (!this.#differing.has(bucketOf(entry.key))) continue;
      if (this.#have.get(entry.key) !== entry.digest) this.#snapshot.push(entry.key);
      this.#have.delete(entry.key);
    }
    for (const key of this.#have.keys()) {
      if (this.index.get(key)) this.#snapshot.push(key);
      else this.#looking.snapshot.add(key);
    }
    this.#have.clear();
    this.#toLookUp = [...this.#toLookUp, ...this.#looking.snapshot];
    this.#phase = "looking";
    this.#start();
  }

  /** Starts the snapshot once no key of it is being looked up. */
  #start(): void {
    if (this.#phase !== "looking" || this.#looking.snapshot.size > 0) return;
    const rank = (key: string) => rankOf({ kind: key.slice(0, key.indexOf("/")) });
    this.#snapshot = sortBy(this.#snapshot, rank);
    this.#phase = "snapshot";
  }

  #nextOfSnapshot(): Outgoing | undefined {
    const remaining = this.#snapshot.length - this.#snapshotAt;
    const room = Math.min(this.#room(), remaining);
    if (room === 0 && remaining > 0) return undefined;
    const changes: OutgoingChange[] = [];
    let bytes = 0;
    while (changes.length < room && bytes < this.limits.maxMessageBytes) {
      const key = this.#snapshot[this.#snapshotAt++] as string;
      const change = this.#now(key);
      changes.push(change);
      bytes += change.entry?.size ?? 0;
    }
    const left = this.#snapshot.length - this.#snapshotAt;
    if (left > 0) return this.#message(changes, { snapshot: true, snapshotRemaining: left });
    this.#phase = "live";
    this.#snapshot = [];
    this.#snapshotAt = 0;
    return this.#message(changes, { snapshot: true, snapshotEnd: true, revision: this.#cursor.revision });
  }

  #now(key: string): OutgoingChange {
    const entry = this.index.present(key);
    return entry ? { key, entry } : { key };
  }

  #message(changes: OutgoingChange[], rest: Partial<Outgoing>): Outgoing {
    const firstSequence = this.#sequence + 1;
    this.#sequence += changes.length;
    const bytes = changes.reduce((sum, { entry }) => sum + (entry?.size ?? 0), 0);
    this.#inFlight.push({ sequence: this.#sequence, bytes });
    this.#bytesInFlight += bytes;
    const revision = rest.revision ?? 0;
    if (revision > 0) this.#mark(this.#sequence, revision);
    const defaults = { revision, snapshot: false, snapshotEnd: false, snapshotRemaining: 0 };
    return { ...defaults, ...rest, firstSequence, changes };
  }
}
