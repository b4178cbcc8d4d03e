/** Operators: what they type, at either side's admin listener, also two at a time and at the wrong one. */
import type { Key } from "../../src/domain/resources/keys.ts";
import { Refusal } from "../../src/domain/ha/refusal.ts";
import { MAX_REPAIRED } from "../../src/principal/ports/operations.ts";
import { StoreError } from "../../src/principal/ports/store.ts";
import type { Process } from "./clock.ts";
import type { Site } from "./site.ts";
import type { World } from "./world.ts";

const SWITCHOVER_MS = 10_000;
const REPAIR_MS = 5_000;

export class Operator {
  /** Commands that are being carried out, and where. */
  readonly pending = new Set<{ process: Process }>();

  constructor(private readonly world: World) {}

  demote(site: Site): Promise<void> {
    return this.command(site, "demote", (site) => site.core?.operations.command("demote", true, "operator"));
  }

  /** `ha diff --repair` of everything that this side has. */
  repair(site: Site): Promise<void> {
    return this.command(site, "diff --repair", (site) => {
      if (!site.core) return undefined;
      const keys = [...site.core.index.live()].map(({ key }) => key).slice(0, MAX_REPAIRED);
      return site.core?.peerService.repair({ keys, timeoutMs: REPAIR_MS, who: "operator" });
    });
  }

  reconcile(site: Site, action: "adopt" | "discard"): Promise<void> {
    const { checks, clock, ledger } = this.world;
    if (action === "adopt") return this.#adopt(site);
    return this.command(site, `reconcile --${action}`, async (site) => {
      const kept = site.core?.kept.waiting.map(({ key }) => key) ?? [];
      for (const key of [...site.core?.foreign.keys ?? [], ...kept]) {
        checks.discarded.add(key);
        ledger.deleted(key, clock.nowMs);
      }
      await site.core?.operations.reconcile({ action, keys: undefined, who: "operator" });
    });
  }

  /** At the ACTIVE, of what either side keeps; a side that is asked and is not ACTIVE says where. */
  #adopt(asked: Site): Promise<void> {
    const { world } = this;
    const site = world.serving ?? asked;
    return this.command(site, "reconcile --adopt", async ({ core }) => {
      await core?.operations.reconcile({ action: "adopt", keys: undefined, who: "operator" });
    });
  }

  /** `ha deletions` of everything that waits here. */
  deletions(site: Site, action: "release" | "restore"): Promise<void> {
    return this.command(site, `deletions --${action}`, (site) => {
      const { checks, clock, ledger } = this.world;
      const held = site.core?.heldDeletions.list() ?? [];
      if (action === "release") {
        checks.erasures.released(site, held);
        for (const { key } of held) {
          ledger.deleted(key, clock.nowMs);
          checks.requests.released(site, key);
        }
        this.#requested(
          site,
          (site.core?.pending.list() ?? []).filter(({ waitsFor }) => waitsFor === "an operator"),
        );
      }
      return site.core?.operations.decideDeletions({ action, keys: undefined, agent: "", who: "operator" });
    });
  }

  /** `ha deletions --release` or `--restore` of every requested deletion. */
  decideDeletions(site: Site, release: boolean): Promise<void> {
    const action = release ? "release" : "restore";
    return this.command(site, `deletions --${action}`, (site) => {
      const pending = site.core?.pending.list() ?? [];
      const keys = pending.map(({ key }) => key);
      if (release) {
        // One that is named goes at the agents too, where the guard holds it.
        const held = site.core?.heldDeletions.list() ?? [];
        this.world.checks.erasures.released(site, held.filter(({ key }) => keys.includes(key)));
        this.#requested(site, pending);
      }
      return site.core?.operations.decideDeletions({ action, keys, agent: "", who: "operator" });
    });
  }

  /** A side that serves is asked anew for each deletion that an operator releases there. */
  #requested(site: Site, pending: readonly { key: Key }[]): void {
    const { checks, clock, ledger } = this.world;
    for (const { key } of site.serving ? pending : []) {
      checks.requests.request(site, key);
      ledger.deleted(key, clock.nowMs);
    }
  }

  /** An operator's command at a side's admin listener; what is refused is only told. */
  command(site: Site, what: string, run: (site: Site) => Promise<unknown> | undefined): Promise<void> {
    const { world } = this;
    if (!site.process.alive || !site.core) {
      world.tell("operator", `${what} at ${site.name}: nothing answers`);
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      world.clock.schedule(site.process, 1, () => {
        const asked = run(site) ?? Promise.resolve();
        const command = { process: site.process };
        this.pending.add(command);
        asked.finally(() => this.pending.delete(command)).then(
          () => world.tell("operator", `${what} at ${site.name}: done`),
          (error) => {
            world.tell("operator", `${what} at ${site.name}: ${(error as Error).message}`);
            if (!(error instanceof Refusal) && !(error instanceof StoreError)) world.checks.found(error);
          },
        ).then(resolve);
      }, `command ${what}`);
    });
  }

  promote(site: Site, force: boolean): Promise<void> {
    const { world } = this;
    return this.command(site, `promote${force ? " --force" : ""}`, async (site) => {
      const { situation } = await site.explain();
      const atMs = world.clock.nowMs;
      const from = world.trace.length;
      if (site.core?.model().state !== "active") world.checks.promotionAsked(site);
      await site.core?.operations.command("promote", force, "operator");
      if (situation.model.state !== "active") {
        const overridden = world.trace.slice(from).filter((line) => line.includes("FORCED:")).join(" ");
        world.checks.lossBounded(site, situation, { atMs, overridden });
      }
    });
  }

  /** From either side, as `ha switchover` does. */
  switchover(at: Site): Promise<void> {
    const { world } = this;
    return this.command(at, "switchover", async (site) => {
      const from = site.serving ? site : world.sites[site.other];
      const to = world.sites[from.other];
      world.checks.moveAsked();
      const cutAt = from.core;
      const options = { who: "operator", dryRun: false, timeoutMs: SWITCHOVER_MS };
      const receipt = await site.core?.operations.switchover(options, () => {});
      world.tell("operator", `receipt: epoch ${receipt?.epochBefore} -> ${receipt?.epochAfter}`);
      // Another tenure counts its revisions anew.
      if (from.core === cutAt) world.checks.switchedOver(from, to, receipt?.cutRevision ?? 0);
    });
  }
}
