/** Following a primary of the peer in the plain replicationapi contract. The decisions are `PlainFollowerStream`'s. */
import type grpc from "@grpc/grpc-js";
import { delay } from "@std/async/delay";
import type { replicationapi } from "../../../proto/gen.d.ts";
import { PlainFollowerStream } from "../../domain/replication/plain_follower.ts";
import type { ChangeWriter } from "../../principal/replica/change_writer.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Context } from "../../principal/core/context.ts";
import { ApplyPump } from "../../principal/replica/apply_pump.ts";
import { call, openStream } from "./dial.ts";
import type { FollowEnd } from "./follow_link.ts";
import { replicationService } from "./services.ts";

/** A snapshot of a large installation takes the peer a while. */
const SNAPSHOT_TIMEOUT_MS = 120_000;
/** `Status` is asked this often: it shows a half-open link and changes that were missed. */
const STATUS_EVERY_MS = 5_000;
const STATUS_TIMEOUT_MS = 5_000;
const ACK_EVERY_MS = 100;
const MAX_HELD_SHOWN = 100;

/** Follows until the stream ends or the signal aborts; never throws. */
export async function followPlain(
  client: grpc.Client,
  ctx: Context,
  writer: ChangeWriter,
  signal: AbortSignal,
): Promise<FollowEnd> {
  const follower = new PlainFollower(client, ctx, writer);
  const error = await follower.run(signal).then(
    () => new Error("the peer closed the stream"),
    (error) => error,
  );
  await follower.close();
  return { position: { session: "", revision: 0 }, answered: follower.answered, error };
}

class PlainFollower {
  answered = false;
  readonly #follower: PlainFollowerStream;
  readonly #pump: ApplyPump;
  readonly #stream: grpc.ClientDuplexStream<replicationapi.ReplicationAck, replicationapi.ReplicatedEvent>;
  readonly #ended = Promise.withResolvers<void>();
  #acknowledged = -1;
  #snapshotAskedAtMs = 0;

  constructor(private readonly client: grpc.Client, private readonly ctx: Context, writer: ChangeWriter) {
    this.#follower = new PlainFollowerStream(ctx.index, ctx.settings.scope);
    this.#pump = new ApplyPump(this.#follower.applier, {
      apply: (change) => writer.apply(change),
      settled: () => this.#settled(),
      live: () => this.#follower.live,
    }, ctx);
    this.#stream = openStream(client, replicationService.Subscribe);
    this.#stream.on("data", (event: replicationapi.ReplicatedEvent) => this.#event(event));
    this.#stream.on("error", (error: unknown) => this.#ended.reject(error));
    this.#stream.on("end", () => this.#ended.resolve());
    this.#ended.promise.catch(() => {});
  }

  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#ended.resolve());
    await Promise.race([this.#ended.promise, this.#synchronize()]);
    this.answered = true;
    Object.assign(this.ctx.following, { contract: "plain", connected: true });
    this.ctx.input({ type: "welcomed", peer: undefined, resumed: false });
    this.#settled();
    const polling = new AbortController();
    try {
      await Promise.race([this.#ended.promise, this.#poll(polling.signal)]);
    } finally {
      polling.abort();
    }
  }

  async close(): Promise<void> {
    this.#stream.cancel();
    this.ctx.following.connected = false;
    await this.#pump.stop();
  }

  async #synchronize(): Promise<void> {
    const since = { since_sequence_num: this.#follower.peerSequence };
    const askedAtMs = monotonicMs();
    const snapshot = await call(this.client, replicationService.GetSnapshot, since, SNAPSHOT_TIMEOUT_MS);
    this.ctx.counters.increment("snapshots");
    const { candidates } = this.#follower.snapshot(snapshot, Date.now());
    this.#snapshotAskedAtMs = askedAtMs;
    this.#pump.kick();
    for (const { agent, resources } of candidates) {
      const request = {
        agent_name: agent,
        snapshot_sequence_num: snapshot.last_sequence_num ?? 0,
        resources,
      };
      const answer = await call(
        this.client,
        replicationService.ConfirmMissingResources,
        request,
        SNAPSHOT_TIMEOUT_MS,
      );
      this.#follower.confirmed(answer.results ?? [], Date.now());
      this.#pump.kick();
    }
  }

  async #poll(signal: AbortSignal): Promise<void> {
    let sinceStatus = 0;
    for (;;) {
      await delay(ACK_EVERY_MS, { signal });
      this.#acknowledge();
      sinceStatus += ACK_EVERY_MS;
      if (sinceStatus < STATUS_EVERY_MS) continue;
      sinceStatus = 0;
      const askedAtMs = monotonicMs();
      const status = await call(this.client, replicationService.Status, {}, STATUS_TIMEOUT_MS);
      if (!this.#follower.behind(status.current_sequence_num ?? 0)) this.#inSyncAsOf(askedAtMs);
      else if (this.#follower.live) {
        this.ctx.counters.increment("sequenceGaps");
        await this.#synchronize();
      }
    }
  }

  #event(event: replicationapi.ReplicatedEvent): void {
    this.ctx.counters.increment("eventsReceived");
    this.ctx.following.lastEventMs = Date.now();
    const { problem } = this.#follower.event(event, Date.now());
    if (problem) this.ctx.log.warn("event of the peer skipped", { reason: problem });
    this.#pump.kick();
  }

  #settled(): void {
    const { applier, live, progress } = this.#follower;
    if (!live && progress.total > 0) this.ctx.input({ type: "progress", ...progress });
    const held = applier.heldCount;
    if (this.answered && this.#follower.settle()) this.ctx.input({ type: "snapshotApplied" });
    // There are no digests to compare.
    if (live && held === 0 && this.ctx.model().memory.formerActive) this.ctx.input({ type: "caughtUp" });
    Object.assign(this.ctx.following, {
      behind: applier.pending,
      held: applier.held(MAX_HELD_SHOWN),
      heldTotal: held,
      lastSequence: this.#follower.acknowledge,
    });
    this.#inSyncAsOf(this.#snapshotAskedAtMs);
  }

  /** Nothing that the peer had at this time is missing, if nothing that was received is. */
  #inSyncAsOf(askedAtMs: number): void {
    const { following } = this.ctx;
    if (!this.#follower.live || this.#follower.applier.pending > 0) return;
    following.inSyncAsOfMs = Math.max(following.inSyncAsOfMs, askedAtMs);
  }

  /** The first acknowledgement waits for the snapshot to be applied; 0 is a normal one. */
  #acknowledge(): void {
    if (!this.#follower.live) return;
    const sequence = this.#follower.acknowledge;
    if (sequence === this.#acknowledged) return;
    this.#acknowledged = sequence;
    this.#stream.write({ acked_sequence_num: sequence });
  }
}
