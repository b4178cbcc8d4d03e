/** The Link service: the leader's end of `Follow`, and `Ask`. The decisions are `LeaderStream`'s. */
import grpc from "@grpc/grpc-js";
import { delay } from "@std/async/delay";
import pLimit from "p-limit";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { Standing } from "../../domain/ha/state.ts";
import { LeaderStream } from "../../domain/replication/leader.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Context } from "../../principal/core/context.ts";
import type { ReplicaSession } from "../../principal/core/replica_sessions.ts";
import { READS_AT_ONCE } from "../../principal/core/feed.ts";
import { authorizeReplication, type ReplicationPolicy } from "./auth.ts";
import { conditionOf } from "../../principal/core/peer.ts";
import { examinedCondition } from "../../principal/operations/readiness.ts";
import { failStream, onStreamEnd, refuseStream, unary } from "./server.ts";
import { Status } from "./status.ts";
import {
  changesToWire,
  conditionToWire,
  digestFromWire,
  digestToWire,
  HEARTBEAT_MS,
  SILENCE_MS,
  standingFromWire,
  standingToWire,
} from "./wire.ts";

/** How long changes are gathered when they follow one another closely. */
const GATHER_MS = 10;

/** How soon a key is read again that the store would not tell of. */
const READ_AGAIN_MS = 1_000;

type FollowerMessage = argocdagentha.v1.FollowerMessage;
type LeaderMessage = argocdagentha.v1.LeaderMessage;
type FollowCall = grpc.ServerDuplexStream<FollowerMessage, LeaderMessage>;

/** Streams of replicas at once, as the peer bounds them. */
export const MAX_REPLICAS = 10;

/** Why this principal serves no replication now. */
export function notActive(ctx: Context): Status {
  const { state, memory } = ctx.model();
  return new Status(
    grpc.status.FAILED_PRECONDITION,
    `not ACTIVE (state ${state}, epoch ${memory.epoch})`,
  );
}

export function linkHandlers(
  ctx: Context,
  policy: ReplicationPolicy,
): grpc.UntypedServiceImplementation {
  return {
    Ask: unary<argocdagentha.v1.AskRequest, argocdagentha.v1.AskResponse>(async (request, call) => {
      authorizeReplication(call, policy);
      const peer = standingFromWire(request.standing);
      if (peer) ctx.input({ type: "heard", peer });
      if (peer?.state === "active") ctx.redial();
      const condition = request.examine ? await examinedCondition(ctx) : conditionOf(ctx);
      return {
        standing: standingToWire(ctx.standing()),
        condition: conditionToWire(condition, Date.now()),
      };
    }),
    Follow: (call: FollowCall) => {
      try {
        new LeaderSession(call, ctx, authorizeReplication(call, policy));
      } catch (error) {
        refuseStream(call, error);
      }
    },
  };
}

class LeaderSession implements ReplicaSession {
  readonly contract = "link";
  readonly sinceMs = Date.now();
  standing: Standing | undefined;
  heldTotal = 0;
  readonly #stream: LeaderStream;
  readonly #cleanups: (() => void)[] = [];
  #lastHeardMs = monotonicMs();
  #writable = true;
  #scheduled = false;
  #sentAtMs = 0;
  #saidAtMs = 0;
  #ended = false;

  constructor(private readonly call: FollowCall, private readonly ctx: Context, readonly identity: string) {
    this.#stream = new LeaderStream(ctx.index);
    call.on("data", (message: FollowerMessage) => this.#guard(() => this.#take(message)));
    call.on("drain", () => {
      this.#writable = true;
      this.#schedule();
    });
    onStreamEnd(call, () => this.#end());
    const timer = setInterval(() => this.#guard(() => this.#beat()), HEARTBEAT_MS);
    this.#cleanups.push(() => clearInterval(timer));
  }

  get sent(): number {
    return this.#stream.sent;
  }
  get applied(): number {
    return this.#stream.applied;
  }
  get pending(): number {
    return this.#stream.pending;
  }
  get appliedRevision(): number {
    return this.#stream.appliedRevision;
  }

  #take(message: FollowerMessage): void {
    this.#lastHeardMs = monotonicMs();
    if (message.hello) this.#hello(message.hello);
    else if (message.have) {
      const entries = (message.have.entries ?? []).map(({ key, digest }) => ({
        key: key ?? "",
        digest: digestFromWire(digest),
      }));
      this.#stream.have(entries, message.have.last ?? false);
      void this.#lookUp();
    } else if (message.again) {
      this.#stream.again(message.again.keys ?? []);
      void this.#lookUp();
    } else if (message.ack) {
      this.#stream.ack(message.ack.processed ?? 0, message.ack.applied ?? 0);
      this.heldTotal = message.ack.held_total ?? 0;
      this.#saidAtMs = message.ack.said_at_ms ?? 0;
      this.standing = standingFromWire(message.ack.standing) ?? this.standing;
      if (this.standing) this.ctx.input({ type: "heard", peer: this.standing });
    }
    this.#schedule();
  }

  /** Nothing is called deleted while the store does not say so. */
  async #lookUp(): Promise<void> {
    await pLimit(READS_AT_ONCE).map(this.#stream.toLookUp(), async (key) => {
      while (!this.#ended) {
        const read = await this.ctx.lookUp(key).then(() => true, () => false);
        if (read) {
          this.#guard(() => this.#stream.looked(key));
          return this.#schedule();
        }
        await delay(READ_AGAIN_MS);
      }
    });
  }

