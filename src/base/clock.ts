/**
 * Two clocks, never mixed: `Date.now()` for times that people and peers read, and this one for how long something
 * takes, which no step of the system's clock moves.
 */

/** Milliseconds since the process started. */
export function monotonicMs(): number {
  return performance.now();
}
