/** When something that a person watches was seen, and the longest time between two times. */
import { monotonicMs } from "../base/clock.ts";
import { until } from "./processes.ts";

const BOUND_MS = 60_000;

export class Sightings {
  count = 0;
  interruptedMs = 0;
  #lastAt = 0;

  constructor(private readonly name: string) {}

  add(): void {
    const nowMs = monotonicMs();
    if (this.count > 0) this.interruptedMs = Math.max(this.interruptedMs, Math.round(nowMs - this.#lastAt));
    this.count++;
    this.#lastAt = nowMs;
  }

  /** Waits until it is seen after `sinceMs`; how long after, in ms. @throws Error where it is not seen in time */
  async after(sinceMs: number): Promise<number> {
    await until(
      () => this.#lastAt > sinceMs,
      BOUND_MS,
      () => `the ${this.name} does not come through the side that stood by`,
      2,
    );
    return Math.round(this.#lastAt - sinceMs);
  }
}
