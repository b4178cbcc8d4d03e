/**
 * Exponential backoff with jitter for redialling and retrying. Without it, a closed port is dialled thousands of times
 * a second. Pure: the random number is an argument.
 */

/** The growth of a delay: from `firstMs`, times `factor`, up to `maxMs`. */
export interface BackoffPolicy {
  firstMs: number;
  maxMs: number;
  factor: number;
}

/** Redialling a peer: 1 s to 30 s × 1.5. */
export const REDIAL: BackoffPolicy = { firstMs: 1_000, maxMs: 30_000, factor: 1.5 };

/** Retrying a write that the store refused: 0.5 s to 60 s × 2. */
export const RETRY_WRITE: BackoffPolicy = { firstMs: 500, maxMs: 60_000, factor: 2 };

/** Retrying a write that only a person can unblock (no right, no namespace, a refused object): 5 s to 60 s × 2. */
export const RETRY_REFUSED: BackoffPolicy = { firstMs: 5_000, maxMs: 60_000, factor: 2 };

/**
 * The delay before attempt `failures + 1`, in ms. Equal jitter: between half and all of the exponential delay,
 * so that it never collapses to zero.
 *
 * @param failures failures in a row so far, at least 1
 * @param random a number in [0, 1)
 */
export function delayMs(policy: BackoffPolicy, failures: number, random: number): number {
  const full = Math.min(policy.maxMs, policy.firstMs * policy.factor ** Math.min(failures - 1, 100));
  return Math.round(full / 2 + random * full / 2);
}
