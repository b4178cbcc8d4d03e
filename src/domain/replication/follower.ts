/**
 * The replica's side of one `Link/Follow` stream: its answers, its writes, when a snapshot is applied, and where the
 * next stream resumes. The `Applier` and the position outlive streams. A broken stream drops changes that were
 * received but not written; the next stream resends them from the position, which never passes a change that is not
 * durable.
 */
import { bucketOf, type Digest } from "../changes/digest.ts";
import type { ChangeIndex } from "../changes/index.ts";
import type { Position } from "../changes/cursor.ts";
import { Marks } from "../changes/marks.ts";
import { RETRY_WRITE } from "../../base/backoff.ts";
import { Applier, type DeletionGate, type IncomingChange } from "./applier.ts";
import { ProtocolError } from "./leader.ts";

/** The fields of a `Changes` message beside the changes themselves. */
export interface ChangesHeader {
  firstSequence: number;
  count: number;
  revision: number;
  snapshot: boolean;
  snapshotEnd: boolean;
  snapshotRemaining: number;
}

/** A leader's heartbeat: the state of its side. */
export interface LeaderBeat {
  /** The last sequence number sent, and how many changes wait to be sent. */
  sequence: number;
  pending: number;
  /** The root of its digest table; empty if unknown. */
  digest: string;
  /** The newest revision of its index. */
  revision: number;
  /** The send time, on our own clock, of the last message that the leader had from us; 0 before the first. */
  saidAtMs: number;
  /** When it was sent, on the leader's clock; 0: an older release. */
  sentAtMs: number;
}

/** Heartbeats kept until their revision is applied; at the bound every other one is dropped. */
const MAX_BEATS = 64;

/** Consecutive heartbeats with a different digest that mean drift. */
export const DRIFT_HEARTBEATS = 3;

/** The most entries in one Have message. */
export const HAVE_BATCH = 5_000;

/** One stream's state on the replica. Pure: the transport feeds it messages and asks it for answers. */
export class FollowerProtocol {
  readonly applier: Applier;
  #session = "";
  readonly #marks = new Marks();
  #snapshotEndAt: number | undefined;
  #snapshotTotal = 0;
  #leaderSequence = 0;
  #leaderPending = 0;
  #differed = 0;
  #same = false;
  #equalAtMs = 0;
  #beats: { revision: number; saidAtMs: number }[] = [];
  #inSyncAsOfMs: number | undefined;
  #phase: "welcome" | "snapshot" | "live" = "welcome";

  /**
   * @param position where an earlier stream stopped
   * @param helloAtMs when this one was requested, on our own clock
   * @param gate decides about deletions; those of a snapshot are `concluded`
   */
  constructor(
    private readonly index: ChangeIndex,
    private readonly position: Position,
    private readonly helloAtMs = 0,
    gate?: DeletionGate,
  ) {
    this.applier = new Applier(0, RETRY_WRITE, gate);
  }

  /** Reads the leader's first message; returns the Have batches to send, none on a resumed stream. */
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

  /** Reads a message of changes, which must continue the earlier ones without a gap. */
  changes(header: ChangesHeader, changes: readonly IncomingChange[]): void {
    if (this.#phase === "welcome") throw new ProtocolError("changes before the Welcome");
    if (header.firstSequence !== this.applier.received + 1) {
      throw new ProtocolError(`change ${header.firstSequence} after ${this.applier.received}`);
    }
    this.applier.offer(header.snapshot ? changes.map((change) => ({ ...change, concluded: true })) : changes);
    const sequence = header.firstSequence + header.count - 1;
    if (header.revision > 0) this.#marks.push(sequence, header.revision);
    if (header.snapshot) this.#snapshotTotal = this.applier.received + header.snapshotRemaining;
    if (header.snapshotEnd) this.#snapshotEndAt = sequence;
    this.#leaderSequence = Math.max(this.#leaderSequence, sequence);
  }

  /**
   * Reads a heartbeat. Returns true when this copy has drifted: everything was applied and the digests differ in
   * several heartbeats in a row (a single one may be older than a write in flight).
   *
   * @param received the digest of what the leader sent last, where others have changed copies here: those are known
   */
  heartbeat(
    { sequence, pending, digest, revision, saidAtMs, sentAtMs }: LeaderBeat,
    received: Digest = this.index.digests.root(),
  ): boolean {
    if (saidAtMs > 0) this.#beats.push({ revision, saidAtMs });
    if (this.#beats.length > MAX_BEATS) this.#beats = this.#beats.filter((_, i) => i % 2 === 0);
    this.#leaderSequence = Math.max(this.#leaderSequence, sequence);
    this.#leaderPending = pending;
    const comparable = this.live && this.behind === 0 && digest !== "";
    this.#same = comparable && digest === this.index.digests.root();
    if (this.#same) this.#equalAtMs = sentAtMs;
    this.#differed = comparable && digest !== received ? this.#differed + 1 : 0;
    return this.#differed >= DRIFT_HEARTBEATS;
  }

  /**
   * Call after each answer to a write. Returns true once, when the snapshot has just become complete: every change
   * of it is durable or held. A held key shows in status and must not keep the replica from taking over.
   */
  settle(): boolean {
    if (!this.compared || this.#phase !== "snapshot") return false;
    if (this.applier.undecided > 0 || this.applier.processed < (this.#snapshotEndAt ?? 0)) return false;
    this.#phase = "live";
    if (this.applier.heldCount === 0 && this.helloAtMs > 0) this.#inSyncAsOfMs = this.helloAtMs;
    return true;
  }

  /** Whether no change of a snapshot is still to come. */
  get compared(): boolean {
    return this.#phase === "live" || this.#snapshotEndAt !== undefined;
  }

  /** Where the next stream may resume: nowhere while this copy was not found complete, whatever has been written since. */
  get resumeAt(): Position {
    const revision = this.live ? this.#marks.reached(this.applier.applied) : 0;
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

  /** When the leader sent the last heartbeat that found so, on its clock; 0: none has. */
  get equalAtMs(): number {
    return this.#equalAtMs;
  }

  /**
   * The latest time, on our own clock, up to which nothing of the leader's is missing here: everything that it held
   * when it heard our message of that time is durable. Undefined if this stream knows no such time.
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
