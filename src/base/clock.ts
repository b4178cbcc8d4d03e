/**
 * The monotonic clock measures durations and ignores steps of the system clock. `Date.now()` is for times that people and
 * peers read. The two are never mixed.
 */

/** Milliseconds since the process started. */
export function monotonicMs(): number {
  return performance.now();
}

/**
 * Starts to measure; returns how many ms have passed, the machine's sleep included. The monotonic clock stands still while a machine
 * sleeps, its uptime does not; that counts whole seconds, so a sleep may be measured up to one second too short.
 */
export function stopwatch(): () => number {
  const startedMs = monotonicMs();
  const startedUptimeMs = uptimeMs();
  return () => Math.max(monotonicMs() - startedMs, uptimeMs() - startedUptimeMs);
}

let mayAskUptime: boolean | undefined;

function uptimeMs(): number {
  mayAskUptime ??= Deno.permissions.querySync({ name: "sys", kind: "osUptime" }).state === "granted";
  return mayAskUptime ? Deno.osUptime() * 1_000 : 0;
}
