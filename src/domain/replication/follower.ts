/**
 * The replica's side of one `Link/Follow` stream: what to answer, what to write, when a snapshot is applied, and
 * where to go on after the stream breaks.
 *
 * The `Applier` and the position outlive streams; a `FollowerStream` is one stream. Changes that were received
 * but not yet written when a stream breaks are dropped: the next stream sends them again from the position, which
 * never passes a change that is not durable.
 */
import { bucketOf } from "../changes/digest.ts";
import type { ChangeIndex } from "../changes/index.ts";
import type { Position } from "../changes/cursor.ts";
import { Marks } from "../changes/marks.ts";
import { Applier, type IncomingChange } from "./applier.ts";
import { ProtocolError } from "./leader.ts";

/** What a `Changes` message says beside the changes themselves. */
export interface ChangesHeader {
  firstSequence: number;
  count: number;
  revision: number;
  snapshot: boolean;
  snapshotEnd: boolean;
  snapshotRemaining: number;
}

/** What a leader's heartbeat says of its side. */
export interface LeaderBeat {
  /** The last sequence number sent, and how many changes wait to be sent. */
  sequence: number;
  pending: number;
  /** The root of its digest table; empty: not said. */
  digest: string;
  /** The newest revision of its index. */
  revision: number;
  /** When the last that it had heard of us was said, on our own clock; 0: it has heard nothing. */
  saidAtMs: number;
}

/** Heartbeats remembered until their revision is applied; with more, every other one is forgotten. */
const MAX_BEATS = 64;

/** Heartbeats in a row with another digest that mean drift. */
export const DRIFT_HEARTBEATS = 3;

/** Entries a Have message carries at most. */
export const HAVE_BATCH = 5_000;

/** One stream's state on the replica. Pure: the transport feeds it messages and asks it what to say. */
export class FollowerStream {
  readonly applier = new Applier();
  #session = "";
  readonly #marks = new Marks();
  #snapshotEndAt: number | undefined;
  #snapshotTotal = 0;
  #leaderSequence = 0;
  #leaderPending = 0;
  #differed = 0;
  #same = false;
  #beats: { revision: number; saidAtMs: number }[] = [];
  #inSyncAsOfMs: number | undefined;
  #phase: "welcome" | "snapshot" | "live" = "welcome";

  /** @param position where an earlier stream stopped @param helloAtMs when this one was asked for, on our own clock */
  constructor(
    private readonly index: ChangeIndex,
    private readonly position: Position,
    private readonly helloAtMs = 0,
  ) {}

  /** The leader's first message; returns the batches of Have to send: none when the stream is resumed. */
  welcome(session: string, resumed: boolean, differing: readonly number[]): Have[] {
    if (this.#phase !== "welcome") throw new ProtocolError("a second Welcome on one stream");
    if (session === "") throw new ProtocolError("a Welcome without a session");
    this.#session = session;
    if (resumed) {
      if (this.position.session !== session) throw new ProtocolError("resumed a session that is not ours");
      this.#marks.push(0, this.position.revision);
      this.#phase = "live";
      return [];
    }
    this.#phase = "snapshot";
    const wanted = new Set(differing);
    const batches: Have[] = [{ entries: [], last: false }];
    for (const { key, digest } of this.index.live()) {
      if (!wanted.has(bucketOf(key))) continue;
      if (batches.at(-1)?.entries.length === HAVE_BATCH) batches.push({ entries: [], last: false });
      batches.at(-1)?.entries.push({ key, digest });
    }
    (batches.at(-1) as Have).last = true;
    return batches;
  }

  /** A message of changes; they must follow on the ones before without a gap. */
  changes(header: ChangesHeader, changes: readonly IncomingChange[]): void {
    if (this.#phase === "welcome") throw new ProtocolError("changes before the Welcome");
    if (header.firstSequence !== this.applier.received + 1) {
      throw new ProtocolError(`change ${header.firstSequence} after ${this.applier.received}`);
    }
    this.applier.offer(changes);
    const sequence = header.firstSequence + header.count - 1;
    if (header.revision > 0) this.#marks.push(sequence, header.revision);
    if (header.snapshot) this.#snapshotTotal = this.applier.received + header.snapshotRemaining;
    if (header.snapshotEnd) this.#snapshotEndAt = sequence;
    this.#leaderSequence = Math.max(this.#leaderSequence, sequence);
  }

  /**
   * What the leader's heartbeat says of its side. True when this copy has drifted: everything was applied and the
   * digests differ, for several heartbeats in a row (one may be older than a write under way).
   */
  heartbeat({ sequence, pending, digest, revision, saidAtMs }: LeaderBeat): boolean {
    if (saidAtMs > 0) this.#beats.push({ revision, saidAtMs });
    if (this.#beats.length > MAX_BEATS) this.#beats = this.#beats.filter((_, i) => i % 2 === 0);
    this.#leaderSequence = Math.max(this.#leaderSequence, sequence);
    this.#leaderPending = pending;
    const comparable = this.live && this.behind === 0 && digest !== "";
    this.#same = comparable && digest === this.index.digests.root();
    this.#differed = comparable && !this.#same ? this.#differed + 1 : 0;
    return this.#differed >= DRIFT_HEARTBEATS;
  }

  /**
   * Call after writes came back. True once: when the snapshot has just become complete, which it is when every
   * change of it is durable or held (a held key shows in status; it must not keep a replica from its duty).
   */
  settle(): boolean {
    if (this.#phase !== "snapshot" || this.#snapshotEndAt === undefined) return false;
    if (this.applier.processed < this.#snapshotEndAt) return false;
    this.#phase = "live";
    if (this.applier.heldCount === 0 && this.helloAtMs > 0) this.#inSyncAsOfMs = this.helloAtMs;
    return true;
  }

  /** Where the next stream may go on. */
  get resumeAt(): Position {
    const revision = this.#marks.reached(this.applier.applied);
    return { session: revision > 0 ? this.#session : "", revision };
  }

  /** Whether this stream has brought the replica up to the leader's state. */
  get live(): boolean {
    return this.#phase === "live";
  }

  /** Whether the last heartbeat found everything applied and both digests equal. */
  get same(): boolean {
    return this.#same;
  }

  /**
   * The latest time, on the clock of what we say, of which nothing that the leader had then is missing here: what it had when it
   * heard what we said at that time is durable. Undefined: no such time is known of this stream.
   */
  get inSyncAsOfMs(): number | undefined {
    if (!this.live || this.#beats.length === 0) return this.#inSyncAsOfMs;
    const reached = this.#marks.reached(this.applier.applied);
    while (this.#beats[0] && this.#beats[0].revision <= reached) {
      this.#inSyncAsOfMs = this.#beats.shift()?.saidAtMs;
    }
    return this.#inSyncAsOfMs;
  }

  /** Snapshot progress in resources. */
  get progress(): { done: number; total: number } {
    return { done: Math.min(this.applier.processed, this.#snapshotTotal), total: this.#snapshotTotal };
  }

  /** Changes that the leader is known to have and that are not durable here. */
  get behind(): number {
    return this.#leaderPending + Math.max(0, this.#leaderSequence - this.applier.applied);
  }
}

/** One Have message. */
export interface Have {
  entries: { key: string; digest: string }[];
  last: boolean;
}
