/**
 * The facts behind `ha explain`, and its verdicts. A verdict is not written twice: the state machine is asked, with what the peer says now.
 */
import type { Concerns } from "./concerns.ts";
import type { Exposure } from "./exposure.ts";
import { step } from "./machine.ts";
import type { Holds } from "./ranking.ts";
import type { Model, Standing } from "./state.ts";

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
  /** The same of an earlier process of this epoch: in unix ms, and when this one started. */
  inSyncBefore: { atMs: number; startedAtMs: number } | undefined;
  /** Matters for a person, here and at the peer as it last said. */
  concerns: Concerns;
  peerConcerns: Concerns;
  /** Of an ACTIVE. */
  exposure: Exposure;
  storeProblem: string;
  nowMs: number;
  /** This side's report of itself, and what either store holds; undefined: the peer does not say. */
  own: Standing;
  holds: Holds | undefined;
  peerHolds: Holds | undefined;
  /** When both sides were last proved equal; undefined: not known. */
  equalAgoMs: number | undefined;
}

/** Whether a command would go through, and why or why not. */
export interface Verdict {
  allowed: boolean;
  text: string;
}

/** The part of a situation that bounds a loss. */
export type LossFacts = Omit<
  Situation,
  "peer" | "peerError" | "replicas" | "agents" | "own" | "holds" | "peerHolds" | "equalAgoMs"
>;

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
export function predictDemotion({ model, replicas, nowMs }: Situation): Verdict {
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
