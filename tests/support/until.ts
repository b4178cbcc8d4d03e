/** Waiting in tests. A bound tells that something never comes, not how long it takes: a busy machine gets several times as much. */
import { until as within } from "../../src/cli/processes.ts";

const PATIENCE = 4;

/** Waits for a condition. @throws Error with `why()` after a bound for which `timeoutMs` is enough on a quiet machine */
export function until(
  holds: () => Promise<boolean> | boolean,
  timeoutMs: number,
  why: () => string,
  everyMs?: number,
): Promise<void> {
  return within(holds, timeoutMs * PATIENCE, why, everyMs);
}
