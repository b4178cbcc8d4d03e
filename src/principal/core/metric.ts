/** The forms of a metric in the table `METRICS`. */
import type { AgentUsage } from "../../domain/agents/usage.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Concerns } from "../../domain/ha/concerns.ts";
import type { Exposure } from "../../domain/ha/exposure.ts";
import type { HistoryEntry } from "../../domain/ha/history.ts";
import type { Check } from "../../domain/ha/preflight.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { Store } from "../ports/store.ts";
import type { OpenWork, Rows, Series } from "../ports/telemetry.ts";
import type { Following } from "./following.ts";
import type { ResourceTally } from "./resource_tally.ts";

/** The sources of metrics. */
export interface Measured {
  concerns(): Concerns;
  readonly exposure: { now(): Exposure };
  /** As the peer last said. */
  readonly peerSays: { readonly concerns: Concerns; readonly agoMs: number | undefined };
  model(): Model;
  standing(): { readonly name: string };
  readonly index: ChangeIndex;
  readonly following: Following;
  readonly store: Pick<Store, "status">;
  storeProblem(): string;
  readonly readiness: { readonly last: { atMs: number; checks: readonly Check[] } | undefined };
  /** Replicas that are connected. */
  readonly replicas: ReadonlySet<{ readonly pending: number }>;
  fleet(): {
    readonly connected: number;
    readonly resent: number;
    readonly agents: Iterable<MeasuredAgent>;
    readonly usage: Iterable<AgentUsage>;
  };
  readonly work: OpenWork;
  /** The resources that came, changed and went. */
  readonly tally: Pick<ResourceTally, "of" | "gpgKeys">;
  /** When the certificates that this process shows and trusts expire, in unix seconds. */
  certificates(): Rows;
  /** The durable history, oldest first. */
  chain(): readonly HistoryEntry[];
  peerReachable(): boolean;
  readonly counters: { total(name: string): number; rows(name: string): Rows };
}

/** One agent of the fleet. */
export interface MeasuredAgent {
  readonly name: string;
  /** Since when it is connected, in unix ms; undefined: it is not. */
  readonly connectedAtMs: number | undefined;
  /** Keys and messages that it has not acknowledged. */
  readonly pending: number;
}

type Read = (from: Measured, rows: Rows) => number | Rows;

/** One entry of the table. */
export interface Metric extends Omit<Series, "read"> {
  /** Reads it; of a counted metric it selects the rows that are shown, all by default. */
  read?: Read;
}

/** A metric that is counted where something happens, by `Counters.increment`. */
export interface Counted<L extends string> extends Metric {
  type: "counter";
  labels: readonly L[];
  counted: true;
  /** Rows that are there, at 0, before anything is counted: a graph of a rate sees the first one. */
  zeros?(from: Measured): Record<L, string>[];
}

/** A value that goes up and down. */
export function gauge(name: string, help: string, read: Read, ...labels: string[]): Metric {
  return { name, help, type: "gauge", labels, read };
}

/** A value that only grows and is kept elsewhere. */
export function total(name: string, help: string, read: Read): Metric {
  return { name, help, type: "counter", labels: [], read };
}

/** A value that is counted under its name in the table. */
export function counted<L extends string = never>(name: string, help: string, ...labels: L[]): Counted<L> {
  return { name, help, type: "counter", labels, counted: true };
}

/** Whether a metric is counted. */
export function isCounted(metric: Metric): metric is Counted<string> {
  return "counted" in metric;
}
