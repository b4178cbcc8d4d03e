/**
 * The planned move as one command, in phases (`PHASES`). Every step that can fail comes before the moment in which the old
 * active steps down, and is undone by doing nothing more. Between that moment and the next ACTIVE lies one message, so two
 * principals are never ACTIVE at once.
 */
import type { Noted } from "./concerns.ts";
import type { Missing } from "../resources/missing.ts";
import type { Standing } from "./state.ts";

/**
 * The phases by name, in order.
 *
 * - preflight: one replica follows, can write everything, and answers at the peer's address.
 * - freeze: agents' events wait, and those in hand finish. Streams stay open, `/healthz` stays 200.
 * - cut: the replica has applied everything up to the revision of the freeze.
 * - proof: both digests at the cut are equal.
 * - prepare: the replica has recorded the next epoch, in which the active's message may make it ACTIVE.
 * - step: the active records that it steps down, ends its streams and hands over; the replica is ACTIVE.
 * - follow: the old active follows.
 * - agents: as many agents are back as before.
 */
export const PHASES = ["preflight", "freeze", "cut", "proof", "prepare", "step", "follow", "agents"] as const;
export type Phase = (typeof PHASES)[number];

/** The progress of a switchover. */
export interface Progress {
  phase: Phase;
  text: string;
  /** Since it began. */
  atMs: number;
}

/** The result of a switchover, or its forecast with `dryRun`; phases that it did not reach are absent. */
export interface Receipt {
  dryRun: boolean;
  before: Standing;
  after?: Standing;
  /** The active's revision at which everything was frozen, and both sides' digests there. */
  cutRevision?: number;
  digestActive?: string;
  digestReplica?: string;
  resources: number;
  epochBefore: number;
  epochAfter?: number;
  phases: { phase: Phase; ms: number }[];
  agentsBefore: number;
  agentsBack?: number;
  lostAcknowledged?: number;
  /** Keys that differed before it: of a forecast those that it would repair, of a switchover those that it did. */
  differing: Noted;
}

/** A finished switchover in one line of the history. */
export function outcomeText({ after, epochBefore, epochAfter, agentsBefore, agentsBack }: Receipt): string {
  return `done: "${
    after?.name || after?.uid
  }" is ACTIVE, epoch ${epochBefore} -> ${epochAfter}, 0 acknowledged changes lost, ` +
    `${agentsBack} of ${agentsBefore} agents are back`;
}

/** A replica that follows, as its active sees it. */
export interface Candidate {
  identity: string;
  contract: "link" | "plain";
  standing: Standing | undefined;
  heldTotal: number;
}

/** The inputs of the preflight beside the state machine's model. */
export interface Facts {
  own: Standing;
  peerAddress: string;
  replicas: readonly Candidate[];
  /** The report of the peer at `peerAddress`, or why it gives none. */
  peer: Standing | undefined;
  peerError: string;
  /** The needs that the peer's cluster lacks. */
  peerMissing?: Missing | undefined;
  /** Things that this side's resources name and the peer does not have. */
  peerLacks?: Noted | undefined;
  storeProblem: string;
}

/** The fact that forbids a switchover from the ACTIVE, with the remedy; empty: none. */
export function switchoverProblem(facts: Facts): string {
  const { own, peerAddress, peer, peerError, storeProblem } = facts;
  if (storeProblem !== "") return `this side's store is not current: ${storeProblem}; see: ha status`;
  if (peerAddress === "") return "no peer is configured; set --ha-peer-address";
  if (peerError !== "") return `peer "${peerAddress}" does not answer us: ${peerError}; see: ha preflight`;
  if (!peer) {
    return `peer "${peerAddress}" speaks only the Go principal's contract and cannot prove what it has; ` +
      "use: ha demote here, then ha promote --force there";
  }
  if (peer.epoch > own.epoch) {
    return `peer "${peerAddress}" knows epoch ${peer.epoch}, this side serves ${own.epoch}; see: ha explain`;
  }
  return replicaProblem(facts, peer);
}

function dependencyProblem(named: string, lacks: Noted | undefined): string {
  if (!lacks?.count) return "";
  const { count, examples } = lacks;
  const more = count > examples.length
    ? ` and ${(count - examples.length).toLocaleString("en-US")} more`
    : "";
  return `${named} lacks what resources here name: ${examples.join("; ")}${more}; ` +
    "create it there, or replicate it; see: ha preflight";
}

function replicaProblem({ replicas, peerMissing, peerLacks }: Facts, peer: Standing): string {
  const replica = replicas.find(({ standing }) => standing?.uid === peer.uid);
  if (!replica) {
    return `the peer is ${
      peer.state || "of an unknown state"
    } and does not follow us; see its ha status, and wait ` +
      "until it is REPLICATING";
  }
  const named = `replica "${replica.identity}"`;
  if (peer.state !== "replicating") return `${named} is ${peer.state}, not REPLICATING; wait, see: ha watch`;
  const lacking = [...peerMissing?.definitions ?? [], ...peerMissing?.rights ?? []];
  if (lacking.length > 0) {
    return `${named} could not serve as ACTIVE: it lacks ${
      lacking.slice(0, 5).join("; ")
    }; see: ha preflight`;
  }
  if (replica.heldTotal > 0) {
    return `${named} holds ${replica.heldTotal} changes that it cannot write; see its ha status`;
  }
  return dependencyProblem(named, peerLacks);
}
