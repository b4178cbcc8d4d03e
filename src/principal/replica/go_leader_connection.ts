/**
 * Following a Go principal in its own contract: the stream, the snapshot, its confirmations and its `Status` carry what
 * `GoFollowerProtocol` decides. `Status` is polled, for it alone shows a half-open link and changes that were missed.
 */
import { onAbort } from "../../base/abort.ts";
import type { ReplicatedEvent } from "../../domain/events/messages.ts";
import type { ReplicationAck, Resource } from "../../domain/replication/go_messages.ts";
import { type Key, keyOf } from "../../domain/resources/keys.ts";
import { delay } from "@std/async/delay";
import { monotonicMs } from "../../base/clock.ts";
import { GoFollowerProtocol } from "../../domain/replication/go_follower.ts";
import { holdsForeignData } from "../../domain/ha/lineage.ts";
import type { FollowStream, PlainPeer } from "../ports/peer.ts";
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
import { Unkept } from "./unkept.ts";
import { Unsaid } from "./unsaid.ts";

/** A snapshot of a large installation takes the peer a while. */
const SNAPSHOT_TIMEOUT_MS = 120_000;
const STATUS_EVERY_MS = 5_000;
const STATUS_TIMEOUT_MS = 5_000;
const ACK_EVERY_MS = 100;
/** A Go principal has no session that would tell a restart from a broken stream: each stream is a transition. */
const GO_PRINCIPAL = "a Go principal";

/** Follows until the stream ends or the signal aborts; never rejects. */
export async function followGoLeader(
  peer: PlainPeer,
  followership: Followership,
  signal: AbortSignal,
): Promise<FollowEnd> {
  const connection = new GoLeaderConnection(peer, followership);
  const error = await connection.run(signal).then(
    () => new Error("the peer closed the stream"),
    (error) => error,
  );
  await connection.close();
  return { position: NOWHERE, answered: connection.answered, error };
}

class GoLeaderConnection {
  answered = false;
  readonly #protocol: GoFollowerProtocol;
  readonly #pump: ApplyPump;
  readonly #stream: FollowStream<ReplicationAck>;
  readonly #ended = Promise.withResolvers<void>();
  #acknowledged = -1;
  #snapshotAskedAtMs = 0;
  #answeredAtMs = 0;
  #comparing = false;
  /** This store never held a complete copy: deletions that a comparison concludes are not carried out. */
  #foreign: boolean;
  /** Nor are those of objects that this copy never covered: the flags were widened since it was complete. */
  readonly #unsaid: Unsaid;
  readonly #unkept = new Unkept();

