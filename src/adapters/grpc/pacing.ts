/** The pace of refusals: agents, and attackers, retry at once. */

/** A refusal is held back this long, so that a client that retries at once costs little. */
export const REFUSAL_DELAY_MS = 1_000;
