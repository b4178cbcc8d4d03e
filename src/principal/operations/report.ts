/** This side's report to `ha watch` and `ha explain`. */
import { monotonicMs } from "../../base/clock.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Concerns } from "../../domain/ha/concerns.ts";
import { possibleLoss } from "../../domain/ha/explain.ts";
import type { LossFacts, Situation } from "../../domain/ha/situation.ts";
import type { Exposure } from "../../domain/ha/exposure.ts";
import type { Model, Standing } from "../../domain/ha/state.ts";
import type { Counters } from "../core/counters.ts";
import type { PeerSays } from "../core/concerns.ts";
import { type Following, inSyncAgoMs, inSyncBefore, lagMs } from "../core/following.ts";
import { holdsOf, type PeerAnswer } from "../core/peer.ts";
import type { Replicas } from "../core/replica_sessions.ts";
import type { Report } from "../ports/operations.ts";
import type { Peer } from "../ports/peer.ts";

/** Of the last events so many are reported. */
const HISTORY_SHOWN = 10;

/** The parts of a report. */
export interface ReportParts {
  readonly index: ChangeIndex;
  readonly replicas: Replicas;
  readonly following: Following;
  readonly counters: Pick<Counters, "recordMs" | "total">;
  readonly peer: Pick<Peer, "certificateNotAfterMs" | "certificateProblem">;
  readonly peerSays: Pick<PeerSays, "concerns" | "agoMs">;
  /** Whether a key is configured that signs agents' tokens. */
  readonly hasSigningKey: boolean;
  /** The last events, oldest first. */
  readonly history: readonly { atMs: number; text: string }[];
  model(): Model;
  standing(): Standing;
  concerns(): Concerns;
  readonly exposure: { now(): Exposure };
  storeProblem(): string;
  peerReachable(): boolean;
  connectedAgents(): number;
}

/** Everything that `ha status` and `ha watch` show. */
export function report(ctx: ReportParts): Report {
  const { following, index } = ctx;
  const model = ctx.model();
  return {
    standing: ctx.standing(),
    preferredRole: model.preferredRole,
    explanation: model.explanation,
    peerAddress: model.peerAddress,
    peerReachable: ctx.peerReachable(),
    peer: model.peer,
    contract: following.contract,
    resources: index.size,
    digest: index.digests.root(),
    lagMs: model.state === "active" ? 0 : lagMs(following, monotonicMs()) ?? -1,
    pending: following.behind,
    snapshotDone: model.progress.done,
    snapshotTotal: model.progress.total,
    snapshotComplete: model.memory.complete,
    replicas: [...ctx.replicas],
    held: following.held,
    heldTotal: following.heldTotal,
    concerns: ctx.concerns(),
    peerConcerns: ctx.peerSays.concerns,
    peerConcernsAgoMs: ctx.peerSays.agoMs ?? -1,
    loss: possibleLoss(lossFactsOf(ctx)),
    exposure: model.state === "active" ? ctx.exposure.now() : undefined,
    history: ctx.history.slice(-HISTORY_SHOWN),
    lastEventMs: following.lastEventMs,
    lastSequence: following.lastSequence,
    refused: ctx.counters.total("refused"),
    storeProblem: ctx.storeProblem(),
  };
}

/** The inputs of `ha explain`. */
export function situationOf(ctx: ReportParts, { peer, error, condition }: PeerAnswer): Situation {
  const active = ctx.model().state === "active";
  return {
    own: ctx.standing(),
    holds: holdsOf(ctx),
    peerHolds: condition?.holds,
    equalAgoMs: active ? ctx.exposure.now().equalAgoMs : inSyncAgoMs(ctx.following, monotonicMs()),
    ...lossFactsOf(ctx),
    peer,
    peerError: error,
    replicas: ctx.replicas.counted.length,
    agents: ctx.connectedAgents(),
  };
}

function lossFactsOf(ctx: ReportParts): LossFacts {
  const { following } = ctx;
  return {
    model: ctx.model(),
    exposure: ctx.exposure.now(),
    behind: following.behind,
    inSyncAgoMs: inSyncAgoMs(following, monotonicMs()),
    inSyncBefore: inSyncBefore(following, ctx.model().memory.epoch),
    concerns: ctx.concerns(),
    peerConcerns: ctx.peerSays.concerns,
    storeProblem: ctx.storeProblem(),
    nowMs: Date.now(),
  };
}
