/**
 * The lock on a side's store: of all processes that were started on one store, one acts. It decides between processes of one side and
 * never between sides. Adapters: a file beside the embedded store, a Lease in the principal's cluster. Both pass tests/contract.
 */
import type { Waiting } from "../../domain/ha/state.ts";

export interface StoreLock {
  /**
   * Resolves as soon as this process holds the lock. Until then `waits` hears why it does not, at least at every change.
   * Rejects with the signal's reason when that aborts, and with a StoreError where waiting would not help.
   */
  acquire(waits: (why: Waiting) => void, signal: AbortSignal): Promise<Tenure>;
  /** Releases connections; no tenure may be open. */
  close(): void;
}

/** The time for which this process holds the lock. */
export interface Tenure {
  /**
   * Whether the lock is held at this moment, also in a process that has just been paused: by the clock, not by a timer. False stays
   * false, and comes before any other process can hold the lock.
   */
  holds(): boolean;
  /** Aborts when the lock is lost or released; the reason is an Error in words. */
  readonly ended: AbortSignal;
  /** Hands the lock back; call it when nothing of this tenure acts any more. Never rejects. */
  release(): Promise<void>;
}

/** The tenure over a store that no other process can open. */
export const SOLE: Pick<Tenure, "holds"> = { holds: () => true };
