/** The outcome of `ha drill` as the durable history keeps it, and the last drill that passed, for metrics. */
import type { HistoryEntry } from "./history.ts";

const OUTCOME = "outcome of drill";
const PASSED = "passed";
/** The same outcome is kept once in this time: who may only ask may drill, and must not push older entries out of the history. */
const KEEP_EVERY_MS = 3_600_000;

/** The part of a drill's report that decides. */
export interface Drilled {
  agent: string;
  missingTotal: number;
  problems: readonly string[];
  again: { deleted: number; madeAnew: number };
}

/** Whether a failover would have been well. */
export function drillPassed({ missingTotal, problems, again }: Omit<Drilled, "agent">): boolean {
  return missingTotal === 0 && problems.length === 0 && again.deleted === 0 && again.madeAnew === 0;
}

/** The outcome in words. */
export function drillText(drilled: Drilled): string {
  const { agent, missingTotal, problems, again: { deleted, madeAnew } } = drilled;
  const found: [number, string][] = [
    [missingTotal, "missed"],
    [problems.length, problems.length === 1 ? "problem" : "problems"],
    [deleted, "deleted"],
    [madeAnew, "recreated"],
  ];
  const bad = found.flatMap(([count, what]) => count > 0 ? `${count} ${what}` : []).join(", ");
  return `${bad === "" ? PASSED : "failed"}: agent "${agent}" was played${bad && `; ${bad}`}`;
}

type Entry = Pick<HistoryEntry, "atMs" | "what" | "text">;

/** Whether the history has this outcome already, of late. */
export function isKept(chain: readonly Entry[], text: string, nowMs: number): boolean {
  const last = chain.findLast(({ what }) => what === OUTCOME);
  return last !== undefined && String(last.text) === text && nowMs - last.atMs < KEEP_EVERY_MS;
}

/** When the last drill passed, in unix ms; 0: none that the history still has. */
export function lastPassedDrillMs(
  chain: readonly Entry[],
): number {
  const passed = chain.findLast(({ what, text }) =>
    what === OUTCOME && String(text).startsWith(`${PASSED}: `)
  );
  return passed?.atMs ?? 0;
}
