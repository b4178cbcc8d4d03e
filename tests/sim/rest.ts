/**
 * How a story must end: the trouble stops, an operator does what `ha explain` says and nothing else, and the pair comes to rest by
 * itself: exactly one ACTIVE, both copies equal, every agent as the active says, and nothing written twice.
 */
import { isDeepStrictEqual } from "node:util";
import { type Key, keyOfObject } from "../../src/domain/resources/keys.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { Violation } from "./violation.ts";
import type { Operator } from "./operator.ts";
import type { Next } from "../../src/domain/ha/next_command.ts";
import type { Site } from "./site.ts";
import { SOUND_DISK, SOUND_PATH } from "./sound.ts";
import type { World } from "./world.ts";

/** Bounds of coming to rest, in simulated time. */
const ONE_ACTIVE_MS = 120_000;
const EQUAL_MS = 120_000;
/** So many times meanwhile an operator looks at a side that does not follow, and obeys its `ha explain`. */
const EQUAL_ROUNDS = 6;
const AGENTS_MS = 120_000;
/** The principal retries a failed record of its role every second. */
const REMEMBERED_MS = 10_000;
const DRIFT_MS = 150_000;
const DECIDED_MS = 120_000;
const DECIDE_EVERY_MS = 10_000;
const OPERATOR_EVERY_MS = 4_000;
/** Not a multiple of the interval above: a command that is under way at each look would pass for one that never ends. */
const OPERATOR_DECIDES_MS = 5_300;
const OPERATOR_PATIENCE_MS = 30_000;

export class Rest {
  /** @param deleted how many Applications of each agent people have deleted */
  constructor(
    private readonly world: World,
    private readonly operator: Operator,
    private readonly deleted: ReadonlyMap<string, number>,
  ) {}

  /** Stops the trouble, and waits. @throws Violation */
  async come(): Promise<void> {
    const { world } = this;
    world.tell("story", "the trouble stops");
    for (const path of world.network.paths) {
      Object.assign(path, SOUND_PATH);
    }
    for (const { process } of world.agents) world.clock.resume(process);
    world.astray.clear();
    for (const site of world.both) {
      Object.assign(site.disk.faults, SOUND_DISK);
      world.clock.resume(site.process);
      site.endOthers();
      if (site.part !== "everything") {
        site.kill();
        site.part = "everything";
      }
      site.start();
    }
    this.#decide();
    await this.#oneActive();
    await this.#equal();
    this.#nothingVanished();
    await this.#remembered();
    await this.#decided();
    await this.#equal();
    await this.#agentsConverge();
    await this.#drift();
    await this.#equal();
    this.#nothingVanished();
    await this.#nothingTwice();
  }

  /** An operator lets every deletion go that waits, and gives foreign objects to the ACTIVE, whenever any is there. */
  #decide(): void {
    const { clock, both } = this.world;
    for (const site of both) {
      if (site.core?.heldDeletions.list().length) void this.operator.deletions(site, "release");
      if (site.core?.foreign.keys.some((key) => site.disk.now(key) !== "")) {
        void this.operator.reconcile(site, "adopt");
      }
    }
    clock.schedule(clock.nobody, OPERATOR_DECIDES_MS, () => this.#decide(), "deletions");
  }

