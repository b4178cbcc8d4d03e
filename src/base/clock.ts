/**
 * The monotonic clock measures durations and ignores steps of the system clock. `Date.now()` is for times that people and
 * peers read. The two are never mixed.
 */

/** Milliseconds since the process started. */
export function monotonicMs(): number {
  return performance.now();
}
