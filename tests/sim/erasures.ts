/** I14: more deletions than the guard's thresholds do not go together, after a transition or from absence, without an operator. */
import type { Key } from "../../src/domain/resources/keys.ts";
import type { Clock } from "./clock.ts";
import { GUARD, type Site } from "./site.ts";
import { Violation } from "./violation.ts";
import type { Watched } from "./watched.ts";

/** Half of the guard's window: clocks of processes drift. */
const GUARDED_MS = GUARD.windowMs / 2;

export class Erasures {
  readonly #released = new Set<string>();

  /** @param look there was something to look at */
  constructor(
    private readonly clock: Clock,
    private readonly watched: Record<"a" | "b", Watched>,
    private readonly look: () => void,
  ) {}

  /** An operator lets these go. */
  released(site: Site, deletions: readonly { key: Key; agent: string }[]): void {
    const { activations } = this.watched[site.name];
    for (const { key, agent } of deletions) this.#released.add(`${site.name} ${activations} ${agent} ${key}`);
  }

  /** An agent that has so many Applications is told to delete one. */
  told(site: Site, agent: string, key: Key, has: number): void {
    const one = this.watched[site.name];
    const absent = !site.core?.index.get(key);
    if (absent || this.clock.nowMs - one.notServingMs < GUARDED_MS) this.#count(one, agent, key, has);
  }

  /** A side deletes a resource of its own. */
  written({ site }: Watched, key: Key): void {
    const one = this.watched[site.name];
    const since = Math.max(one.openedMs, this.watched[site.other].notServingMs);
    if (site.serving || this.clock.nowMs - since >= GUARDED_MS) return;
    this.#count(one, "", key, site.core?.index.size ?? 0);
  }

  /** Twice as many may go: batches that were judged in turn may be on their way together. */
  #count(one: Watched, agent: string, key: Key, has: number): void {
    this.look();
    const { site: { name }, activations, erased } = one;
    if (this.#released.has(`${name} ${activations} ${agent} ${key}`)) return;
    const since = this.clock.nowMs - GUARDED_MS;
    const recent = (erased.get(agent) ?? []).filter((it) => it.atMs > since && it.key !== key);
    recent.push({ key, atMs: this.clock.nowMs });
    erased.set(agent, recent);
    const all = has + recent.length;
    if (recent.length <= 2 * Math.max(GUARD.count, all * GUARD.percent / 100)) return;
    const where = agent === "" ? `in the copy of ${name}` : `from ${name} to ${agent}`;
    const keys = recent.map(({ key }) => key).join(", ");
    const text = `${recent.length} deletions of ${all} went ${where}, and no operator let them: ${keys}`;
    throw new Violation("I14", text);
  }
}
