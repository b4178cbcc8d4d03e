/** What the parts of a running principal share. Only `serve.ts` makes one. */
import type { ChangeIndex } from "../changes/index.ts";
import type { Input, Model, Standing } from "../ha/state.ts";
import type { HeldKey } from "../replication/applier.ts";
import type { Store } from "../store/port.ts";
import type { Log } from "./log.ts";
import type { Settings } from "./settings.ts";

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
  /** When nothing was missing last, on the monotonic clock; 0: never in this process. */
  caughtUpAtMs: number;
  /** When this copy was last found to differ from the active's, on the monotonic clock; 0: never. */
  driftAtMs: number;
  lastEventMs: number;
  lastSequence: number;
  held: HeldKey[];
  heldTotal: number;
}

/** Counters that metrics show; only grow. */
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
}

export interface HistoryEntry {
  atMs: number;
  text: string;
}

export interface Context {
  readonly settings: Settings;
  readonly log: Log;
  readonly store: Store;
  readonly index: ChangeIndex;
  readonly uid: string;
  readonly version: string;
  readonly replicas: Set<ReplicaSession>;
  readonly following: Following;
  readonly counters: Counters;
  readonly history: HistoryEntry[];
  /** What keeps the store from being current, in words; empty: nothing. */
  storeProblem(): string;
  /** The state machine's present model. */
  model(): Model;
  input(input: Input): void;
  /** An operator's command; rejects with a `Refusal`. */
  command(kind: "promote" | "demote", force: boolean): Promise<Model>;
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

/** How long a replica lags, in ms: 0 when nothing is missing; undefined when it does not follow. */
export function lagMs({ following }: Pick<Context, "following">, nowMs: number): number | undefined {
  if (following.caughtUpAtMs === 0) return undefined;
  if (following.connected && following.behind === 0) return 0;
  return Math.max(0, nowMs - following.caughtUpAtMs);
}
