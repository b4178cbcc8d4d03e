/**
 * Why a principal is as it is, what a promotion would do, and what to type next. The verdict about a promotion is not written twice
 * here: the state machine is asked, with what the peer says now.
 */
import { type Concerns, countOf, present } from "./concerns.ts";
import { exposedLoss, type Exposure } from "./exposure.ts";
import { step } from "./machine.ts";
import { copyText, holderText, leaderProblem } from "./sentences.ts";
import type { Model, Standing, Waiting } from "./state.ts";

/** The facts known at the time of the question. */
export interface Situation {
  model: Model;
  /** The peer's present report of itself, or why it gives none. */
  peer: Standing | undefined;
  peerError: string;
  /** Replicas that follow this principal. */
  replicas: number;
  agents: number;
  /** Changes that the active is known to have and this side has not written. */
  behind: number;
  /** Nothing older than this is missing here, in ms; undefined: nothing bounds it. */
  inSyncAgoMs: number | undefined;
  /** Matters for a person, here and at the peer as it last said. */
  concerns: Concerns;
  peerConcerns: Concerns;
  /** Of an ACTIVE. */
  exposure: Exposure;
  storeProblem: string;
  nowMs: number;
}

/** Whether a command would go through, and why or why not. */
export interface Verdict {
  allowed: boolean;
  text: string;
}

export interface Explanation {
  healthz: { code: 200 | 503; text: string };
  /** How it came about. */
  because: string;
  promote: Verdict;
  force: Verdict;
  demote: Verdict;
  /** An upper bound on the loss of a promotion now. */
  loss: string;
  /** Undefined: this side is not ACTIVE. */
  exposure: Exposure | undefined;
  /** The next commands; the first brings or keeps exactly one ACTIVE. */
  next: string[];
}

/** The part of a situation that bounds a loss. */
export type LossFacts = Omit<Situation, "peer" | "peerError" | "replicas" | "agents">;

const count = (n: number) => n.toLocaleString("en-US");

/** Explains a situation. */
export function explain(situation: Situation): Explanation {
  const { model } = situation;
  const active = model.state === "active";
  return {
    healthz: {
      code: active ? 200 : 503,
      text: active
        ? `ACTIVE in epoch ${model.memory.epoch}; ${count(situation.agents)} agents are connected`
        : `${model.state.toUpperCase()}, which is not ACTIVE; the GSLB must not send agents here`,
    },
    because: model.explanation,
    promote: predict(situation, false),
    force: predict(situation, true),
    demote: predictDemotion(situation),
    loss: possibleLoss(situation),
    exposure: active ? situation.exposure : undefined,
    next: nextOf(situation),
  };
}

/** Predicts the outcome of `ha promote`. */
export function predict({ model, peer, peerError, nowMs }: Situation, force: boolean): Verdict {
  const asked = step(model, { type: "promote", id: 1, force }, nowMs);
  const refusal = (effects: typeof asked.effects) =>
    effects.find((effect) => effect.type === "reply" && effect.error !== "");
  const refused = refusal(asked.effects);
  if (refused?.type === "reply") return { allowed: false, text: refused.error };
  if (asked.model.operation?.step !== "asking") return { allowed: true, text: asked.model.explanation };
  const answered = step(asked.model, { type: "peerAnswer", peer, error: peerError }, nowMs);
  const outranked = refusal(answered.effects);
  if (outranked?.type === "reply") return { allowed: false, text: outranked.error };
  const about = peer
    ? `peer "${model.peerAddress}" is ${peer.state || "in an unknown state"}, epoch ${peer.epoch}`
    : `peer "${model.peerAddress}" does not answer${peerError ? ` (${peerError})` : ""}`;
  const warning = peer?.state === "active"
    ? "; it is ACTIVE and will be overridden: it steps down when it hears of the new epoch"
    : "";
  return { allowed: true, text: `would go through: ${about}${warning}` };
}

/** Predicts the outcome of `ha demote`. */
function predictDemotion({ model, replicas, nowMs }: Situation): Verdict {
  const { effects } = step(model, { type: "demote", id: 1, alone: replicas === 0 }, nowMs);
  const [first] = effects;
  if (first?.type === "reply" && first.error !== "") return { allowed: false, text: first.error };
  return {
    allowed: true,
    text: model.peer?.state === "active"
      ? "would go through: the peer serves"
      : "would go through, and no principal serves until a promotion; ha switchover does both in one command",
  };
}

