/** The replica's end of `Link/Follow`. The decisions are `FollowerStream`'s. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { Position } from "../../domain/changes/cursor.ts";
import { leaderProblem } from "../../domain/ha/sentences.ts";
import { FollowerStream } from "../../domain/replication/follower.ts";
import { ProtocolError } from "../../domain/replication/leader.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Context } from "../../principal/core/context.ts";
import { ApplyPump } from "../../principal/replica/apply_pump.ts";
import type { ChangeWriter } from "../../principal/replica/change_writer.ts";
import { openStream } from "./dial.ts";
import { linkService } from "./services.ts";
import {
  changesFromWire,
  digestFromWire,
  digestToWire,
  HEARTBEAT_MS,
  SILENCE_MS,
  standingFromWire,
  standingToWire,
} from "./wire.ts";

type LeaderMessage = argocdagentha.v1.LeaderMessage;
type Stream = grpc.ClientDuplexStream<argocdagentha.v1.FollowerMessage, LeaderMessage>;

/** Acknowledgements that come together travel together: within the first of these, and no more often than the second. */
const ACK_DELAY_MS = 5;
const ACK_EVERY_MS = 20;
/** Held keys named in an acknowledgement. */
const MAX_HELD_SHOWN = 100;

/**
 * A principal that was ACTIVE counts as having given up all of its own when both digests are equal no sooner than this after the stream
 * began: a late watch may still bring to light what was written here before.
 */
const SETTLED_MS = 10_000;
/** Drift that comparing does not cure must not keep the stream from running. */
const DRIFT_EVERY_MS = 60_000;
const NOWHERE: Position = { session: "", revision: 0 };

/** How a stream ended: where to go on, and whether the peer had answered. */
export interface FollowEnd {
  position: Position;
  answered: boolean;
  error: unknown;
}

/** Follows until the stream ends or the signal aborts; never throws. */
export function followLink(
  client: grpc.Client,
  ctx: Context,
  writer: ChangeWriter,
  position: Position,
  signal: AbortSignal,
): Promise<FollowEnd> {
  return new LinkFollower(openStream(client, linkService.Follow), ctx, writer, position, signal).ended;
}

class LinkFollower {
  readonly #end = Promise.withResolvers<FollowEnd>();
  readonly #follower: FollowerStream;
  readonly #pump: ApplyPump;
  readonly #timer: ReturnType<typeof setInterval>;
  #answered = false;
  #finished = false;
  #lastHeardMs = monotonicMs();
  #ackScheduled = false;
  #ackedAtMs = 0;
  #drifted = false;
  /** The newest revision of our own index in the digests that are compared. */
  readonly #comparedAt: number;
  #welcomedAtMs = 0;
  readonly #abort = () => this.#finish(new Error("stopped"));

