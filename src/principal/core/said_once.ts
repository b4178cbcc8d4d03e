/**
 * Which lines are due, about an agent's events or held changes: one for each subject, and again after an hour. Made-up subjects get no more
 * lines than one a second after a burst. Bound: the last `MAX_SUBJECTS` are remembered.
 */
import { Newest } from "../../base/newest.ts";
import { Budget } from "../../base/token_bucket.ts";

const MAX_SUBJECTS = 200;
const AGAIN_MS = 3_600_000;
const PER_SECOND = 1;
const BURST = 10;

/** The lines that were left out since the last one. */
export interface LeftOut {
  /** About the same subject. */
  repeats?: number;
  /** About others, for want of room. */
  others?: number;
}

export class SaidOnce {
  readonly #said = new Newest<string, { atMs: number; repeats: number }>(MAX_SUBJECTS);
  #others = 0;
  readonly #lines = new Budget(PER_SECOND, BURST);

  /** Undefined: no line is due about this subject. */
  due(subject: string, nowMs: number): LeftOut | undefined {
    const before = this.#said.get(subject);
    if (before && nowMs - before.atMs < AGAIN_MS) {
      before.repeats++;
      return undefined;
    }
    if (!this.#lines.has(nowMs)) {
      this.#others++;
      return undefined;
    }
    this.#lines.spend(nowMs);
    this.#said.set(subject, { atMs: nowMs, repeats: 0 });
    const others = this.#others;
    this.#others = 0;
    return { ...(before?.repeats ? { repeats: before.repeats } : {}), ...(others > 0 ? { others } : {}) };
  }
}
