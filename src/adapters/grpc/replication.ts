/** The peer's `replicationapi.Replication`, served to its replicas. The decisions are `PlainStream`'s. */
import grpc from "@grpc/grpc-js";
import { delay } from "@std/async/delay";
import pLimit from "p-limit";
import type { replicationapi } from "../../../proto/gen.d.ts";
import type { Standing } from "../../domain/ha/state.ts";
import { confirm, PlainStream, snapshotOf } from "../../domain/replication/plain_leader.ts";
import type { Context } from "../../principal/core/context.ts";
import type { ReplicaSession } from "../../principal/core/replica_sessions.ts";
import { READS_AT_ONCE } from "../../principal/core/feed.ts";
import { authorizeReplication, type ReplicationPolicy } from "./auth.ts";
import { MAX_REPLICAS, notActive } from "./link.ts";
import { failStream, onStreamEnd, REFUSAL_DELAY_MS, refuseStream, unary } from "./server.ts";
import { Status } from "./status.ts";

type Call = grpc.ServerDuplexStream<replicationapi.ReplicationAck, replicationapi.ReplicatedEvent>;

/** Resources in one ConfirmMissingResources request; the peer sends one request an agent. */
const MAX_CONFIRM = 100_000;

export function replicationHandlers(
  ctx: Context,
  policy: ReplicationPolicy,
): grpc.UntypedServiceImplementation {
  const sessions = new Set<PlainSession>();
  const latest = (identity: string) => [...sessions].filter((s) => s.identity === identity).at(-1);
  /** A principal that is not ACTIVE answers no snapshot and no confirmation: its word deletes resources. */
  const allowed = (call: Parameters<typeof authorizeReplication>[0]): string => {
    const identity = authorizeReplication(call, policy);
    if (!ctx.activeScope()) throw new Status(grpc.status.UNAVAILABLE, notActive(ctx).message);
    return identity;
  };
  const guarded = async (call: Parameters<typeof authorizeReplication>[0]): Promise<string> => {
    try {
      return allowed(call);
    } catch (error) {
      await delay(REFUSAL_DELAY_MS);
      throw error;
    }
  };
  return {
    Subscribe: (call: Call) => {
      try {
        const identity = allowed(call);
        if (ctx.replicas.size >= MAX_REPLICAS) {
          throw new Status(grpc.status.RESOURCE_EXHAUSTED, "max replica connections reached");
        }
        new PlainSession(call, ctx, identity, sessions);
      } catch (error) {
        refuseStream(call, error);
      }
    },
    GetSnapshot: unary<replicationapi.SnapshotRequest, replicationapi.ReplicationSnapshot>(
      async (_, call) => {
        const identity = await guarded(call);
        ctx.counters.increment("snapshots");
        return latest(identity)?.snapshot() ?? snapshotOf(ctx.index, ctx.settings.scope).snapshot;
      },
    ),
    Status: unary<replicationapi.StatusRequest, replicationapi.ReplicationStatus>(async (_, call) => {
      const session = latest(await guarded(call));
      return {
        current_sequence_num: session?.sent ?? 0,
        pending_events: session?.pending ?? 0,
        connected_replicas: ctx.replicas.size,
      };
    }),
    ConfirmMissingResources: unary<
      replicationapi.ConfirmMissingResourcesRequest,
      replicationapi.ConfirmMissingResourcesResponse
    >(async (request, call) => {
      await guarded(call);
      const resources = request.resources ?? [];
      if (resources.length > MAX_CONFIRM) {
        throw new Status(grpc.status.INVALID_ARGUMENT, `more than ${MAX_CONFIRM} resources in one request`);
      }
      const { index, lookUp, settings: { scope } } = ctx;
      const results = await pLimit(READS_AT_ONCE).map(
        resources,
        (resource) => confirm(index, scope, resource, lookUp),
      );
      allowed(call);
      return { results };
    }),
  };
}

class PlainSession implements ReplicaSession {
  readonly contract = "plain";
  readonly sinceMs = Date.now();
  readonly standing: Standing | undefined = undefined;
  readonly heldTotal = 0;
  readonly #stream: PlainStream;
  readonly #cleanups: (() => void)[] = [];
  #writable = true;
  #scheduled = false;
  #ended = false;

  constructor(
    private readonly call: Call,
    private readonly ctx: Context,
    readonly identity: string,
    sessions: Set<PlainSession>,
  ) {
    this.#stream = new PlainStream(ctx.index, ctx.settings.scope);
    sessions.add(this);
    ctx.replicas.add(this);
    this.#cleanups.push(() => sessions.delete(this), () => ctx.replicas.delete(this));
    this.#cleanups.push(ctx.index.onChange(() => this.#schedule()));
    const firstAck = setTimeout(() => {
      const after = `timed out after ${ctx.settings.initialAckTimeoutMs / 1000}s`;
      this.#fail(new Status(grpc.status.DEADLINE_EXCEEDED, `waiting for initial ACK: ${after}`));
    }, ctx.settings.initialAckTimeoutMs);
    this.#cleanups.push(() => clearTimeout(firstAck));
    const scope = ctx.activeScope();
    const stop = () => this.#fail(scope?.reason);
    scope?.addEventListener("abort", stop);
    this.#cleanups.push(() => scope?.removeEventListener("abort", stop));
    call.on("data", (ack: replicationapi.ReplicationAck) => {
      clearTimeout(firstAck);
      this.#stream.ack(ack.acked_sequence_num ?? 0);
      this.#schedule();
    });
    call.on("drain", () => {
      this.#writable = true;
      this.#schedule();
    });
    onStreamEnd(call, () => this.#end());
    ctx.log.info("replica connected in the plain contract", { identity });
  }

  snapshot(): replicationapi.ReplicationSnapshot {
    return this.#stream.snapshot();
  }
  get sent(): number {
    return this.#stream.sent;
  }
  get applied(): number {
    return this.#stream.acked;
  }
  get pending(): number {
    return this.#stream.pending;
  }
  get appliedRevision(): number {
    return this.#stream.appliedRevision;
  }

  #schedule(): void {
    if (this.#scheduled || this.#ended) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      while (this.#writable && !this.#ended) {
        const event = this.#stream.next(Date.now());
        if (!event) return;
        this.ctx.counters.increment("eventsForwarded");
        this.#writable = this.call.write(event);
      }
    });
  }

  #fail(error: Status): void {
    if (this.#ended) return;
    this.#end();
    failStream(this.call, error);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.ctx.log.info("replica disconnected", { identity: this.identity });
    for (const cleanup of this.#cleanups) cleanup();
  }
}
