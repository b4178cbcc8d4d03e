/**
 * One replica's `Link/Follow` stream, as the ACTIVE serves it: it carries what `LeaderProtocol` decides. It ends with the scope in which
 * this principal is ACTIVE, after silence, and on what breaks the protocol.
 */
import { onAbort } from "../../base/abort.ts";
import { delay } from "@std/async/delay";
import pLimit from "p-limit";
import { monotonicMs } from "../../base/clock.ts";
import { reasonOf } from "../../base/reason.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Standing } from "../../domain/ha/state.ts";
import { LeaderProtocol } from "../../domain/replication/leader.ts";
import {
  type Acknowledgement,
  type FollowerMessage,
  HEARTBEAT_MS,
  type SentByLeader,
  SILENCE_MS,
} from "../../domain/replication/messages.ts";
import { READS_AT_ONCE } from "../core/feed.ts";
import type { ReplicaSession } from "../core/replica_sessions.ts";
import type { ServedStream, StreamEvents } from "../ports/stream.ts";
import { type Leadership, mustHaveRoom, mustLead } from "./leadership.ts";
import { Outlet } from "./outlet.ts";

/** How long changes are gathered when they follow one another closely. */
const GATHER_MS = 10;
/** The wait before a failed read of a key is retried. */
const REREAD_MS = 1_000;

type Hello = Extract<FollowerMessage, { type: "hello" }>;

/** Serves one stream from its first message to its end. */
export class ReplicaConnection implements ReplicaSession, StreamEvents<FollowerMessage> {
  readonly contract = "link";
  readonly sinceMs = Date.now();
  standing: Standing | undefined;
  heldTotal = 0;
  equalAtMs = 0;
  #unwritten = 0;
  readonly #protocol: LeaderProtocol;
  readonly #outlet: Outlet<SentByLeader>;
  readonly #cleanups: (() => void)[] = [];
  #lastHeardMs = monotonicMs();
  #saidAtMs = 0;
  #ended = false;

