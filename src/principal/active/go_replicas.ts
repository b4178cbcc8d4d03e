/** Serving Go replicas in their principal's own contract: the stream carries what `GoLeaderProtocol` decides, beside three calls. */
import { onAbort } from "../../base/abort.ts";
import type { ReplicatedEvent } from "../../domain/events/messages.ts";
import type {
  ConfirmMissingResourceResult,
  ConfirmMissingResourcesRequest,
  ReplicationAck,
  ReplicationSnapshot,
  ReplicationStatus,
} from "../../domain/replication/go_messages.ts";
import pLimit from "p-limit";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Standing } from "../../domain/ha/state.ts";
import { confirm, GoLeaderProtocol, snapshotOf } from "../../domain/replication/go_leader.ts";
import { READS_AT_ONCE } from "../core/feed.ts";
import type { ReplicaSession } from "../core/replica_sessions.ts";
import type { PlainPeerService } from "../ports/peer.ts";
import type { ServedStream, StreamEvents } from "../ports/stream.ts";
import { type Leadership, mustHaveRoom, mustLead } from "./leadership.ts";
import { Outlet } from "./outlet.ts";

/** Resources in one ConfirmMissingResources request; a Go replica sends one request an agent. */
const MAX_CONFIRM = 100_000;

type Ack = ReplicationAck;
type Event = ReplicatedEvent;

/** The replicas that are connected in this contract. A principal that is not ACTIVE answers none of them: its word deletes resources. */
export class GoReplicas implements PlainPeerService {
  readonly #connections = new Set<GoReplicaConnection>();

  constructor(
    private readonly leadership: Leadership,
    readonly authorize: PlainPeerService["authorize"],
  ) {}

  subscribe(identity: string, stream: ServedStream<Event>): StreamEvents<Ack> {
    const scope = mustLead(this.leadership, "unavailable");
    mustHaveRoom(this.leadership, identity);
    const connection = new GoReplicaConnection(this.leadership, identity, stream, scope, () => {
      this.#connections.delete(connection);
    });
    this.#connections.add(connection);
    return connection;
  }

  snapshot(identity: string): ReplicationSnapshot {
    const { leadership } = this;
    mustLead(leadership, "unavailable");
    leadership.counters.increment("snapshots");
    return this.#latest(identity)?.snapshot() ??
      snapshotOf(leadership.index, leadership.settings.scope).snapshot;
  }

  status(identity: string): ReplicationStatus {
    mustLead(this.leadership, "unavailable");
    const connection = this.#latest(identity);
    return {
      current_sequence_num: connection?.sent ?? 0,
      pending_events: connection?.pending ?? 0,
      connected_replicas: this.leadership.replicas.size,
    };
  }

  async confirmMissing(
    { resources = [] }: ConfirmMissingResourcesRequest,
  ): Promise<{ results?: ConfirmMissingResourceResult[] }> {
    const { leadership } = this;
    mustLead(leadership, "unavailable");
    if (resources.length > MAX_CONFIRM) {
      throw new Refusal(`more than ${MAX_CONFIRM} resources in one request`, "request");
    }
    const { index, lookUp, settings: { scope } } = leadership;
    const results = await pLimit(READS_AT_ONCE).map(
      resources,
      (resource) => confirm(index, scope, resource, lookUp),
    );
    mustLead(leadership, "unavailable");
    return { results };
  }

  #latest(identity: string): GoReplicaConnection | undefined {
    return [...this.#connections].findLast((connection) => connection.identity === identity);
  }
}

/** One `Replication/Subscribe` stream. */
class GoReplicaConnection implements ReplicaSession, StreamEvents<Ack> {
  readonly contract = "plain";
  readonly sinceMs = Date.now();
  readonly standing: Standing | undefined = undefined;
  readonly heldTotal = 0;
  readonly equalAtMs = 0;
  readonly unwritten = 0;
  readonly #protocol: GoLeaderProtocol;
  readonly #outlet: Outlet<Event>;
  readonly #cleanups: (() => void)[] = [];
  readonly #firstAck: ReturnType<typeof setTimeout>;
  #ended = false;

  constructor(
    private readonly leadership: Leadership,
    readonly identity: string,
    private readonly stream: ServedStream<Event>,
    scope: AbortSignal,
    private readonly gone: () => void,
  ) {
    const { index, log, replicas, settings } = leadership;
    this.#protocol = new GoLeaderProtocol(index, settings.scope);
    this.#outlet = new Outlet({ sink: stream, next: () => this.#next() });
    replicas.add(this);
    this.#firstAck = setTimeout(() => {
      const after = `timed out after ${settings.initialAckTimeoutMs / 1000}s`;
      this.#fail(new Refusal(`waiting for initial ACK: ${after}`, "timeout"));
    }, settings.initialAckTimeoutMs);
    this.#cleanups.push(
      () => replicas.delete(this),
      () => clearTimeout(this.#firstAck),
      () => this.#outlet.close(),
      index.onChange(() => this.#outlet.kick()),
      onAbort(scope, (reason) => this.#fail(reason)),
    );
    log.info("replica connected in the plain contract", { event: "replica_connected", identity });
  }

  get counts(): boolean {
    return this.leadership.voice.counts(this.identity);
  }
  get sent(): number {
    return this.#protocol.sent;
  }
  get applied(): number {
    return this.#protocol.acked;
  }
  get pending(): number {
    return this.#protocol.pending;
  }
  get appliedRevision(): number {
    return this.#protocol.appliedRevision;
  }

  get receivedRevision(): number {
    return this.#protocol.appliedRevision;
  }

  snapshot(): ReplicationSnapshot {
    return this.#protocol.snapshot();
  }

  received({ acked_sequence_num = 0 }: Ack): void {
    if (this.#ended) return;
    clearTimeout(this.#firstAck);
    this.#protocol.ack(acked_sequence_num);
    this.leadership.replicas.acknowledged();
    this.#outlet.kick();
  }

  drained(): void {
    this.#outlet.drained();
  }

  closed(): void {
    this.#end();
  }

  #next(): Event | undefined {
    const event = this.#protocol.next(Date.now());
    if (event) this.leadership.counters.increment("eventsForwarded");
    return event;
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#end();
    this.stream.fail(error);
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.leadership.log.info("replica disconnected", {
      event: "replica_disconnected",
      identity: this.identity,
    });
    for (const cleanup of this.#cleanups) cleanup();
    this.gone();
  }
}