  #hello(hello: argocdagentha.v1.Hello): void {
    this.standing = standingFromWire(hello.standing);
    const scope = this.ctx.activeScope();
    if (!scope) throw notActive(this.ctx);
    const namespace = this.ctx.settings.namespace;
    if (this.standing && this.standing.namespace !== namespace) {
      const text = `the active principal's --namespace is "${namespace}", the replica's ` +
        `"${this.standing.namespace}"; both must use the same`;
      throw new Status(grpc.status.FAILED_PRECONDITION, text);
    }
    if (this.ctx.replicas.size >= MAX_REPLICAS) {
      throw new Status(grpc.status.RESOURCE_EXHAUSTED, "max replica connections reached");
    }
    const resume = { session: hello.resume_session ?? "", revision: hello.resume_revision ?? 0 };
    const { resumed, differing } = this.#stream.hello(resume, hello.buckets ?? new Uint8Array());
    this.ctx.replicas.add(this);
    this.#cleanups.push(() => this.ctx.replicas.delete(this));
    const standing = standingToWire(this.ctx.standing());
    this.call.write({ welcome: { standing, session: this.ctx.index.session, resumed, differing } });
    this.#cleanups.push(this.ctx.index.onChange(() => this.#schedule()));
    const stop = () => this.#fail(scope.reason);
    scope.addEventListener("abort", stop);
    this.#cleanups.push(() => scope.removeEventListener("abort", stop));
    this.ctx.log.info(resumed ? "replica resumed its stream" : "replica connected", {
      identity: this.identity,
    });
    if (this.standing) this.ctx.input({ type: "heard", peer: this.standing });
  }

  #beat(): void {
    if (monotonicMs() - this.#lastHeardMs > SILENCE_MS) {
      throw new Status(grpc.status.UNAVAILABLE, `nothing heard from the replica for ${SILENCE_MS / 1000} s`);
    }
    if (!this.#writable || !this.ctx.replicas.has(this)) return;
    const standing = standingToWire(this.ctx.standing());
    const { index } = this.ctx;
    const { sent, pending } = this.#stream;
    this.call.write({
      heartbeat: {
        standing,
        sequence: sent,
        pending,
        digest: digestToWire(index.digests.root()),
        revision: index.head,
        said_at_ms: this.#saidAtMs,
      },
    });
  }

  /** A single change travels at once; when they come thick and fast, those of `GATHER_MS` travel together. */
  #schedule(): void {
    if (this.#scheduled || this.#ended) return;
    this.#scheduled = true;
    const wait = this.#sentAtMs + GATHER_MS - monotonicMs();
    setTimeout(() => {
      this.#scheduled = false;
      this.#sentAtMs = monotonicMs();
      this.#guard(() => this.#send());
    }, Math.max(0, wait));
  }

  #send(): void {
    while (this.#writable && !this.#ended) {
      const message = this.#stream.next();
      if (!message) return;
      this.ctx.counters.add("eventsForwarded", message.changes.length);
      this.#writable = this.call.write({ changes: changesToWire(message) });
    }
  }

  #guard(act: () => void): void {
    if (this.#ended) return;
    try {
      act();
    } catch (error) {
      if (!(error instanceof Status)) {
        this.ctx.log.warn("replica's stream ended", {
          identity: this.identity,
          reason: (error as Error).message,
        });
      }
      if (this.ctx.replicas.has(this)) return this.#fail(error);
      this.#end();
      refuseStream(this.call, error);
    }
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#end();
    failStream(this.call, error);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.ctx.replicas.has(this)) this.ctx.log.info("replica disconnected", { identity: this.identity });
    for (const cleanup of this.#cleanups) cleanup();
  }
}
