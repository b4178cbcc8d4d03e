/** Why a principal is as it is, what a promotion would do, which side is the better one, and what to type next. */
import { type Concerns, countOf, present } from "./concerns.ts";
import { exposedLoss, type Exposure, timeText } from "./exposure.ts";
import { type Next, nextCommand, rankingOf } from "./next_command.ts";
import { rankText } from "./ranking.ts";
import { copyText } from "./sentences.ts";
import { type LossFacts, predict, predictDemotion, type Situation, type Verdict } from "./situation.ts";

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
  /** Both sides in words, the better one first. */
  ranking: string[];
  /** Matters for a person on either side. */
  matters: string[];
  next: Next;
}

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
    ranking: rankingOf(situation).map((side) =>
      rankText(side, side.at === "here" ? "here" : model.peerAddress, situation.equalAgoMs)
    ),
    matters: mattersOf(situation),
    next: nextCommand(situation),
  };
}

/** An upper bound on what a loss of this side takes along where it is ACTIVE, and what a promotion of it loses where it is not. */
export function possibleLoss(situation: LossFacts): string {
  const { model, behind, inSyncAgoMs, inSyncBefore, concerns, exposure, storeProblem } = situation;
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
  if (inSyncAgoMs === undefined && inSyncBefore && model.memory.complete) {
    const { atMs, startedAtMs } = inSyncBefore;
    const before = Math.max(0, Math.ceil((startedAtMs - atMs) / 1_000));
    const also = behind > 0 || held || differ ? `; ${known}` : "";
    return `at most everything since ${timeText(atMs)}, ${count(before)} s before this start${also}`;
  }
  if (inSyncAgoMs === undefined) {
    return model.memory.complete
      ? `everything since this process began to run: it has not been in sync in it; ${known}`
      : "everything that this side does not hold: it never had a complete copy";
  }
  const seconds = Math.ceil(inSyncAgoMs / 1_000);
  return `at most what the active took in the last ${count(seconds)} s; ${known}`;
}

function mattersOf({ storeProblem, concerns, peerConcerns }: Situation): string[] {
  const of = (all: Concerns, where: string) =>
    present(all).filter(({ next }) => next !== "").map(({ sentence, count, next }) =>
      `${where}${sentence(count)}: ${next}`
    );
  return [
    ...(storeProblem === "" ? [] : [`here, this side's store is not current: ${storeProblem}`]),
    ...of(concerns, "here, "),
    ...of(peerConcerns, "at the peer, "),
  ];
}