  constructor(
    private readonly leadership: Leadership,
    readonly identity: string,
    private readonly stream: ServedStream<SentByLeader>,
  ) {
    this.#protocol = new LeaderProtocol(leadership.index);
    this.#outlet = new Outlet({
      sink: stream,
      next: () => this.#guard(() => this.#next()),
      gatherMs: GATHER_MS,
    });
    const timer = setInterval(() => this.#guard(() => this.#beat()), HEARTBEAT_MS);
    this.#cleanups.push(() => clearInterval(timer), () => this.#outlet.close());
  }

  get counts(): boolean {
    return this.leadership.voice.counts(this.identity);
  }
  get sent(): number {
    return this.#protocol.sent;
  }
  get applied(): number {
    return this.#protocol.applied;
  }
  get pending(): number {
    return this.#protocol.pending;
  }
  get appliedRevision(): number {
    return this.#protocol.appliedRevision;
  }

  get receivedRevision(): number | undefined {
    return this.#protocol.receivedRevision;
  }

  get unwritten(): number {
    return this.#unwritten + this.#protocol.resending;
  }

  received(message: FollowerMessage): void {
    this.#guard(() => this.#take(message));
  }

  drained(): void {
    this.#outlet.drained();
  }

  closed(): void {
    this.#end();
  }

  #take(message: FollowerMessage): void {
    this.#lastHeardMs = monotonicMs();
    switch (message.type) {
      case "hello":
        this.#hello(message);
        break;
      case "have":
        this.#protocol.have(message.entries, message.last);
        void this.#lookUp();
        break;
      case "resend":
        this.#protocol.resend(message.keys);
        void this.#lookUp();
        break;
      case "ack":
        this.#acknowledged(message.ack);
    }
    this.#outlet.kick();
  }

  #hello({ standing, resume, buckets }: Hello): void {
    const { leadership } = this;
    const { index, log, replicas, settings: { namespace } } = leadership;
    this.standing = leadership.voice.bound(this.identity, standing);
    const scope = mustLead(leadership, "state");
    if (standing && standing.namespace !== namespace) {
      throw new Refusal(
        `the active principal's --namespace is "${namespace}", the replica's "${standing.namespace}"; both must use the same`,
      );
    }
    mustHaveRoom(leadership, this.identity);
    const opening = this.#protocol.hello(resume, buckets);
    replicas.add(this);
    this.#cleanups.push(() => replicas.delete(this));
    this.stream.send({
      type: "welcome",
      standing: leadership.standing(),
      session: index.session,
      marks: leadership.marks.list,
      ...opening,
    });
    this.#cleanups.push(index.onChange(() => this.#outlet.kick()));
    this.#cleanups.push(onAbort(scope, (reason) => this.#fail(reason)));
    log.info(opening.resumed ? "replica resumed its stream" : "replica connected", {
      event: "replica_connected",
      identity: this.identity,
    });
    leadership.voice.says(this.identity, standing);
  }

  #acknowledged(ack: Acknowledgement): void {
    this.#protocol.ack(ack.processed, ack.applied, ack.received);
    this.#unwritten = ack.unwritten;
    this.heldTotal = ack.heldTotal;
    this.equalAtMs = ack.equalAtMs;
    this.#saidAtMs = ack.saidAtMs;
    const { voice, replicas, peerStore } = this.leadership;
    this.standing = voice.bound(this.identity, ack.standing) ?? this.standing;
    replicas.acknowledged();
    if (ack.standing && voice.isPeer(this.identity)) peerStore.acknowledged(ack.standing);
    voice.says(this.identity, this.standing);
  }

  /** Nothing is called deleted while the store does not say so. */
  async #lookUp(): Promise<void> {
    await pLimit(READS_AT_ONCE).map(this.#protocol.toLookUp(), async (key) => {
      while (!this.#ended) {
        const read = await this.leadership.lookUp(key).then(() => true, () => false);
        if (read) {
          this.#guard(() => this.#protocol.looked(key));
          return this.#outlet.kick();
        }
        await delay(REREAD_MS);
      }
    });
  }

  #next(): SentByLeader | undefined {
    const changes = this.#protocol.next();
    if (!changes) return undefined;
    this.leadership.counters.add("eventsForwarded", changes.changes.length);
    const store = this.leadership.marks.point;
    const carried = this.leadership.traces.carried(changes);
    return { type: "changes", changes: carried, ...(store ? { store } : {}) };
  }

  #beat(): void {
    if (monotonicMs() - this.#lastHeardMs > SILENCE_MS) {
      throw new Refusal(`nothing heard from the replica for ${SILENCE_MS / 1000} s`, "unavailable");
    }
    const { leadership, stream } = this;
    if (!this.#outlet.writable || !leadership.replicas.has(this)) return;
    const { index } = leadership;
    const { sent, pending } = this.#protocol;
    stream.send({
      type: "heartbeat",
      standing: leadership.standing(),
      beat: {
        sequence: sent,
        pending,
        digest: index.digests.root(),
        revision: index.head,
        saidAtMs: this.#saidAtMs,
        sentAtMs: monotonicMs(),
      },
    });
  }

  #guard<T>(act: () => T): T | undefined {
    if (this.#ended) return undefined;
    try {
      return act();
    } catch (error) {
      if (!(error instanceof Refusal)) {
        this.leadership.log.warn("replica's stream ended", {
          identity: this.identity,
          reason: reasonOf(error),
        });
      }
      if (this.leadership.replicas.has(this)) this.#fail(error);
      else this.#refuse(error);
      return undefined;
    }
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#end();
    this.stream.fail(error);
  }

  #refuse(error: unknown): void {
    this.#end();
    this.stream.refuse(error);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    const { log, replicas } = this.leadership;
    if (replicas.has(this)) {
      log.info("replica disconnected", { event: "replica_disconnected", identity: this.identity });
    }
    for (const cleanup of this.#cleanups) cleanup();
  }
}