  constructor(private readonly peer: PlainPeer, private readonly followership: Followership) {
    const { index, settings, writer, model, deletions } = followership;
    this.#foreign = holdsForeignData(model().memory, undefined);
    this.#unsaid = new Unsaid(followership, model().memory.coverage);
    this.#protocol = new GoFollowerProtocol(index, settings.scope, {
      mayDelete: (change, writing) => this.#foreign || deletions.mayDelete(change, writing),
      forget: (key) => deletions.forget(key),
    });
    this.#pump = new ApplyPump(this.#protocol.applier, {
      apply: (change) =>
        this.#unkept.applying(
          this.#isForeign(change.key) ? { ...change, foreign: true } : change,
          (one) => writer.apply(one),
        ),
      decide: () => deletions.tick(this.#comparing),
      settled: () => this.#settled(),
      live: () => this.#protocol.live,
    }, followership);
    deletions.clear();
    deletions.welcomed(GO_PRINCIPAL, true);
    deletions.attach({ applier: this.#protocol.applier, resume: () => this.#pump.kick() });
    this.#ended.promise.catch(() => {});
    this.#stream = peer.subscribe({
      received: (event) => this.#event(event),
      drained: () => {},
      closed: (error) => error === undefined ? this.#ended.resolve() : this.#ended.reject(error),
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    onAbort(signal, () => this.#ended.resolve());
    await Promise.race([this.#ended.promise, this.#synchronize()]);
    this.answered = true;
    this.#answeredAtMs = monotonicMs();
    const { following, input } = this.followership;
    Object.assign(following, { contract: "plain", connected: true });
    input({ type: "welcomed", peer: undefined, resumed: false });
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
    this.followership.deletions.detach();
    this.followership.following.connected = false;
    await this.#pump.stop();
  }

  async #synchronize(): Promise<void> {
    this.#comparing = true;
    try {
      await this.#compare();
    } finally {
      this.#comparing = false;
    }
  }

  /** Whether a resource here never was the leader's: the first comparison finds it so. */
  #isForeign(key: Key): boolean {
    return this.#foreign || !this.#protocol.live && this.#unsaid.has(key);
  }

  /** Resources that this store held before it followed, and the leader does not name: no deletion. */
  async #keep(resources: readonly Resource[]): Promise<void> {
    const { writer } = this.followership;
    for (const resource of resources) {
      await writer.apply({
        sequence: 0,
        key: keyOfResource(resource),
        changedAt: Date.now(),
        foreign: true,
      });
    }
  }

  async #compare(): Promise<void> {
    const since = { since_sequence_num: this.#protocol.peerSequence };
    const askedAtMs = monotonicMs();
    const snapshot = await this.peer.snapshot(since, SNAPSHOT_TIMEOUT_MS);
    this.followership.counters.increment("snapshots");
    const { candidates } = this.#protocol.snapshot(snapshot, Date.now());
    this.#snapshotAskedAtMs = askedAtMs;
    this.#pump.kick();
    for (const { agent, resources } of candidates) {
      const foreign = new Set(resources.filter((one) => this.#isForeign(keyOfResource(one))));
      await this.#keep([...foreign]);
      if (foreign.size === resources.length) continue;
      const request = {
        agent_name: agent,
        snapshot_sequence_num: snapshot.last_sequence_num ?? 0,
        resources: resources.filter((one) => !foreign.has(one)),
      };
      const answer = await this.peer.confirmMissing(request, SNAPSHOT_TIMEOUT_MS);
      this.#protocol.confirmed(answer.results ?? [], Date.now());
      this.#pump.kick();
    }
  }

  async #poll(signal: AbortSignal): Promise<void> {
    let sinceStatus = 0;
    for (;;) {
      await delay(ACK_EVERY_MS, { signal });
      this.#acknowledge();
      tellCaughtUp(this.followership, this.#protocol, this.#answeredAtMs);
      sinceStatus += ACK_EVERY_MS;
      if (sinceStatus < STATUS_EVERY_MS) continue;
      sinceStatus = 0;
      const askedAtMs = monotonicMs();
      const status = await this.peer.status(STATUS_TIMEOUT_MS);
      if (!this.#protocol.behind(status.current_sequence_num ?? 0)) this.#inSyncAsOf(askedAtMs);
      else if (this.#protocol.live) {
        this.followership.counters.increment("sequenceGaps");
        await this.#synchronize();
      }
    }
  }

  #event(event: ReplicatedEvent): void {
    const { counters, following, log } = this.followership;
    counters.increment("eventsReceived");
    following.lastEventMs = Date.now();
    const { problem } = this.#protocol.event(event, Date.now());
    if (problem) log.warn("event of the peer skipped", { reason: problem });
    this.#pump.kick();
  }

  #settled(): void {
    const { applier } = this.#protocol;
    const { following, input, drift } = this.followership;
    tellProgress(this.followership, this.#protocol);
    if (this.answered && !this.#unkept.some && this.#protocol.settle()) {
      this.#foreign = false;
      drift.compared((key) => applier.isPending(key));
      input({ type: "snapshotApplied" });
    }
    Object.assign(following, {
      behind: applier.pending,
      held: applier.held(MAX_HELD_SHOWN),
      heldTotal: applier.heldCount,
      guarded: applier.guardedCount,
      lastSequence: this.#protocol.acknowledge,
    });
    this.#inSyncAsOf(this.#snapshotAskedAtMs);
  }

  /** Nothing that the peer had at this time is missing, if nothing that was received is. */
  #inSyncAsOf(askedAtMs: number): void {
    const { following } = this.followership;
    if (!this.#protocol.live || this.#protocol.applier.pending > 0) return;
    following.inSyncAsOfMs = Math.max(following.inSyncAsOfMs, askedAtMs);
    keepInSync(this.followership, following.inSyncAsOfMs);
  }

  /** The first acknowledgement waits for the snapshot to be applied; 0 is a normal one. */
  #acknowledge(): void {
    if (!this.#protocol.live) return;
    const sequence = this.#protocol.acknowledge;
    if (sequence === this.#acknowledged) return;
    this.#acknowledged = sequence;
    this.#stream.send({ acked_sequence_num: sequence });
  }
}

function keyOfResource({ kind = "", namespace = "", name = "" }: Resource): Key {
  return keyOf(kind, namespace, name);
}
