/**
 * The planned move as one command. Two principals can only be one ACTIVE at a time if there is a moment after which the old one has
 * given up and the new one has not begun; everything that can be proved or can fail stands before that moment, and is undone by doing
 * nothing more, and between it and the next ACTIVE stands one message. Phases, in order:
 *
 * - preflight: is there a replica that follows us, can write everything, and answers at the peer's address?
 * - freeze: events of agents are no longer taken; what was taken is finished. Streams stay open, `/healthz` stays 200.
 * - cut: the revision at which everything was frozen; the replica has applied up to it.
 * - proof: both digests at the cut are equal.
 * - prepare: the replica has recorded the next epoch, in which it may become ACTIVE at the active's word.
 * - step: the active records that it is none, ends its streams and gives its word; the replica is ACTIVE.
 * - follow: the old active follows. - agents: they are back.
 */
import type { Missing } from "../resources/missing.ts";
import type { Standing } from "./state.ts";

/** The phases by name, in order. */
export const PHASES = ["preflight", "freeze", "cut", "proof", "prepare", "step", "follow", "agents"] as const;
export type Phase = (typeof PHASES)[number];

/** What a switchover tells while it is under way. */
export interface Progress {
  phase: Phase;
  text: string;
  /** Since it began. */
  atMs: number;
}

/** What a switchover did, or would do where `dryRun`; what it did not reach is absent. */
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
}

/** A replica that follows, as its active sees it. */
export interface Candidate {
  identity: string;
  contract: "link" | "plain";
  standing: Standing | undefined;
  heldTotal: number;
}

/** What the preflight decides on. */
export interface Facts {
  own: Standing;
  busy: boolean;
  peerAddress: string;
  replicas: readonly Candidate[];
  /** What the peer at `peerAddress` says of itself, or why it says nothing. */
  peer: Standing | undefined;
  peerError: string;
  /** What the peer lacks around its store. */
  peerMissing?: Missing | undefined;
  storeProblem: string;
}

/** Why a switchover cannot begin, and what to do; undefined: it can. */
export function switchoverProblem(facts: Facts): string | undefined {
  const { own, busy, peerAddress, replicas, peer, peerError, peerMissing, storeProblem } = facts;
  const cannot = (why: string) => `cannot switch over: ${why}`;
  if (own.state !== "active") {
    return cannot(`this principal is not ACTIVE (state ${own.state}); ask the ACTIVE one`);
  }
  if (busy) return cannot("another command is under way; wait for it, see: ha watch");
  if (storeProblem !== "") return cannot(`this side's store is not current: ${storeProblem}`);
  if (peerAddress === "") return cannot("no peer is configured; set --ha-peer-address");
  if (peerError !== "") {
    return cannot(`peer "${peerAddress}" does not answer us: ${peerError}; it must, to take over`);
  }
  if (!peer) {
    return cannot(
      `peer "${peerAddress}" speaks the Go principal's contract only and cannot prove what it has; use: ha demote here, then ` +
        "ha promote --force there",
    );
  }
  if (peer.epoch > own.epoch) {
    return cannot(`peer "${peerAddress}" knows epoch ${peer.epoch}, we serve ${own.epoch}`);
  }
  const replica = replicas.find(({ standing }) => standing?.uid === peer.uid);
  if (!replica) {
    return cannot(
      `the peer is ${
        peer.state || "of an unknown state"
      } and does not follow us; look at its ha status, and wait until it is REPLICATING`,
    );
  }
  if (peer.state !== "replicating") {
    return cannot(
      `replica "${replica.identity}" is ${peer.state}, not REPLICATING yet; wait, see: ha watch`,
    );
  }
  if (replica.heldTotal > 0) {
    return cannot(
      `replica "${replica.identity}" holds ${replica.heldTotal} changes that it cannot write; its ha status says why`,
    );
  }
  const lacking = [...peerMissing?.definitions ?? [], ...peerMissing?.rights ?? []];
  if (lacking.length > 0) {
    return cannot(
      `replica "${replica.identity}" could not serve as ACTIVE: it lacks ${
        lacking.slice(0, 5).join("; ")
      }; see: ha preflight`,
    );
  }
  return undefined;
}
