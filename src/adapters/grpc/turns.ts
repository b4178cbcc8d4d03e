/**
 * Turns at work that takes long: one at a time, a turn for each lane that waits, and a lane whose work failed waits longer. So a flood on one
 * lane, of wrong passwords for one name say, delays that lane alone; nobody is locked out.
 */
import { monotonicMs } from "../../base/clock.ts";
import { Budget } from "../../base/token_bucket.ts";

/** Places of one lane, and of all together. */
export const LANE_ROOM = 4;
export const ROOM = 500;
/** Failures of a lane that cost no wait, and those a second after them. */
export const FREE_FAILURES = 10;
export const FAILURES_PER_SECOND = 1;
/** Lanes whose failures are remembered. */
const MAX_LANES = 10_000;

interface Job {
  run(): Promise<void>;
}

interface Lane {
  jobs: Job[];
  failures: Budget;
  notBeforeMs: number;
}

export class Turns {
  /** The lane whose turn is longest ago comes first. */
  readonly #lanes = new Map<string, Lane>();
  #waiting = 0;
  #running = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly now: () => number = monotonicMs) {}

  /** Runs `work` in its turn; false of it is a failure. Undefined: there is no place for it. */
  take(key: string, work: () => Promise<boolean>): Promise<boolean> | undefined {
    const lane = this.#lane(key);
    if (lane.jobs.length >= LANE_ROOM || this.#waiting >= ROOM) return undefined;
    this.#waiting++;
    return new Promise((resolve, reject) => {
      const run = () =>
        work().then((good) => {
          if (!good) lane.notBeforeMs = this.now() + lane.failures.spend(this.now());
          resolve(good);
        }, reject);
      lane.jobs.push({ run });
      this.#next();
    });
  }

  #lane(key: string): Lane {
    const known = this.#lanes.get(key);
    if (known) return known;
    for (const [oldest, { jobs }] of this.#lanes) {
      if (this.#lanes.size < MAX_LANES) break;
      if (jobs.length === 0) this.#lanes.delete(oldest);
    }
    const lane = { jobs: [], failures: new Budget(FAILURES_PER_SECOND, FREE_FAILURES), notBeforeMs: 0 };
    this.#lanes.set(key, lane);
    return lane;
  }

  #next(): void {
    clearTimeout(this.#timer);
    if (this.#running || this.#waiting === 0) return;
    const nowMs = this.now();
    let soonestMs = Infinity;
    for (const [key, lane] of this.#lanes) {
      if (lane.jobs.length === 0) continue;
      soonestMs = Math.min(soonestMs, lane.notBeforeMs);
      if (lane.notBeforeMs > nowMs) continue;
      this.#lanes.delete(key);
      this.#lanes.set(key, lane);
      return this.#run(lane);
    }
    this.#timer = setTimeout(() => this.#next(), soonestMs - nowMs);
  }

  #run(lane: Lane): void {
    const job = lane.jobs.shift();
    this.#waiting--;
    this.#running = true;
    void job?.run().finally(() => {
      this.#running = false;
      this.#next();
    });
  }

  close(): void {
    clearTimeout(this.#timer);
  }
}
