/** When a former ACTIVE has caught up with its leader: one rule for both contracts. */

/**
 * A former ACTIVE counts as holding nothing of its own no sooner than this after its stream was answered: a late watch may still
 * bring to light what was written here before.
 */
export const SETTLED_MS = 10_000;

/** The state of a stream to the leader. */
export interface Comparison {
  /** Since the leader answered. */
  answeredForMs: number;
  /** Nothing is known to differ: in our own contract by equal digests, in the Go principal's by everything received being durable. */
  same: boolean;
}

/** Whether this side now holds nothing that the leader does not. */
export function hasCaughtUp({ answeredForMs, same }: Comparison): boolean {
  return same && answeredForMs > SETTLED_MS;
}
