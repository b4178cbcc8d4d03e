/**
 * How fast an agent's stream is read: while there is room for what comes, and not faster than an agent needs, so that one that sends
 * without end takes nothing from the others.
 *
 * Bounds: `MAX_WAITING` events or `MAX_WAITING_BYTES` wait; then the stream is not read until half of that is left. Nor is it read
 * faster than `EVENTS_PER_SECOND` after a burst of `EVENTS_BURST`.
 */
import { Budget } from "../../base/token_bucket.ts";
import { monotonicMs } from "../../base/clock.ts";

const MAX_WAITING = 1_000;
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
const EVENTS_PER_SECOND = 1_000;
const EVENTS_BURST = 5_000;
const MIN_PAUSE_MS = 10;

/** A stream whose reading can be stopped. */
export interface Readable {
  pause(): void;
  resume(): void;
}

export class Intake {
  readonly #budget = new Budget(EVENTS_PER_SECOND, EVENTS_BURST);
  #waiting = 0;
  #bytes = 0;
  #overdrawn = false;
  #paused = false;

  /** @param stream the stream that is read now */
  constructor(private readonly stream: () => Readable | undefined) {}

  /** Events that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** A new stream is read only where there is room. */
  connected(): void {
    if (this.#paused) this.stream()?.pause();
  }

  /** An event waits. */
  add(bytes: number): void {
    this.#waiting++;
    this.#bytes += bytes;
    this.#regulate();
  }

  /** The event no longer waits. */
  remove(bytes: number): void {
    this.#waiting--;
    this.#bytes -= bytes;
    this.#regulate();
  }

  /** An event came that the agent was not asked for. */
  spend(): void {
    const waitMs = this.#budget.spend(monotonicMs());
    if (waitMs === 0 || this.#overdrawn) return;
    this.#overdrawn = true;
    this.#regulate();
    setTimeout(() => {
      this.#overdrawn = false;
      this.#regulate();
    }, Math.max(waitMs, MIN_PAUSE_MS));
  }

  #regulate(): void {
    const share = this.#paused ? 0.5 : 1;
    const full = this.#waiting > MAX_WAITING * share || this.#bytes > MAX_WAITING_BYTES * share;
    const pause = full || this.#overdrawn;
    if (pause === this.#paused) return;
    this.#paused = pause;
    if (pause) this.stream()?.pause();
    else this.stream()?.resume();
  }
}
