/** The words of high availability: states, what is remembered, what goes in, what comes out. */
import type { OlderCopy, StorePoint } from "./store_history.ts";

/** The five states, as the Go principal writes them. */
export const STATES = ["recovering", "syncing", "replicating", "disconnected", "active"] as const;
export type State = (typeof STATES)[number];

/** Whether a text is one of the five states. */
export function isState(text: string): text is State {
  return (STATES as readonly string[]).includes(text);
}

/** The role a principal prefers when nothing is remembered. */
export type Role = "primary" | "replica";

/** A principal's report of itself to its peer. */
export interface Standing {
  /** The principal's identity (a UUID); empty for a peer of another kind. */
  uid: string;
  /** As operators call this side, `--ha-name`; empty: an older release, or a Go principal. */
  name: string;
  version: string;
  namespace: string;
  state: State | "";
  epoch: number;
  /** Since when it is in this state, in unix ms. */
  sinceMs: number;
  connectedAgents: number;
  /** The name of its data set, see lineage.ts; empty: it has none yet, or is a Go principal or an older release. */
  lineage: string;
  /** How far its store is, see store_history.ts; absent: as for lineage. */
  store?: StorePoint;
  /** The classes of objects that it replicates, see resources/coverage.ts; empty: an older release. */
  coverage: string;
}

/** A process that holds the lock on its side's store. */
export interface Holder {
  /** Its pod, or its host. */
  name: string;
  /** 0: unknown. */
  pid: number;
  /** Since when, in unix ms; 0: unknown. */
  sinceMs: number;
}

/** The reason why a process does not act for its side. */
export interface Waiting {
  /** The process that does; undefined: unknown. */
  holder: Holder | undefined;
  /** The reason why the lock cannot be asked for; empty: it can. */
  problem: string;
}

/** The state that survives a restart, kept in the store. */
export interface Memory {
  role: "active" | "replica";
  /** Raised by every promotion; the highest one this principal has claimed or followed. */
  epoch: number;
  /** Whether this store has ever held a complete copy of the active principal's resources. */
  complete: boolean;
  /** The uid of the principal that was ACTIVE in this epoch, as far as it is known; a lost store has another. */
  leader: string;
  /** Was ACTIVE and has not caught up with the next active: what it holds may exist nowhere else. */
  formerActive: boolean;
  /** The epoch in which this replica may become ACTIVE once its leader has stepped down; 0: none was promised. */
  promised: number;
  /**
   * Told to serve by an operator although nothing was remembered and the peer did not answer: what is absent here may exist elsewhere.
   * Over when this store has held a complete copy of another ACTIVE, or when an operator vouches for it.
   */
  unproven: boolean;
  /** The name of the data set that this store holds, see lineage.ts; empty: none yet. */
  lineage: string;
  /** The classes of objects that its data set covered when it was complete, see resources/coverage.ts; empty: an older release's. */
  coverage: string;
}

/** An operator's procedure that runs beside the state; the table says where it may begin. */
export const PROCEDURES = [
  "switchover",
  "drill",
  "repair",
  "reconcile",
  "adopt",
  "forget",
  "release",
  "restore",
] as const;
export type Procedure = (typeof PROCEDURES)[number];

/** A command under way: an operator's, or the active's in a switchover. */
export interface Operation {
  kind: "start" | "promote" | "demote" | "supersede" | "takeover";
  /** Whom to answer; 0 for what no operator asked. */
  id: number;
  force: boolean;
  /** The answer that it waits for. */
  step: "asking" | "stopping" | "recording";
  /** The memory being made durable at step `recording`; afterwards the principal claims exactly this. */
  recording?: Memory;
}

/** Everything `step` decides on. */
export interface Model {
  state: State;
  sinceMs: number;
  preferredRole: Role;
  peerAddress: string;
  memory: Memory;
  /** The classes of objects that this principal replicates. */
  coverage: string;
  /** The uid of this principal, which breaks a tie of epochs. */
  uid: string;
  /** A stream to the active peer has been answered and not broken since. */
  streamLive: boolean;
  progress: { done: number; total: number };
  operation: Operation | undefined;
  /** Procedures that have begun here and not ended; one that may run twice at once is listed twice. */
  procedures: readonly Procedure[];
  /** The peer's report; undefined while it does not answer. */
  peer: Standing | undefined;
  /** The copy that this side's store was restored from and waits with; undefined: none is known. */
  olderStore: OlderCopy | undefined;
  /** The reason why this process does not act for its side; undefined: it does. */
  waiting: Waiting | undefined;
  /** The sentence for the operator about how this state came about. */
  explanation: string;
}

