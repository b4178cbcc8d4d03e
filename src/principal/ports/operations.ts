/** The calls of operators in domain values: an adapter decodes and authorises a call, then makes it here. */
import type { Group } from "../../domain/changes/inventory.ts";
import type { Concerns } from "../../domain/ha/concerns.ts";
import type { DeletionCause } from "../../domain/ha/deletion_guard.ts";
import type { Exposure } from "../../domain/ha/exposure.ts";
import type { Explanation } from "../../domain/ha/explain.ts";
import type { ChainedEntry } from "../../domain/ha/history.ts";
import type { Check } from "../../domain/ha/preflight.ts";
import type { Model, Standing } from "../../domain/ha/state.ts";
import type { Progress, Receipt } from "../../domain/ha/switchover.ts";
import type { Mode } from "../../domain/resources/roster.ts";
import type { FieldDifference } from "../../domain/resources/fields.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import type { Repaired, SwitchoverRequest } from "./peer.ts";

/** Keys whose objects one answer brings at most, and keys that one repair takes at most. */
export const MAX_FETCHED = 100;
export const MAX_REPAIRED = 1_000;

/** For an operator, at the admin listener. Commands reject with a `Refusal`. */
export interface Operations {
  standing(): Standing;
  /** Everything that `ha status` and `ha watch` show. */
  report(): Report;
  /** Waits until replicas have durably applied these versions or newer ones; for each whether they have. */
  replicated(versions: readonly Version[], timeoutMs: number, signal: AbortSignal): Promise<boolean[]>;
  command(kind: "promote" | "demote", force: boolean, who: string): Promise<Model>;
  explain(): Promise<Explained>;
  preflight(): Promise<Look>;
  history(): readonly ChainedEntry[];
  /** From either side of the pair. */
  switchover(request: SwitchoverRequest, tell: (progress: Progress) => void): Promise<Receipt>;
  /** Compares both sides; of `keys` also in which fields they differ. */
  diff(keys: readonly Key[]): Promise<Diff>;
  /** From either side: the replica takes a resend of these keys. */
  repair(request: RepairOptions): Promise<Repaired>;
  /** Overwritten and deleted objects that are kept, oldest first. */
  losses(): Promise<{ losses: ListedLoss[]; peerError: string }>;
  reconcile(options: ReconcileOptions): Promise<Repaired>;
  /** The deletions that wait on this side, oldest first. */
  deletions(): Promise<ListedDeletion[]>;
  decideDeletions(decision: DeletionsDecision): Promise<Repaired>;
  /** Takes an agent off the roster. */
  forgetAgent(name: string, who: string): Promise<void>;
}

/** For an operator: `ha drill`. */
export interface Drills {
  standing(): Standing;
  /** @throws Refusal where this side is no replica, or ceases to be one */
  run(options: DrillOptions): Promise<DrillReport>;
}

/** A version of a resource. */
export interface Version {
  key: Key;
  resourceVersion: string;
}

/** A replica of this principal. */
export interface ReplicaReport {
  identity: string;
  contract: "link" | "plain";
  standing: Standing | undefined;
  sent: number;
  applied: number;
  pending: number;
  heldTotal: number;
  sinceMs: number;
}

export interface Report {
  standing: Standing;
  preferredRole: string;
  explanation: string;
  peerAddress: string;
  peerReachable: boolean;
  peer: Standing | undefined;
  contract: string;
  resources: number;
  digest: string;
  /** -1: never caught up in this process. */
  lagMs: number;
  pending: number;
  snapshotDone: number;
  snapshotTotal: number;
  snapshotComplete: boolean;
  replicas: ReplicaReport[];
  held: { key: Key; reason: string }[];
  heldTotal: number;
  concerns: Concerns;
  /** As the peer last said, and how long ago that was; -1: it has not. */
  peerConcerns: Concerns;
  peerConcernsAgoMs: number;
  /** An upper bound on the loss of this side where it is ACTIVE, of a promotion of it where it is not. */
  loss: string;
  /** Undefined: this side is not ACTIVE. */
  exposure: Exposure | undefined;
  /** The last events, oldest first. */
  history: { atMs: number; text: string }[];
  lastEventMs: number;
  lastSequence: number;
  refused: number;
  storeProblem: string;
}

/** An explanation, and what it was made of. */
export interface Explained extends Explanation {
  peerAddress: string;
  peer: Standing | undefined;
  peerError: string;
}

/** The result of a preflight. */
export interface Look {
  checks: Check[];
  /** The possible loss of a promotion of the passive side. */
  loss: string;
  /** How long it would take. */
  time: string;
  atMs: number;
}

/** Where two sides differ. */
export interface Diff {
  peer: Standing | undefined;
  groups: { kind: Group["kind"]; agent: Group["agent"]; here: number; peer: number; same: boolean }[];
  /** Digests are empty where there is nothing. */
  keys: { key: Key; here: string; peer: string; fields: FieldDifference[] }[];
  truncated: boolean;
}

export interface RepairOptions {
  keys: readonly Key[];
  /** 0: the default. */
  timeoutMs: number;
  who: string;
}

/** An object that this principal keeps, and how this side's copy compares with it now. */
export interface ListedLoss {
  key: Key;
  /** `overwritten`: this side held it and the next active did not. */
  reason: "overwritten" | "deleted" | "foreign" | "held";
  /** The peer that keeps it; empty: this side. */
  keptAt: string;
  /** How a deletion is known, in words. */
  cause: string;
  digest: string;
  epoch: number;
  newActiveHas: "another state" | "nothing";
  atMs: number;
  object: ApiObject;
  /** `not replicated`: it lies in this store under its key, and belonged to it before this side followed. */
  now: "the same" | "another state" | "nothing" | "not replicated";
}

export interface ReconcileOptions {
  action: "adopt" | "discard";
  /** Undefined: all that wait for a decision. */
  keys: readonly Key[] | undefined;
  who: string;
}

/** A deletion that waits for an operator. */
export interface ListedDeletion {
  key: Key;
  /** Empty: in this side's own copy. */
  agent: string;
  cause: DeletionCause | "requested";
  /** In unix ms. */
  sinceMs: number;
  /** The one who deleted it, as far as that is known, in words. */
  by: string;
  /** Whether the object can be had from here. */
  restorable: boolean;
}

export interface DeletionsDecision {
  action: "release" | "restore";
  /** Undefined: all. */
  keys: readonly Key[] | undefined;
  /** Only at this agent; empty: wherever they wait. */
  agent: string;
  who: string;
}

export interface DrillOptions {
  /** Empty: the agent with the most Applications. */
  agent: string;
  timeoutMs: number;
}

/** The cost of a failover now, and its gaps. */
export interface DrillReport {
  agent: string;
  mode: Mode;
  /** From the command to ACTIVE, from then to the agent's stream, from then until it had everything; in ms. */
  promotedMs: number;
  connectedMs: number;
  convergedMs: number;
  /** Applications of the agent in this copy. */
  applications: number;
  /** The agent's final resources, by kind. */
  took: { kind: string; count: number }[];
  /** How its second stream went: events, and what was deleted and recreated at the agent in both. */
  again: { events: number; deleted: number; madeAnew: number };
  /** Resources that the ACTIVE has for the agent and this copy lacks or has in another state; the first 100. */
  missing: string[];
  missingTotal: number;
  problems: string[];
  /** Writes that a failover would have made until here. */
  writes: number;
  /** The possible loss of a promotion now. */
  loss: string;
}