  /** Lets the world go on until something is done, or the operator gives up. */
  async #meanwhile(doing: Promise<unknown>): Promise<void> {
    let done = false;
    doing.then(() => done = true);
    await this.world.run(() => done, OPERATOR_PATIENCE_MS);
  }

  /** Exactly one side is ACTIVE, at once or by the commands of `ha explain` (I9). */
  async #oneActive(): Promise<void> {
    const { world } = this;
    const settled = () =>
      world.both.every((site) => site.core && !site.core?.model().operation) &&
      ![...this.operator.pending].some(({ process }) => process.alive);
    const active = () => world.both.filter(({ state }) => state === "active").length;
    const untilMs = world.clock.nowMs + ONE_ACTIVE_MS;
    for (let tries = 0;; tries++) {
      await world.run(() => false, OPERATOR_EVERY_MS);
      world.checks.note("I9");
      if (settled() && active() === 1) return;
      if (world.clock.nowMs > untilMs) {
        throw new Violation(
          "I9",
          `after ${tries} rounds: a is ${world.sites.a.state}, b is ${world.sites.b.state}`,
        );
      }
      if (settled() && active() === 0) {
        await this.#meanwhile(this.#obey(world.both[tries % 2] as Site));
      }
    }
  }

  /** Does what a side's `ha explain` says is to be done, where that is a promotion. */
  async #obey(site: Site): Promise<void> {
    const { world } = this;
    let next: Next | undefined;
    await this.operator.command(site, "explain", async (site) => {
      next = (await site.explain()).explanation.next;
    });
    const { at, command = "", why } = (next as Next | undefined) ?? {};
    world.tell("operator", `explain at ${site.name}: ${why}: ${command} (${at})`);
    if (!command.startsWith("ha promote")) return;
    await this.operator.promote(at === "here" ? site : world.sites[site.other], command.endsWith("--force"));
  }

  /** Both sides hold equal digests (I6). */
  async #equal(): Promise<void> {
    const { world } = this;
    const same = () => {
      const [a, b] = world.both.map(({ core }) => core?.index.digests.root());
      return a !== undefined && a === b && world.both.some(({ state }) => state === "replicating") &&
        this.#sameOnDisk();
    };
    world.checks.note("I6");
    for (let rounds = 0; rounds < EQUAL_ROUNDS; rounds++) {
      if (await world.run(same, EQUAL_MS / EQUAL_ROUNDS)) return;
      const waiting = world.both.find(({ state }) => state !== "active" && state !== "replicating");
      if (waiting) await this.#meanwhile(this.#obey(waiting));
    }
    const { a, b } = world.sites;
    throw new Violation(
      "I6",
      `a (${a.state}) and b (${b.state}) hold different things: ${this.#difference()}`,
    );
  }

  /** Every Application that people wrote and did not delete exists at rest (I14). */
  #nothingVanished(): void {
    const { ledger, sites: { a, b }, checks } = this.world;
    if (ledger.size > 0) checks.note("I14");
    const [key, ...more] = ledger.missing(a.disk, b.disk);
    if (key === undefined) return;
    throw new Violation("I14", `${key} and ${more.length} more exist nowhere, and nobody deleted them`);
  }

  /** A side that restarted now would come up in its present role (I1). */
  async #remembered(): Promise<void> {
    const { world } = this;
    const knows = (site: Site) => isDeepStrictEqual(site.disk.remembered, site.core?.model().memory);
    if (await world.run(() => world.both.every(knows), REMEMBERED_MS)) return;
    const forgetful = world.both.find((site) => !knows(site));
    throw new Violation("I1", `${forgetful?.name} would start with another role than it has`);
  }

  /** An operator decides about each deletion that waits; what an agent does not carry out is ended without it. */
  async #decided(): Promise<void> {
    const { world, operator } = this;
    const untilMs = world.clock.nowMs + DECIDED_MS;
    for (let n = world.clock.random.int(2);; n++) {
      await world.run(() => false, DECIDE_EVERY_MS);
      const site = world.serving;
      const waiting = site?.core?.pending.list() ?? [];
      if (waiting.length === 0) return;
      if (world.clock.nowMs > untilMs) {
        throw new Violation("I14", `${waiting.map(({ key }) => key).join(", ")} is never decided`);
      }
      if (site) await this.#meanwhile(operator.decideDeletions(site, n % 2 === 0));
    }
  }

  #sameOnDisk(): boolean {
    return this.#difference() === "";
  }

  #difference(): string {
    const { a, b } = this.world.sites;
    const keys = new Set([...a.disk.states.keys(), ...b.disk.states.keys()]);
    const kept = (site: Site, key: Key) => site.core?.foreign.has(key) === true;
    const now = (site: Site, key: Key) => kept(site, key) ? "" : site.disk.now(key);
    return [...keys].filter((key) => now(a, key) !== now(b, key)).slice(0, 5).join(", ");
  }

  /** Every agent holds what the active says. */
  async #agentsConverge(): Promise<void> {
    const { world } = this;
    const differing = async () => {
      const { serving } = world;
      const objects = await serving?.disk.list() ?? [];
      return world.crowd.differing(objects.filter((one) => !serving?.core?.foreign.has(keyOfObject(one))));
    };
    const untilMs = world.clock.nowMs + AGENTS_MS;
    let left = await differing();
    world.checks.note("agents");
    while (left.length > 0) {
      if (world.clock.nowMs > untilMs) throw new Violation("agents", `${left.join(", ")} never converged`);
      await world.run(() => false, 1_000);
      left = await differing();
    }
    // What was lost and is written again by people is another object, everywhere.
    if (world.both.some(({ disk }) => disk.saved.size > 0) || world.ledger.losses > 0) return;
    for (const { name, cluster: { recreated } } of world.crowd.all) {
      if (recreated <= (this.deleted.get(name) ?? 0)) continue;
      throw new Violation("agents", `${recreated} objects of ${name} were made anew, which nobody asked for`);
    }
  }

  /** A replica repairs an operator's changes in the wrong cluster (I6). */
  async #drift(): Promise<void> {
    const { world } = this;
    const replica = world.both.find(({ state }) => state === "replicating");
    if (!replica) throw new Violation("I6", "nobody replicates although both sides are the same");
    const stray = strayApplication();
    const key = keyOfObject(stray);
    world.checks.strays.add(key);
    await replica.disk.write("user", { op: "put", object: stray });
    if (await world.run(() => replica.disk.now(key) === "", DRIFT_MS)) return;
    throw new Violation("I6", `${replica.name} keeps ${key}, which the active does not have`);
  }

  /** A replica that is in sync and restarts writes nothing (I7). */
  async #nothingTwice(): Promise<void> {
    const { world } = this;
    const replica = world.both.find(({ state }) => state === "replicating");
    if (!replica) throw new Violation("I6", "nobody replicates although both sides are the same");
    world.checks.note("I7");
    await world.run(() => false, 2_000);
    const count = () => [...replica.disk.states.values()].reduce((sum, list) => sum + list.length, 0);
    const before = count();
    replica.kill();
    replica.start();
    await world.run(() => replica.state === "replicating", EQUAL_MS);
    await world.run(() => false, 2_000);
    if (replica.state !== "replicating") {
      throw new Violation("I6", `${replica.name} is ${replica.state} after a restart`);
    }
    if (count() !== before) {
      throw new Violation("I7", `${replica.name} wrote ${count() - before} states again that it had`);
    }
  }
}

function strayApplication(): ApiObject {
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: { name: "stray", namespace: "agent-1", labels: { owner: "agent-1" } },
    spec: { project: "default", destination: { name: "agent-1", namespace: "default" } },
  };
}
