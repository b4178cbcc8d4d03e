/**
 * Epochs that a peer may claim. A promotion raises the epoch by one or two, so a claim far above ours is a mistake or an attack, and
 * believing it would make an ACTIVE step down without an operator.
 */
import type { Memory } from "./state.ts";

/** The largest epoch, on the wire as at rest: 15 digits. */
export const MAX_EPOCH = 999_999_999_999_999;
/** A peer may be this far ahead: 500 promotions that this side has not heard of. */
export const MAX_EPOCH_JUMP = 1_000;
/** A side that remembers no epoch believes so many: a promotion an hour for a century. */
export const MAX_FIRST_EPOCH = 1_000_000;

/** Why a claimed epoch is not believed; empty: it is. */
export function epochProblem(claimed: number, { epoch }: Pick<Memory, "epoch">): string {
  const bound = Math.min(MAX_EPOCH, epoch === 0 ? MAX_FIRST_EPOCH : epoch + MAX_EPOCH_JUMP);
  if (Number.isSafeInteger(claimed) && claimed >= 0 && claimed <= bound) return "";
  const ours = epoch === 0 ? "this side remembers none" : `this side is in ${epoch.toLocaleString("en-US")}`;
  return `epoch ${claimed.toLocaleString("en-US")} is not believed: ${ours}, and at most ` +
    `${bound.toLocaleString("en-US")} can be; see Epochs in docs/security.md`;
}
