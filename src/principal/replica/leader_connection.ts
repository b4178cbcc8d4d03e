/**
 * One `Link/Follow` stream to the leader: it carries what `FollowerProtocol` decides, from the hello to the end, and tells the state
 * machine what it learns. A copy that drifted ends the stream, because a new one begins by comparing digests.
 */
import { onAbort } from "../../base/abort.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Position } from "../../domain/changes/cursor.ts";
import { holdsForeignData } from "../../domain/ha/lineage.ts";
import type { StorePoint } from "../../domain/ha/store_history.ts";
import { copyText, leaderProblem } from "../../domain/ha/sentences.ts";
import type { LeaderBeat } from "../../domain/replication/follower.ts";
import type { IncomingChange } from "../../domain/replication/applier.ts";
import { FollowerProtocol } from "../../domain/replication/follower.ts";
import { ProtocolError } from "../../domain/replication/leader.ts";
import {
  type FollowerMessage,
  type HeardFromLeader,
  HEARTBEAT_MS,
  type IncomingChanges,
  SILENCE_MS,
} from "../../domain/replication/messages.ts";
import { commonCoverage } from "../../domain/resources/coverage.ts";
import type { FollowStream, PeerConnection } from "../ports/peer.ts";
import type { StreamEvents } from "../ports/stream.ts";
import { AckPacer } from "./ack_pacer.ts";
import { ApplyPump } from "./apply_pump.ts";
import {
  type FollowEnd,
  type Followership,
  keepInSync,
  MAX_HELD_SHOWN,
  NOWHERE,
  tellCaughtUp,
  tellProgress,
} from "./followership.ts";
import { tracedApply } from "./traced_apply.ts";
import { Unkept } from "./unkept.ts";
import { Unsaid } from "./unsaid.ts";

/** Drift that comparing does not cure must not keep the stream from running. */
const DRIFT_EVERY_MS = 60_000;

type Welcome = Extract<HeardFromLeader, { type: "welcome" }>;

/** Follows until the stream ends or the signal aborts; never rejects. */
export function followLeader(
  peer: PeerConnection,
  followership: Followership,
  position: Position,
  signal: AbortSignal,
): Promise<FollowEnd> {
  return new LeaderConnection(peer, followership, position, signal).ended;
}

class LeaderConnection implements StreamEvents<HeardFromLeader> {
  readonly #end = Promise.withResolvers<FollowEnd>();
  readonly #protocol: FollowerProtocol;
  readonly #pump: ApplyPump;
  readonly #acks = new AckPacer(() => this.#guard(() => this.#acknowledge()));
  readonly #stream: FollowStream<FollowerMessage>;
  readonly #timer: ReturnType<typeof setInterval>;
  #answered = false;
  #finished = false;
  #lastHeardMs = monotonicMs();
  #drifted = false;
  /** The newest revision of our own index in the digests that are compared. */
  readonly #comparedAt: number;
  #welcomedAtMs = 0;
  /** This store never held the leader's data. */
  #foreign = false;
  readonly #unkept = new Unkept();
  /** Objects of which the leader does not say whether they exist; and in a comparison those that this copy never had. */
  #unsaid: { leader: Unsaid; copy: Unsaid } | undefined;
  #unlisten = () => {};

  constructor(
    private readonly peer: PeerConnection,
    private readonly followership: Followership,
    private readonly position: Position,
    signal: AbortSignal,
  ) {
    const { index, writer, deletions, tracing } = followership;
    this.#protocol = new FollowerProtocol(index, position, monotonicMs(), deletions);
    this.#pump = new ApplyPump(this.#protocol.applier, {
      apply: (change) =>
        tracedApply(tracing, change, () => this.#unkept.applying(change, (one) => writer.apply(one))),
      decide: () => deletions.tick(!this.#protocol.compared),
      settled: () => this.#settled(),
      live: () => this.#protocol.live,
    }, followership);
    deletions.attach({ applier: this.#protocol.applier, resume: () => this.#pump.kick() });
    this.#stream = peer.follow(this);
    this.#timer = setInterval(() => this.#guard(() => this.#beat()), HEARTBEAT_MS);
    this.#unlisten = onAbort(signal, () => this.closed(new Error("stopped")));
    this.#comparedAt = index.head;
    this.#stream.send({
      type: "hello",
      standing: followership.standing(),
      resume: position,
      buckets: index.digests.toBytes(),
    });
  }

  get ended(): Promise<FollowEnd> {
    return this.#end.promise;
  }

  received(message: HeardFromLeader): void {
    this.#guard(() => this.#take(message));
  }

  drained(): void {}

  closed(error: unknown = new Error("the peer closed the stream")): void {
    void this.#finish(error);
  }

