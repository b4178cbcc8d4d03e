/** Dialling a peer that does not answer is bounded (I10). */
import type { Clock } from "./clock.ts";
import { Violation } from "./violation.ts";

/** A switchover under way asks every 50 ms. */
const WINDOW_MS = 10_000;
const MAX_DIALS = 400;

export class Dials {
  readonly #dials = new Map<string, number[]>();

  constructor(private readonly clock: Clock) {}

  /** A side dialled its peer; the violation, where that is too often. */
  dialled(from: string): Violation | undefined {
    const recent = (this.#dials.get(from) ?? []).filter((atMs) => atMs > this.clock.nowMs - WINDOW_MS);
    recent.push(this.clock.nowMs);
    this.#dials.set(from, recent);
    if (recent.length <= MAX_DIALS) return undefined;
    return new Violation("I10", `${from} dialled its peer ${recent.length} times in ${WINDOW_MS} ms`);
  }
}
