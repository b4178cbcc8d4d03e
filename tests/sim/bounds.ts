/** I10: dialling a peer that does not answer is bounded, and so is an index. */
import type { Clock } from "./clock.ts";
import { Violation } from "./violation.ts";
import type { Watched } from "./watched.ts";

/** A switchover under way asks every 50 ms. */
const DIAL_WINDOW_MS = 10_000;
const MAX_DIALS = 400;

export class Dials {
  readonly #byDialler = new Map<string, number[]>();

  /** @param found hears of what is found */
  constructor(private readonly clock: Clock, private readonly found: (violation: Violation) => void) {}

  dialled(from: string): void {
    const since = this.clock.nowMs - DIAL_WINDOW_MS;
    const recent = (this.#byDialler.get(from) ?? []).filter((atMs) => atMs > since);
    recent.push(this.clock.nowMs);
    this.#byDialler.set(from, recent);
    if (recent.length <= MAX_DIALS) return;
    const text = `${from} dialled its peer ${recent.length} times in ${DIAL_WINDOW_MS} ms`;
    this.found(new Violation("I10", text));
  }
}

/** @throws Violation */
export function indexBounded({ site, taken }: Watched): void {
  const length = site.core?.index.logLength ?? 0;
  if (length <= 2 * (taken.size + 10_000) + 1_024) return;
  throw new Violation("I10", `${site.name}'s log of changes has ${length} entries`);
}
