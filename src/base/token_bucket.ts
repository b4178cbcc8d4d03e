/** A token bucket: how often something may happen, with room for a burst. Time is passed in. */
export class Budget {
  #tokens: number;
  #atMs = 0;

  constructor(private readonly perSecond: number, private readonly burst: number) {
    this.#tokens = burst;
  }

  /** Takes one token, also where there is none left; how long to wait then before the next, in ms. */
  spend(nowMs: number): number {
    const gained = (nowMs - this.#atMs) / 1_000 * this.perSecond;
    this.#tokens = Math.min(this.burst, this.#tokens + Math.max(0, gained)) - 1;
    this.#atMs = nowMs;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.perSecond * 1_000;
  }
}
