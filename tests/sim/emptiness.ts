/**
 * I14: a side that remembers nothing does not serve unasked, objects that are kept as foreign are not in the index, and no store is taken
 * for a restored one that is not.
 */
import type { Key } from "../../src/domain/resources/keys.ts";
import type { Clock } from "./clock.ts";
import { Violation } from "./violation.ts";
import type { Watched } from "./watched.ts";

/** Longer than it takes from the durable list to the index. */
const SETTLED_MS = 5_000;

export class Emptiness {
  readonly #since = new Map<string, number>();
  /** By side and key: when its process kept it last. */
  readonly #keptMs = new Map<string, number>();

  constructor(private readonly clock: Clock) {}

  /** A side has become ACTIVE. @throws Violation */
  active({ site, emptyAtStart, openedMs, promotionAsked }: Watched, other: Watched): void {
    if (!emptyAtStart || promotionAsked || other.aliveMs >= openedMs) return;
    throw new Violation("I14", `${site.name} remembered nothing, could ask nobody, and serves unasked`);
  }

  /** Call now and then. @throws Violation */
  check(one: Watched, other: Watched): void {
    this.#kept(one);
    this.#sound(one, other);
  }

  /** A side that calls a store restored is right. */
  #sound({ site: { name, core, disk } }: Watched, other: Watched): void {
    if (core?.following.leaderRestored && other.site.disk.lostAtMs === -Infinity) {
      throw new Violation(
        "I14",
        `${name} takes its leader's store, which was never lost, for a restored one`,
      );
    }
    if (core?.model().explanation.includes("from a backup") && disk.lostAtMs === -Infinity) {
      throw new Violation("I14", `${name} takes its own store, which was never lost, for a restored one`);
    }
  }

  #kept({ site, openedMs }: Watched): void {
    const { nowMs } = this.clock;
    const keys = site.disk.foreign();
    for (const known of [...this.#since.keys()]) {
      const [name, key = ""] = known.split(" ");
      if (name === site.name && !keys.has(key)) this.#since.delete(known);
    }
    for (const key of keys) {
      const known = `${site.name} ${key}`;
      const kept = site.core?.foreign.has(key) === true;
      if (kept) this.#keptMs.set(known, nowMs);
      // One that is being let in is in the index before its list is durable.
      const letInMs = kept ? 0 : this.#keptMs.get(known) ?? 0;
      if (this.#settled(known, Math.max(openedMs, letInMs), nowMs)) this.#mustBeOut(site, key);
    }
  }

  #settled(known: string, fromMs: number, nowMs: number): boolean {
    const since = this.#since.get(known) ?? nowMs;
    this.#since.set(known, since);
    return nowMs - Math.max(since, fromMs) > SETTLED_MS;
  }

  #mustBeOut({ name, core, process }: Watched["site"], key: Key): void {
    if (process.paused || !core?.index.present(key)) return;
    throw new Violation("I14", `${name} serves ${key}, which is kept as foreign and was not adopted`);
  }
}