  #take(message: HeardFromLeader): void {
    this.#lastHeardMs = monotonicMs();
    switch (message.type) {
      case "welcome":
        this.#welcome(message);
        break;
      case "changes":
        this.followership.peerStore.saw(message.store);
        this.#changes(message.changes);
        break;
      case "heartbeat":
        this.#heartbeat(message.beat);
        this.followership.peerStore.saw(message.standing?.store);
        if (message.standing) this.followership.voice.heard(message.standing);
    }
    this.#report();
  }

  #welcome({ standing: peer, session, resumed, differing, marks }: Welcome): void {
    const { model, following, counters, input, deletions, voice } = this.followership;
    const problem = peer && (voice.problemOf(peer) || leaderProblem(peer, model().memory));
    if (problem) throw new ProtocolError(problem);
    this.#answered = true;
    const restored = this.#restored(marks);
    this.#foreign = restored || holdsForeignData(model().memory, peer);
    const coverage = peer?.coverage ?? "";
    this.#unsaid = {
      leader: new Unsaid(this.followership, coverage),
      copy: new Unsaid(this.followership, commonCoverage(coverage, model().memory.coverage)),
    };
    this.#welcomedAtMs = monotonicMs();
    const batches = this.#protocol.welcome(session, resumed, differing);
    deletions.welcomed(`${session} ${peer?.epoch ?? model().memory.epoch}`, resumed);
    const resend = (keys: readonly string[]) => this.#stream.send({ type: "resend", keys });
    Object.assign(following, { contract: "link", connected: true, resend });
    if (!resumed) counters.increment("snapshots");
    input({ type: "welcomed", peer, resumed });
    this.followership.forwarded.open(this.peer);
    for (const { entries, last } of batches) this.#stream.send({ type: "have", entries, last });
  }

  /** Whether the leader's store went back: what this side has more of is then nothing that was deleted or is out of date. */
  #restored(marks: readonly StorePoint[]): boolean {
    const { peerStore, following, log } = this.followership;
    const restored = peerStore.welcomed(marks);
    following.leaderRestored = restored;
    if (restored !== undefined) {
      log.warn(
        "the leader's store is older than what this side had of it: it was restored from a backup, or lost; newer states here are " +
          "kept before they are overwritten, and nothing that it lacks is deleted: ha reconcile lists them",
        { event: "losses_kept", copy: copyText(restored) },
      );
    }
    return restored !== undefined;
  }

  #changes({ header, changes }: IncomingChanges): void {
    const { counters, following, deletions } = this.followership;
    counters.add("eventsReceived", changes.length);
    following.lastEventMs = Date.now();
    this.#protocol.changes(header, changes.map((change) => this.#told(change, header.snapshot)));
    if (header.snapshotEnd) deletions.compared();
    this.#pump.kick();
    this.#settled();
  }

  /** A change, and whether it may be about an object that never was the leader's. */
  #told(change: IncomingChange, compared: boolean): IncomingChange {
    if (this.#foreign && compared) return { ...change, foreign: true };
    const unsaid = compared ? this.#unsaid?.copy : this.#unsaid?.leader;
    return unsaid?.has(change.key) ? { ...change, foreign: true } : change;
  }

  /** Compares a copy that drifted (another writer changed this store), at most once in `DRIFT_EVERY_MS`. */
  #heartbeat(beat: LeaderBeat): void {
    const { drift, index } = this.followership;
    const drifted = this.#protocol.heartbeat(beat, drift.received(index.digests.root()));
    if (this.#protocol.same) this.followership.comparison.equal(monotonicMs());
    tellCaughtUp(this.followership, this.#protocol, this.#welcomedAtMs);
    if (!drifted) return;
    const { following } = this.followership;
    if (monotonicMs() - following.driftAtMs < DRIFT_EVERY_MS && following.driftAtMs > 0) return;
    following.driftAtMs = monotonicMs();
    this.#drifted = true;
    throw new Error(
      "this copy differs from the active's although every change was applied; comparing digests",
    );
  }

  #settled(): void {
    if (this.#finished) return;
    const { input, losses, drift } = this.followership;
    const { applier } = this.#protocol;
    tellProgress(this.followership, this.#protocol);
    if (!this.#unkept.some && this.#protocol.settle()) {
      drift.compared((key) => applier.isPending(key));
      // A resource that has not changed since the comparison is the leader's, unless a held change waits to overwrite it.
      if (applier.heldCount === 0) losses.proved(this.#comparedAt);
      this.followership.peerStore.complete();
      input({ type: "snapshotApplied" });
    }
    this.#report();
    this.#acks.kick();
  }

  #acknowledge(): void {
    const { applier } = this.#protocol;
    this.#stream.send({
      type: "ack",
      ack: {
        received: applier.received,
        unwritten: applier.pending,
        processed: applier.processed,
        applied: applier.applied,
        held: applier.held(MAX_HELD_SHOWN).map(({ key, reason }) => ({ key, reason })),
        heldTotal: applier.heldCount,
        standing: this.followership.standing(),
        saidAtMs: monotonicMs(),
        equalAtMs: this.#protocol.equalAtMs,
      },
    });
  }

  #beat(): void {
    if (monotonicMs() - this.#lastHeardMs > SILENCE_MS) {
      throw new ProtocolError(`nothing heard from the peer for ${SILENCE_MS / 1000} s`);
    }
    if (this.#answered) this.#acknowledge();
  }

  #report(): void {
    const { applier, behind, inSyncAsOfMs } = this.#protocol;
    Object.assign(this.followership.following, {
      behind,
      held: applier.held(MAX_HELD_SHOWN),
      heldTotal: applier.heldCount,
      guarded: applier.guardedCount,
      lastSequence: applier.applied,
      ...(inSyncAsOfMs !== undefined ? { inSyncAsOfMs } : {}),
    });
    if (inSyncAsOfMs !== undefined) keepInSync(this.followership, inSyncAsOfMs);
  }

  #guard(act: () => void): void {
    if (this.#finished) return;
    try {
      act();
    } catch (error) {
      this.closed(error);
    }
  }

  async #finish(error: unknown): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    clearInterval(this.#timer);
    this.#unlisten();
    Object.assign(this.followership.following, { connected: false, resend: undefined });
    this.#stream.cancel();
    this.followership.forwarded.close();
    this.followership.deletions.detach();
    void this.followership.peerStore.flush();
    await this.#pump.stop();
    const reached = this.#protocol.resumeAt;
    // A former ACTIVE that has not caught up must find by comparing what it holds alone.
    const compare = this.#drifted || this.followership.model().memory.formerActive;
    const position = compare ? NOWHERE : this.#answered ? reached : this.position;
    this.#end.resolve({ position, answered: this.#answered, error });
  }
}
