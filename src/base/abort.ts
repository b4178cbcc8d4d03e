/**
 * Calls `act` once when the signal aborts, at once where it already has: a plain event listener never hears of an abort that came before
 * it, and then what was to end goes on. Returns how to stop listening.
 */
export function onAbort(signal: AbortSignal, act: (reason: unknown) => void): () => void {
  if (signal.aborted) {
    act(signal.reason);
    return () => {};
  }
  const listener = () => act(signal.reason);
  signal.addEventListener("abort", listener, { once: true });
  return () => signal.removeEventListener("abort", listener);
}
