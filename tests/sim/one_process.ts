/** I18: of the processes on one disk only the one that holds the lock serves agents and writes. */
import type { Site } from "./site.ts";
import { Violation } from "./violation.ts";

interface Checking {
  note(invariant: string): void;
  found(violation: Violation): void;
}

export class OneProcess {
  readonly #sites: readonly Site[];

  constructor(sites: { a: Site; b: Site }, private readonly checks: Checking) {
    this.#sites = [sites.a, sites.b];
    for (const { disk } of this.#sites) {
      disk.onIntrusion = (identity) => {
        const holder = disk.lease?.identity || "no process";
        checks.found(new Violation("I18", `${identity} wrote, and ${holder} holds the lock`));
      };
    }
  }

  /** After every event. @throws Violation */
  after(): void {
    for (const { contended, acting, disk } of this.#sites) {
      if (!contended) continue;
      for (const [{ alive, paused }, { core, identity }] of acting) {
        if (!alive || paused || core.activeScope() === undefined) continue;
        this.checks.note("I18");
        if (disk.lease?.identity === identity) continue;
        const holder = disk.lease?.identity || "no process";
        throw new Violation("I18", `${identity} serves agents, and ${holder} holds the lock`);
      }
    }
  }
}
