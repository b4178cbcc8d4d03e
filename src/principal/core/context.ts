/** What the parts of a running principal share. Only `serve.ts` makes one. */
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Client } from "../../adapters/grpc/dial.ts";
import type { Link } from "../../domain/ha/history.ts";
import type { Command, Input, Model, Standing } from "../../domain/ha/state.ts";
import type { HeldKey } from "../../domain/replication/applier.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { Store } from "../ports/store.ts";
import type { ActiveStore } from "../active/active_store.ts";
import type { AgentRegistry } from "../active/agent_registry.ts";
import type { ClusterInfo } from "../ports/cluster_info.ts";
import type { Clusters } from "../active/clusters.ts";
import type { Fleet } from "../active/fleet.ts";
import type { Log } from "../../base/log.ts";
import type { LossManifest } from "../replica/loss_manifest.ts";
import type { Readiness } from "../operations/readiness.ts";
import type { Settings } from "../../config/settings.ts";

/** A replica that is connected to us. */
export interface ReplicaSession {
  readonly identity: string;
  readonly contract: "link" | "plain";
  readonly sinceMs: number;
  readonly standing: Standing | undefined;
  readonly sent: number;
  readonly applied: number;
  readonly pending: number;
  readonly heldTotal: number;
  /** Everything up to this revision of our index is durable there. */
  readonly appliedRevision: number;
}

/** What our own replication client does. */
export interface Following {
  contract: "link" | "plain" | "";
  connected: boolean;
  /** Changes that the active is known to have and that are not durable here. */
  behind: number;
  /** Nothing that the active had at this time is missing here, on the monotonic clock; 0: no such time in this process. */
  inSyncAsOfMs: number;
  /** When this copy was last found to differ from the active's, on the monotonic clock; 0: never. */
  driftAtMs: number;
  lastEventMs: number;
  lastSequence: number;
  held: HeldKey[];
  heldTotal: number;
  /** Asks the active for the present state of these keys again; undefined: nothing is followed in our own contract. */
  again: ((keys: readonly string[]) => void) | undefined;
}

/** Counters that metrics show; only grow, but for times. */
export interface Counters {
  eventsForwarded: number;
  eventsReceived: number;
  eventsApplied: number;
  applyErrors: number;
  /** Of the errors, those while a snapshot was being applied. */
  snapshotApplyErrors: number;
  /** Streams that ended before the peer had answered. */
  snapshotFetchErrors: number;
  /** Failed writes by `Kind|operation`. */
  operationErrors: Record<string, number>;
  refused: number;
  reconnects: number;
  snapshots: number;
  sequenceGaps: number;
  connectionsRejected: Record<string, number>;
  transitions: Record<string, number>;
  failovers: number;
  failbacks: number;
  agentEventsSent: number;
  agentEventsReceived: number;
  /** Events that failed or were refused, by target. */
  agentErrors: Record<string, number>;
  /** Streams opened, by agent. */
  agentConnections: Record<string, number>;
  /** How long the last durable record of role and epoch took, in ms; 0: there was none in this process. */
  recordMs: number;
}

/** How the handling of one event of an agent ended. */
export interface ProcessedEvent {
  status: "success" | "failure" | "not-allowed";
  agent: string;
  target: string;
  seconds: number;
}

/** Keeps how long events took, for metrics. */
export interface Processing {
  observe(event: ProcessedEvent): void;
  /** The agent has left. */
  forget(agent: string): void;
}

export interface HistoryEntry {
  atMs: number;
  text: string;
}

/** How this principal reaches its peer, and with what. */
export interface PeerSide {
  /** A channel to the peer's port; whoever asked for it closes it. */
  dial(): Client;
  /** When the certificate it is dialled with expires, in unix ms. */
  certificateNotAfterMs(): number;
}