/** An upper bound on what a loss of this side takes along where it is ACTIVE, and what a promotion of it loses where it is not. */
export function possibleLoss(situation: LossFacts): string {
  const { model, behind, inSyncAgoMs, concerns, exposure, storeProblem } = situation;
  if (model.state === "active") {
    const blind = storeProblem === "" ? "" : "; and what this side's store has and does not tell";
    return exposedLoss(exposure, { ...situation, peerAddress: model.peerAddress }) + blind;
  }
  if (model.waiting) return "unknown to this process: it has not read this side's store";
  const heldTotal = countOf(concerns, "held");
  const held = heldTotal > 0 ? `, ${count(heldTotal)} cannot be written here` : "";
  const differing = countOf(concerns, "differing");
  const differ = differing === 0
    ? ""
    : `, ${count(differing)} ${differing === 1 ? "key differs" : "keys differ"} from the active's`;
  const known = behind > 0 || held || differ
    ? `${count(behind)} changes are known to be missing${held}${differ}`
    : "nothing is known to be missing";
  if (model.memory.formerActive && model.memory.complete) {
    return "unknown for now: this side was ACTIVE and is still comparing its unreplicated writes (about 10 s after it starts " +
      `following); ${known}`;
  }
  if (model.state === "recovering" && model.olderStore) {
    return `what peer "${model.peerAddress}" has and this store lacks, restored from ${
      copyText(model.olderStore)
    }; where this ` +
      "side is forced to serve, the peer keeps it: ha reconcile there";
  }
  if (inSyncAgoMs === undefined) {
    return model.memory.complete
      ? `everything since this process began to run: it has not been in sync in it; ${known}`
      : "everything that this side does not hold: it never had a complete copy";
  }
  const seconds = Math.ceil(inSyncAgoMs / 1_000);
  return `at most what the active took in the last ${count(seconds)} s; ${known}`;
}

function nextOf(situation: Situation): string[] {
  const { model, peer, replicas, storeProblem, concerns, peerConcerns } = situation;
  const next = commandsFor(situation);
  if (storeProblem !== "") next.push(`mend this side's store: ${storeProblem}`);
  for (const { sentence, count, next: command } of present(concerns)) {
    if (command !== "") next.push(`${sentence(count)} here: ${command}`);
  }
  for (const { sentence, count, next: command } of present(peerConcerns)) {
    if (command !== "") next.push(`at the peer, ${sentence(count)}; there: ${command}`);
  }
  if (model.state === "active" && replicas === 0 && model.peerAddress !== "") {
    next.push(
      `no replica follows: look at ha status on "${model.peerAddress}"${peer ? "" : ", or start it"}`,
    );
  }
  return next;
}

function commandsFor(situation: Situation): string[] {
  const { model, peer } = situation;
  if (model.procedures.includes("switchover")) {
    return ["wait: a switchover is under way; then: ha status"];
  }
  if (model.operation) return [`wait: a ${model.operation.kind} is under way; then: ha status`];
  switch (model.state) {
    case "recovering":
      if (model.waiting) return waiting(model.waiting);
      if (model.memory.epoch > 0) {
        return [
          "ha promote on the peer, which holds newer data than this restored store; or, to serve this older state: " +
          "ha promote --force here",
        ];
      }
      return peer === undefined && situation.peerError !== ""
        ? [
          `start the peer "${model.peerAddress}"; or, if it is lost: ha promote --force here, which serves what this store holds`,
        ]
        : ["wait: this principal is starting; then: ha status"];
    case "active":
      if (peer?.state === "active") {
        return [
          `the peer is ACTIVE too: run ha demote on the side that shall not serve (here, or on "${model.peerAddress}")`,
        ];
      }
      return ["nothing: this side serves (planned move: ha switchover)"];
    case "replicating":
      return peer?.state === "active"
        ? ["nothing: the peer serves and this side has a live copy (planned move: ha switchover)"]
        : ["ha status on the peer; if it is not ACTIVE and will not be: ha promote --force here"];
    default:
      return passive(situation);
  }
}

function waiting({ holder, problem }: Waiting): string[] {
  if (!holder) return [`make the lock on this side's store available: ${problem}`];
  return [`nothing: ${holderText(holder)} acts for this side; ask it: ha status. If it hangs, end it`];
}

function passive(situation: Situation): string[] {
  const { model, peer } = situation;
  if (peer?.state === "active") {
    const problem = leaderProblem(peer, model.memory);
    if (problem) return [`this side does not follow: ${problem}`];
    return model.streamLive ? ["wait: this side is filling its copy; the peer serves"] : [
      'No promotion needed: the peer is serving. See "Because" above and this side\'s log for why replication is down',
    ];
  }
  if (predict(situation, false).allowed) {
    return [
      peer
        ? "ha promote here, or on the peer: neither is ACTIVE"
        : "ha promote here, if the peer is dead; if it lives and only the network between the two is broken, nothing",
    ];
  }
  if (peer && peer.uid !== "" && peer.lineage === "" && peer.state !== "recovering") {
    return [
      "neither side has ever held a complete copy: ha promote --force here, or on the peer if its store holds more",
    ];
  }
  return [
    peer && peer.state !== "recovering"
      ? "ha promote on the peer if it holds the better copy; or ha promote --force here"
      : "start the peer, and wait until this side has a copy; or ha promote --force here, which serves what it holds",
  ];
}
