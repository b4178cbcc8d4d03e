/** The one command that brings or keeps exactly one ACTIVE, or else mends what stands against a failover. */
import { present } from "./concerns.ts";

import { isEmpty, ranked, type Side } from "./ranking.ts";
import { copyText, holderText, leaderProblem } from "./sentences.ts";
import { predict, type Situation } from "./situation.ts";

/** A command, where to type it, and why. */
export interface Next {
  at: "here" | "peer";
  command: string;
  why: string;
}

const here = (command: string, why: string): Next => ({ at: "here", command, why });
const there = (command: string, why: string): Next => ({ at: "peer", command, why });

/** Both sides, the better one first; one that does not answer is not among them. */
export function rankingOf({ model, own, holds, peer, peerHolds }: Situation): Side[] {
  // A process that waits for the lock has not read its side's store.
  if (model.waiting) return [];
  return ranked([
    { at: "here", standing: own, holds },
    ...(peer && !isSelf({ own, peer }) ? [{ at: "peer" as const, standing: peer, holds: peerHolds }] : []),
  ]);
}

/** Whether the peer's address leads to this side itself. */
function isSelf({ own, peer }: Pick<Situation, "own" | "peer">): boolean {
  return peer !== undefined && peer.uid !== "" && peer.uid === own.uid;
}

export function nextCommand(situation: Situation): Next {
  const { model } = situation;
  if (model.procedures.includes("switchover")) {
    return here("ha status", "a switchover is under way: wait for its end");
  }
  if (model.operation) return here("ha status", `a ${model.operation.kind} is under way: wait for its end`);
  if (model.waiting) {
    const { holder, problem } = model.waiting;
    return here(
      "ha status",
      holder
        ? `${holderText(holder)} acts for this side: ask that one; if it hangs, end it`
        : `make the lock on this side's store available: ${problem}`,
    );
  }
  if (isSelf(situation)) {
    return here(
      "ha preflight",
      `peer address "${model.peerAddress}" leads to this side itself: set --ha-peer-address to the other side's, restart, and look again`,
    );
  }
  if (model.state === "active") return ofActive(situation);
  if (situation.peer?.state === "active") return besideActive(situation);
  if (model.state === "replicating") {
    return there("ha explain", "the stream is live and the peer does not say that it is ACTIVE");
  }
  return nobodyServes(situation);
}

function ofActive(situation: Situation): Next {
  const { model, peer } = situation;
  const [best, other] = rankingOf(situation);
  if (peer?.state === "active") {
    const worse = other ?? best;
    return {
      at: worse?.at ?? "here",
      command: "ha demote",
      why: "both sides are ACTIVE: the one that ranks lower must not serve",
    };
  }
  const own = best?.at === "here" ? best : other;
  if (best?.at === "peer" && own && isEmpty(own)) {
    return there("ha promote --force", "this side serves an empty store, and the peer holds the data");
  }
  if (situation.storeProblem !== "") {
    return here("ha status", `this side's store is not current: ${situation.storeProblem}`);
  }
  if (model.peerAddress === "") return here("ha preflight", "no peer is configured: set --ha-peer-address");
  if (situation.replicas === 0) {
    return peer
      ? there("ha explain", "no replica follows this side; the peer says why")
      : there("ha status", "no replica follows this side and the peer does not answer: start it");
  }
  return mending(situation) ?? here("ha switchover", "nothing needs doing; a planned move is");
}

function besideActive(situation: Situation): Next {
  const { model, peer } = situation;
  if (model.state === "replicating") {
    return mending(situation) ??
      here(
        "ha switchover",
        "nothing needs doing: the peer serves and this side has a live copy; a planned move is",
      );
  }
  const problem = peer && leaderProblem(peer, model.memory);
  if (problem && peer.epoch < model.memory.epoch) {
    return here(
      "ha status",
      `the peer is ACTIVE in epoch ${peer.epoch}, below ${model.memory.epoch}: it steps down when it hears of that`,
    );
  }
  if (problem) {
    const [best] = rankingOf(situation);
    const own = best?.at === "here";
    return own || !situation.holds || situation.holds.resources > 0
      ? here(
        "ha promote --force",
        "the peer is ACTIVE with another store than the one that was ACTIVE in this epoch: its own was lost",
      )
      : here(
        "ha preflight",
        "the peer is ACTIVE with another store: remove this side's empty store, restart, and look again",
      );
  }
  if (model.streamLive) return here("ha status", "this side is filling its copy and the peer serves: wait");
  return mending(situation) ??
    here("ha preflight", "the peer serves and this side does not follow it; see Because");
}

/** Neither side is known to be ACTIVE. */
function nobodyServes(situation: Situation): Next {
  const { model, peer, peerError } = situation;
  const [best] = rankingOf(situation);
  if (!peer) return withoutPeer(situation);
  if (best?.at === "peer") return there("ha promote", "neither side is ACTIVE, and the peer ranks higher");
  if (model.state === "recovering" && !model.olderStore && peerError === "" && model.memory.epoch === 0) {
    return here("ha status", "this principal is starting: wait");
  }
  return here(
    predict(situation, false).allowed ? "ha promote" : "ha promote --force",
    model.olderStore
      ? `neither side is ACTIVE, and this one ranks higher, though it was restored from ${
        copyText(model.olderStore)
      }`
      : "neither side is ACTIVE, and this one ranks higher",
  );
}

function withoutPeer(situation: Situation): Next {
  const { model } = situation;
  if (model.peerAddress === "") {
    const command = predict(situation, false).allowed ? "ha promote" : "ha promote --force";
    return here(command, "no peer is configured, and this side does not serve");
  }
  if (model.state !== "recovering" && predict(situation, false).allowed) {
    return here(
      "ha promote",
      "the peer does not answer: if it is dead, promote; if only the network between the two is broken, nothing",
    );
  }
  if (model.state === "recovering" && situation.peerError === "") {
    return here("ha status", "this principal is starting: wait");
  }
  return here(
    "ha explain",
    `start the peer "${model.peerAddress}", which may hold what this store lacks, and ask again`,
  );
}

/** The first matter that needs a person, of this side and then of the peer. */
function mending({ concerns, peerConcerns }: Situation): Next | undefined {
  for (const { command, count, sentence } of present(concerns)) {
    if (command !== "") return here(command, sentence(count));
  }
  for (const { command, count, sentence } of present(peerConcerns)) {
    if (command !== "") return there(command, `at the peer, ${sentence(count)}`);
  }
  return undefined;
}