export interface Context {
  readonly settings: Settings;
  readonly log: Log;
  readonly store: Store;
  /** Makes the index show what the store has of a key, where the index has never heard of it. @throws StoreError */
  lookUp(key: Key): Promise<void>;
  /** For what only the ACTIVE writes. */
  readonly activeStore: ActiveStore;
  readonly index: ChangeIndex;
  readonly uid: string;
  readonly version: string;
  readonly replicas: Set<ReplicaSession>;
  readonly following: Following;
  readonly counters: Counters;
  readonly history: HistoryEntry[];
  /** The durable history, chained by hashes. */
  chain(): readonly Link[];
  readonly registry: AgentRegistry;
  readonly clusters: Clusters;
  readonly peer: PeerSide;
  readonly clusterInfo: ClusterInfo;
  fleet(): Fleet;
  /** What this side held and the next active did not. */
  readonly losses: LossManifest;
  /** The peer is ACTIVE: whoever waits before dialling it again need not. */
  redial(): void;
  readonly processing: Processing;
  /** Whether the pair is ready for a failover. */
  readonly readiness: Readiness;
  /** What keeps the store from being current, in words; empty: nothing. */
  storeProblem(): string;
  /** The state machine's present model. */
  model(): Model;
  input(input: Input): void;
  /** Keeps in the durable history that an operator asked for something. */
  note(what: string, who: string): void;
  /** An operator's command; rejects with a `Refusal`. */
  command(kind: "promote" | "demote", force: boolean, who?: string): Promise<Model>;
  /** The active's word in a switchover, to its replica; rejects with a `Refusal`. */
  handover(word: Extract<Command, { type: "prepare" | "takeOver" }>): Promise<Model>;
  /** Open while this principal is ACTIVE and serves; aborted when it stops. */
  activeScope(): AbortSignal | undefined;
  /** What we say about ourselves. */
  standing(): Standing;
  /** Whether the peer has answered lately. */
  peerReachable(): boolean;
  connectedAgents(): number;
}

/** An operator's command that the state machine refused. */
export class Refusal extends Error {}

/** What the active says of itself is fresh for this long: it says it every second; a Go principal is asked every five. */
const FRESH_MS = { "": 3_000, link: 3_000, plain: 12_000 };

/** Nothing older than this is missing here, in ms: it bounds what a promotion loses. Undefined: nothing bounds it. */
export function inSyncAgoMs({ following }: Pick<Context, "following">, nowMs: number): number | undefined {
  return following.inSyncAsOfMs === 0 ? undefined : Math.max(0, nowMs - following.inSyncAsOfMs);
}

/** How long a replica lags, in ms: 0 when nothing is known to be missing and that is fresh; undefined when it does not follow. */
export function lagMs(ctx: Pick<Context, "following">, nowMs: number): number | undefined {
  const { connected, behind, contract } = ctx.following;
  const ago = inSyncAgoMs(ctx, nowMs);
  return ago !== undefined && connected && behind === 0 && ago < FRESH_MS[contract] ? 0 : ago;
}

/** Nothing followed yet. */
export function newFollowing(): Following {
  return {
    contract: "",
    connected: false,
    behind: 0,
    inSyncAsOfMs: 0,
    driftAtMs: 0,
    lastEventMs: 0,
    lastSequence: 0,
    held: [],
    heldTotal: 0,
    again: undefined,
  };
}

/** All zero. */
export function newCounters(): Counters {
  return {
    eventsForwarded: 0,
    eventsReceived: 0,
    eventsApplied: 0,
    applyErrors: 0,
    snapshotApplyErrors: 0,
    snapshotFetchErrors: 0,
    operationErrors: {},
    refused: 0,
    reconnects: 0,
    snapshots: 0,
    sequenceGaps: 0,
    connectionsRejected: {},
    transitions: {},
    failovers: 0,
    failbacks: 0,
    agentEventsSent: 0,
    agentEventsReceived: 0,
    agentErrors: {},
    agentConnections: {},
    recordMs: 0,
  };
}