/** The inputs of a principal. */
export type Input =
  | { type: "start"; memory: Memory | undefined }
  /** This process does not hold the lock on its side's store. */
  | { type: "waiting"; waiting: Waiting }
  /** `olderStore`: the peer has heard of a newer state of this side's own store, which is such a copy. */
  | { type: "peerAnswer"; peer: Standing | undefined; error: string; olderStore?: OlderCopy }
  /** `problem`: copies here that are not what the leader sent last, and cannot be restored; empty or absent: none. */
  | { type: "stopped"; problem?: string }
  /** `problem`: as of `stopped`, of what was changed until the record was durable. */
  | { type: "recorded"; error: string; problem?: string }
  | { type: "welcomed"; peer: Standing | undefined; resumed: boolean }
  | { type: "progress"; done: number; total: number }
  | { type: "snapshotApplied" }
  /** Everything that this side held alone is overwritten, and was saved before: nothing can come to light any more. */
  | { type: "caughtUp" }
  /** `refused`: the peer answered, and would not be followed. */
  | { type: "streamLost"; reason: string; refused?: boolean }
  | { type: "heard"; peer: Standing }
  | { type: "peerSilent" }
  /** `by`: a switchover's own command, which that switchover does not refuse. */
  | { type: "promote"; id: number; force: boolean; by?: "switchover" }
  /** `alone`: no replica follows this side. */
  | { type: "demote"; id: number; force?: boolean; alone?: boolean; by?: "switchover" }
  /** In a switchover, from the ACTIVE that is followed: get ready for the next epoch. */
  | { type: "prepare"; id: number; peer: Standing }
  /** In a switchover: the leader has stepped down; become ACTIVE in the promised epoch. */
  | { type: "takeOver"; id: number; peer: Standing; epoch: number }
  /** An operator's procedure; `problem`: what facts outside the model stand against it, empty: none. */
  | { type: "begin"; id: number; procedure: Procedure; problem: string }
  /** A procedure that had begun is over. */
  | { type: "ended"; procedure: Procedure };

/** An input with an answer, before its caller waits for it. */
export type Command = WithoutId<Extract<Input, { id: number }>>;
type WithoutId<T> = T extends { id: number } ? Omit<T, "id"> : never;

export type InputType = Input["type"];

export const INPUT_TYPES: readonly InputType[] = [
  "start",
  "waiting",
  "peerAnswer",
  "stopped",
  "recorded",
  "welcomed",
  "progress",
  "snapshotApplied",
  "caughtUp",
  "streamLost",
  "heard",
  "peerSilent",
  "promote",
  "demote",
  "prepare",
  "takeOver",
  "begin",
  "ended",
];

/** The effects that the driver runs, in order; their results return as inputs. */
export type Effect =
  /** Ask the peer what it is; comes back as `peerAnswer`. */
  | { type: "askPeer"; afterMs?: number }
  /**
   * Make the memory durable; comes back as `recorded`. `compare`: then look at everything in the store, and restore what another writer
   * changed until the memory was durable.
   */
  | { type: "record"; memory: Memory; compare?: boolean }
  /** Make the memory durable; nothing waits for it. The driver retries until it is, or until another memory replaces it. */
  | { type: "remember"; memory: Memory }
  /** Start following the peer (no-op while following). */
  | { type: "follow" }
  /**
   * Stop following, let writes in flight end, and restore the copies that another writer changed; comes back as `stopped`. `compare`: look
   * at everything in the store first.
   */
  | { type: "stopFollowing"; compare?: boolean }
  /** Open the scope in which only the active serves; with a `memory`, agents are admitted once it is durable. */
  | { type: "serve"; memory?: Memory }
  /** Let replicas catch up for a moment, then end that scope. */
  | { type: "stopServing"; drain: boolean }
  /** Answer an operator's command. */
  | { type: "reply"; id: number; error: string };

/** The model of a principal that has not started. */
export function initialModel(
  options: Pick<Model, "preferredRole" | "peerAddress" | "uid" | "coverage">,
  nowMs: number,
): Model {
  return {
    ...options,
    state: "recovering",
    sinceMs: nowMs,
    memory: {
      role: "replica",
      epoch: 0,
      complete: false,
      leader: "",
      formerActive: false,
      promised: 0,
      unproven: false,
      lineage: "",
      coverage: "",
    },
    streamLive: false,
    progress: { done: 0, total: 0 },
    operation: undefined,
    procedures: [],
    peer: undefined,
    olderStore: undefined,
    waiting: undefined,
    explanation: "starting; nothing is known yet",
  };
}