  constructor(
    private readonly stream: Stream,
    private readonly ctx: Context,
    writer: ChangeWriter,
    private readonly position: Position,
    private readonly signal: AbortSignal,
  ) {
    this.#follower = new FollowerStream(ctx.index, position, monotonicMs());
    this.#pump = new ApplyPump(this.#follower.applier, {
      apply: (change) => writer.apply(change),
      settled: () => this.#settled(),
      live: () => this.#follower.live,
    }, ctx);
    stream.on("data", (message: LeaderMessage) => this.#guard(() => this.#take(message)));
    stream.on("error", (error: unknown) => this.#finish(error));
    stream.on("end", () => this.#finish(new Error("the peer closed the stream")));
    this.#timer = setInterval(() => this.#guard(() => this.#beat()), HEARTBEAT_MS);
    signal.addEventListener("abort", this.#abort);
    if (signal.aborted) this.#abort();
    this.#comparedAt = ctx.index.head;
    stream.write({
      hello: {
        standing: standingToWire(ctx.standing()),
        resume_session: position.session,
        resume_revision: position.revision,
        buckets: ctx.index.digests.toBytes(),
      },
    });
  }

  get ended(): Promise<FollowEnd> {
    return this.#end.promise;
  }

  #take(message: LeaderMessage): void {
    this.#lastHeardMs = monotonicMs();
    if (message.welcome) this.#welcome(message.welcome);
    else if (message.changes) this.#changes(message.changes);
    else if (message.heartbeat) {
      this.#heartbeat(message.heartbeat);
      const peer = standingFromWire(message.heartbeat.standing);
      if (peer) this.ctx.input({ type: "heard", peer });
    }
    this.#report();
  }

  /** A copy that drifted (someone wrote to this store) is compared anew, at most once in `DRIFT_EVERY_MS`. */
  #heartbeat(heartbeat: argocdagentha.v1.Heartbeat): void {
    const drifted = this.#follower.heartbeat({
      sequence: heartbeat.sequence ?? 0,
      pending: heartbeat.pending ?? 0,
      digest: digestFromWire(heartbeat.digest),
      revision: heartbeat.revision ?? 0,
      saidAtMs: heartbeat.said_at_ms ?? 0,
    });
    const settled = monotonicMs() - this.#welcomedAtMs > SETTLED_MS;
    if (settled && this.#follower.same && this.ctx.model().memory.formerActive) {
      this.ctx.input({ type: "caughtUp" });
    }
    if (!drifted) return;
    const { following } = this.ctx;
    if (monotonicMs() - following.driftAtMs < DRIFT_EVERY_MS && following.driftAtMs > 0) return;
    following.driftAtMs = monotonicMs();
    this.#drifted = true;
    throw new Error(
      "this copy differs from the active's although every change was applied; comparing digests anew",
    );
  }

  #welcome(welcome: argocdagentha.v1.Welcome): void {
    const peer = standingFromWire(welcome.standing);
    const problem = peer && leaderProblem(peer, this.ctx.model().memory);
    if (problem) throw new ProtocolError(problem);
    this.#answered = true;
    const resumed = welcome.resumed ?? false;
    this.#welcomedAtMs = monotonicMs();
    const batches = this.#follower.welcome(welcome.session ?? "", resumed, welcome.differing ?? []);
    const again = (keys: readonly string[]) => this.stream.write({ again: { keys: [...keys] } });
    Object.assign(this.ctx.following, { contract: "link", connected: true, again });
    if (!resumed) this.ctx.counters.increment("snapshots");
    this.ctx.input({ type: "welcomed", peer, resumed });
    for (const { entries, last } of batches) {
      const wire = entries.map(({ key, digest }) => ({ key, digest: digestToWire(digest) }));
      this.stream.write({ have: { entries: wire, last } });
    }
  }

  #changes(wire: argocdagentha.v1.Changes): void {
    const changes = changesFromWire(wire);
    this.ctx.counters.add("eventsReceived", changes.length);
    this.ctx.following.lastEventMs = Date.now();
    this.#follower.changes({
      firstSequence: wire.first_sequence ?? 0,
      count: changes.length,
      revision: wire.revision ?? 0,
      snapshot: wire.snapshot ?? false,
      snapshotEnd: wire.snapshot_end ?? false,
      snapshotRemaining: wire.snapshot_remaining ?? 0,
    }, changes);
    this.#pump.kick();
    this.#settled();
  }

  #settled(): void {
    if (this.#finished) return;
    if (!this.#follower.live && this.#follower.progress.total > 0) {
      this.ctx.input({ type: "progress", ...this.#follower.progress });
    }
    if (this.#follower.settle()) {
      // What is still as it was compared is the leader's, unless it waits to be overwritten.
      if (this.#follower.applier.heldCount === 0) this.ctx.losses.proved(this.#comparedAt);
      this.ctx.input({ type: "snapshotApplied" });
    }
    this.#report();
    if (this.#ackScheduled) return;
    this.#ackScheduled = true;
    const wait = this.#ackedAtMs + ACK_EVERY_MS - monotonicMs();
    setTimeout(() => {
      this.#ackScheduled = false;
      this.#ackedAtMs = monotonicMs();
      this.#guard(() => this.#ack());
    }, Math.max(ACK_DELAY_MS, wait));
  }

  #ack(): void {
    const { applier } = this.#follower;
    this.stream.write({
      ack: {
        processed: applier.processed,
        applied: applier.applied,
        held: applier.held(MAX_HELD_SHOWN).map(({ key, reason }) => ({ key, reason })),
        held_total: applier.heldCount,
        standing: standingToWire(this.ctx.standing()),
        said_at_ms: monotonicMs(),
      },
    });
  }

  #beat(): void {
    if (monotonicMs() - this.#lastHeardMs > SILENCE_MS) {
      throw new ProtocolError(`nothing heard from the peer for ${SILENCE_MS / 1000} s`);
    }
    if (this.#answered) this.#ack();
  }

  #report(): void {
    const { applier, behind, inSyncAsOfMs } = this.#follower;
    const { following } = this.ctx;
    following.behind = behind;
    following.held = applier.held(MAX_HELD_SHOWN);
    following.heldTotal = applier.heldCount;
    following.lastSequence = applier.applied;
    if (inSyncAsOfMs !== undefined) following.inSyncAsOfMs = inSyncAsOfMs;
  }

  #guard(act: () => void): void {
    if (this.#finished) return;
    try {
      act();
    } catch (error) {
      this.#finish(error);
    }
  }

  async #finish(error: unknown): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    clearInterval(this.#timer);
    this.signal.removeEventListener("abort", this.#abort);
    Object.assign(this.ctx.following, { connected: false, again: undefined });
    this.stream.cancel();
    await this.#pump.stop();
    const reached = this.#follower.resumeAt;
    // What a former ACTIVE has not given up yet must be found again by comparing.
    const anew = this.#drifted || this.ctx.model().memory.formerActive;
    const position = anew ? NOWHERE : this.#answered ? reached : this.position;
    this.#end.resolve({ position, answered: this.#answered, error });
  }
}
