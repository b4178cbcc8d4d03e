/** Matters for a person: each counted where it is kept, and the peer's as it last said. */
import { monotonicMs } from "../../base/clock.ts";
import { type ConcernName, type Concerns, type Noted, noted } from "../../domain/ha/concerns.ts";
import type { Condition } from "../../domain/ha/preflight.ts";
import { copyText } from "../../domain/ha/sentences.ts";
import type { OlderCopy } from "../../domain/ha/store_history.ts";
import type { ChangeIndex, Entry } from "../../domain/changes/index.ts";
import type { DriftedCopy } from "../../domain/replication/drift.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { Following } from "./following.ts";

/** Where the counts are kept. */
export interface ConcernSources {
  readonly following: Pick<Following, "held" | "heldTotal" | "guarded" | "leaderRestored">;
  /** Deletions that the guard holds; `agent` is empty in a replica's copy. */
  readonly heldDeletions: { list(): readonly { readonly key: Key; readonly agent: string }[] };
  readonly kept: { readonly waiting: readonly { readonly key: Key }[] };
  readonly foreign: { readonly keys: readonly Key[] };
  readonly comparison: { readonly differing: Noted };
  /** As the peer last said. */
  readonly peerSays: { readonly concerns: Concerns };
  readonly peerNeeds: { readonly noted: Noted };
  readonly voice: { readonly noted: Noted };
  readonly refusals: { readonly noted: Noted };
  readonly quotas: { readonly noted: Noted };
  readonly uiNeeds: { readonly noted: Noted };
  readonly roster: { readonly away: Noted };
  readonly chain: { readonly broken: Noted };
  readonly dependencies: { readonly inCluster: readonly Key[] };
  readonly feed: { readonly alone: readonly { readonly key: Key; readonly owner: Key }[] };
  readonly index: Pick<ChangeIndex, "requested" | "standby" | "withheld">;
  readonly copies: {
    readonly copies: readonly Pick<DriftedCopy, "key" | "change" | "manager">[];
    readonly writerLines: readonly string[];
  };
}

/** One supplier a concern. */
const SUPPLIERS: Record<ConcernName, (from: ConcernSources) => Noted> = {
  held: ({ following: { held, heldTotal, guarded } }) => {
    const refused = held.filter(({ retryAt }) => retryAt < Infinity);
    return noted(refused.map(({ key, reason }) => `${key}: ${reason}`), heldTotal - guarded);
  },
  deletions: ({ heldDeletions }) =>
    noted(heldDeletions.list().map(({ key, agent }) => agent === "" ? key : `${key} at ${agent}`)),
  losses: ({ kept: { waiting } }) => noted(waiting.map(({ key }) => key)),
  restored: ({ following: { leaderRestored }, kept, foreign, index }) =>
    leaderRestored && index.standby
      ? noted([restoredText(leaderRestored, kept.waiting, foreign.keys)])
      : noted([]),
  foreign: ({ foreign: { keys } }) => noted(keys),
  pending: ({ index }) => noted(index.requested().map((entry) => requestOf(entry, index.standby))),
  drift: ({ copies: { copies } }) => noted(copies.map(driftOf)),
  writers: ({ copies: { writerLines } }) => noted(writerLines),
  differing: differingOf,
  dependencies: ({ peerNeeds }) => peerNeeds.noted,
  agentClaims: ({ refusals }) => refusals.noted,
  agentQuotas: ({ quotas }) => quotas.noted,
  peerEpoch: ({ voice }) => voice.noted,
  unusable: ({ index: { withheld } }) => noted([...withheld].map(([key, reason]) => `${key}: ${reason}`)),
  agentsAway: ({ roster }) => roster.away,
  history: ({ chain }) => chain.broken,
  owners: ({ feed }) => noted(feed.alone.map(({ key, owner }) => `${key} of ${owner}`)),
  ui: ({ uiNeeds }) => uiNeeds.noted,
  inCluster: ({ dependencies }) => noted(dependencies.inCluster),
};

/** A key of which one side has a state that cannot be used differs until that is corrected; no repair helps. */
function differingOf({ comparison: { differing }, index, peerSays }: ConcernSources): Noted {
  const theirs = peerSays.concerns.unusable?.examples ?? [];
  const told = (key: string) => {
    if (index.withheld.has(key)) return `${key}: this side's state of it cannot be used`;
    return theirs.some((one) => one.startsWith(`${key}: `))
      ? `${key}: the other side's state of it cannot be used`
      : key;
  };
  return { ...differing, examples: differing.examples.map(told) };
}

function restoredText(copy: OlderCopy, overwritten: readonly unknown[], foreign: readonly unknown[]): string {
  return `${copyText(copy)}; kept here: ${overwritten.length} overwritten, ${foreign.length} that it lacks`;
}

function requestOf({ key, deletionRequested, terminating }: Entry, standby: boolean): string {
  const waits = terminating
    ? "waits for finalizers"
    : standby
    ? "as the active says"
    : "waits for an operator";
  return `${key}: requested ${deletionRequested}, ${waits}`;
}

function driftOf({ key, change, manager }: Pick<DriftedCopy, "key" | "change" | "manager">): string {
  return `${key}: ${change}${manager === "" ? "" : ` by "${manager}"`}`;
}

/** This side's concerns. */
export function concernsOf(sources: ConcernSources): Concerns {
  return Object.fromEntries(Object.entries(SUPPLIERS).map(([name, supply]) => [name, supply(sources)]));
}

/** The peer's last word on its condition, in this process. */
export class PeerSays {
  #condition: Condition | undefined;
  #heardAtMs = 0;

  /** Undefined: an older release says nothing. */
  heard(condition: Condition | undefined): void {
    if (!condition) return;
    this.#condition = condition;
    this.#heardAtMs = monotonicMs();
  }

  /** Its concerns when it last spoke. */
  get concerns(): Concerns {
    return this.#condition?.concerns ?? {};
  }

  /** How long ago that was; undefined: it has not spoken. */
  get agoMs(): number | undefined {
    return this.#condition && monotonicMs() - this.#heardAtMs;
  }
}

/** The last comparison of both sides, until they are proved equal. */
export class Comparison {
  #differing: Noted = noted([]);
  #atMs = 0;

  get differing(): Noted {
    return this.#differing;
  }

  /** Both sides were compared just now. */
  found(keys: readonly Key[]): void {
    this.#atMs = monotonicMs();
    this.#differing = noted(keys);
  }

  /** Everything was applied and both digests were equal at this time, on the monotonic clock. */
  equal(atMs: number): void {
    if (atMs >= this.#atMs && this.#differing.count > 0) this.#differing = noted([]);
  }
}
