/** A token bucket limits a rate and allows bursts. Time is passed in. */
export class Budget {
  #tokens: number;
  #atMs = 0;

  constructor(private readonly perSecond: number, private readonly burst: number) {
    this.#tokens = burst;
  }

  /** Whether some of a token is left. */
  has(nowMs: number): boolean {
    return this.#left(nowMs) > 0;
  }

  /** Takes one token, even if none is left; returns the wait before the next one, in ms. */
  spend(nowMs: number): number {
    this.#tokens = this.#left(nowMs) - 1;
    this.#atMs = nowMs;
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.perSecond * 1_000;
  }

  #left(nowMs: number): number {
    const gained = (nowMs - this.#atMs) / 1_000 * this.perSecond;
    return Math.min(this.burst, this.#tokens + Math.max(0, gained));
  }
}
