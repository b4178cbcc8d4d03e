/**
 * One story: a world, what happens to it, and how it ends. First everything that was drawn happens, until so many events have run;
 * then the trouble stops, an operator does what `ha explain` says and nothing else, and the pair must come to rest by itself.
 */
import { seeded } from "../support/random.ts";
import { type Action, draw, drawFlags, type Timed } from "./actions.ts";
import { Violation } from "./violation.ts";
import type { Process } from "./clock.ts";
import { ForeignHand } from "./foreign_hand.ts";
import type { Backup } from "./disk.ts";
import { Operator } from "./operator.ts";
import { People } from "./people.ts";
import { stranger } from "./stranger.ts";
import { Rest } from "./rest.ts";
import type { Site } from "./site.ts";
import { SOUND_DISK, SOUND_PATH } from "./sound.ts";
import { World } from "./world.ts";

/** How a story ended. */
export interface Outcome {
  seed: number;
  steps: number;
  simulatedMs: number;
  /** Equal for two runs of one seed. */
  fingerprint: number;
  violation: Violation | undefined;
  trace: string[];
  looked: Record<string, number>;
  actions: Timed[];
}

export interface StoryOptions {
  seed: number;
  steps: number;
  /** The actions of every story; by default those that the seed draws. */
  about?: readonly string[];
  /** Instead of what the seed draws. */
  actions?: Timed[];
}

/** Plays a story; a violation ends it. */
export async function play(options: StoryOptions): Promise<Outcome> {
  const { seed, steps } = options;
  const random = seeded(seed ^ 0x5eed);
  const [managed, autonomous] = random.chance(MANY_AGENTS) ? [9, 9] : [5, 3];
  const world = new World(seed, {
    managed: 2 + random.int(managed + 1),
    autonomous: 1 + random.int(autonomous),
  });
  const flags = drawFlags(seeded(seed ^ 0xf1a65), options.about);
  const actions = options.actions ?? [...draw(random, options.about), ...flags];
  const contended = actions.some(({ action }) => action.do === "second process");
  for (const site of world.both) site.contended = contended;
  const story = new Story(world);
  let violation: Violation | undefined;
  world.guard();
  try {
    await story.play(actions, steps);
  } catch (error) {
    world.checks.found(error);
    violation = world.checks.violation;
    world.tell("VIOLATION", String(violation?.message));
  } finally {
    world.end();
  }
  const { clock, trace, checks: { looked } } = world;
  return {
    seed,
    steps: clock.steps,
    simulatedMs: clock.nowMs,
    fingerprint: clock.fingerprint,
    violation,
    trace,
    looked,
    actions: actions.filter(({ atMs }) => atMs <= clock.nowMs),
  };
}

class Story {
  readonly #people: People;
  readonly #operator: Operator;
  readonly #foreignHand: ForeignHand;
  readonly #restarting = new Set<Process>();
  #calm = false;

  constructor(private readonly world: World) {
    this.#operator = new Operator(world);
    this.#foreignHand = new ForeignHand(world, this.#operator);
    this.#people = new People(world);
  }

  async play(actions: readonly Timed[], steps: number): Promise<void> {
    const { world } = this;
    const { clock } = world;
    for (const { action } of actions) if (action.do === "data first") await this.#people.dataFirst(action);
    world.start();
    for (const { atMs, action } of actions) {
      clock.schedule(clock.nobody, atMs, () => this.#calm ? undefined : this.#act(action), action.do);
    }
    await world.run(() => false, Infinity, steps);
    this.#calm = true;
    await new Rest(world, this.#operator, this.#people.deleted).come();
  }

  #act(action: Action): void {
    this.world.tell("story", describe(action));
    const done = this.#perform(action);
    done?.catch((error) => this.world.checks.found(error));
  }

  #perform(action: Action): Promise<unknown> | void {
    const { world } = this;
    switch (action.do) {
      case "data first":
        return;
      case "write":
        return this.#people.write(action.many);
      case "agent writes":
        return this.#people.agentWrites(action.agent, action.remove);
      case "delete many":
        return this.#people.deleteMany(action.agent, action.all);
      case "deletions":
        return this.#operator.deletions(world.sites[action.site], action.restore ? "restore" : "release");
      case "agent stalls":
        return this.#pause(this.#agent(action.agent).process, action.ms);
      case "agent restarts":
        return this.#restart(action.agent);
      case "astray": {
        const { agent } = this.#agent(action.agent);
        world.astray.set(agent.name, action.to);
        agent.connection?.close();
        return this.#later(action.ms, () => world.astray.delete(agent.name));
      }
      case "stranger":
        return stranger(world, action.to);
      case "promote":
        return this.#operator.promote(world.sites[action.site], action.force);
      case "demote":
        return this.#operator.demote(world.sites[action.site]);
      case "switchover":
        return this.#operator.switchover(world.sites[action.at]);
      case "foreign hand":
        return this.#foreignHand.act(action);
      case "decide deletions":
        return this.#operator.decideDeletions(world.sites[action.site], action.release);
      case "repair":
        return this.#operator.repair(world.sites[action.site]);
      case "reconcile":
        return this.#operator.reconcile(world.sites[action.site], action.adopt ? "adopt" : "discard");
      case "roll back":
        return this.#rollBack(action);
      default:
        return this.#trouble(action);
    }
  }

  #trouble(action: Exclude<Action, { do: "write" | "agent writes" | "data first" | "roll back" }>): void {
    const { world } = this;
    const { network, sites } = world;
    switch (action.do) {
      case "swallow":
        return this.#swallow(action.ways, action.ms);
      case "refuse": {
        const { other } = sites[action.to];
        const path = network.path(other, action.to);
        path.refuses = true;
        network.cut("a", "b");
        return this.#later(action.ms, () => path.refuses = false);
      }
      case "slow": {
        const paths = WAYS.both.map(([from, to]) => network.path(from, to));
        for (const path of paths) Object.assign(path, { minMs: action.maxMs / 3, maxMs: action.maxMs });
        return this.#later(
          action.ms,
          () =>
            paths.forEach((path) =>
              Object.assign(path, { minMs: SOUND_PATH.minMs, maxMs: SOUND_PATH.maxMs })
            ),
        );
      }
      case "cut":
        return network.cut("a", "b");
      case "kill":
        sites[action.site].kill();
        return this.#later(action.ms, () => sites[action.site].start());
      case "flags":
        sites[action.site].kill();
        sites[action.site].part = action.part;
        return this.#later(action.ms, () => sites[action.site].start());
      case "erase":
        return this.#lose(sites[action.site], undefined, action.ms);
      case "restore": {
        const backup = sites[action.site].disk.backup();
        return this.#later(
          action.afterMs,
          () => this.#calm || this.#lose(sites[action.site], backup, action.ms),
        );
      }
      case "kill both":
        for (const site of world.both) site.kill();
        this.#later(action.ms, () => sites.a.start());
        return this.#later(action.gapMs, () => sites.b.start());
      case "pause":
        return this.#pause(sites[action.site].process, action.ms);
      case "second process":
        return sites[action.site].startSecond();
      case "skew":
        sites[action.site].process.skewMs = action.skewMs;
        return;
      case "drift":
        sites[action.site].process.drift = { rate: action.percent / 100, sinceMs: world.clock.nowMs };
        return;
      case "disk": {
        const { faults } = sites[action.site].disk;
        const { failing, lostAnswers, maxMs, watchMs, watchLost } = action;
        Object.assign(faults, { failing, lostAnswers, maxMs, watchMs, watchLost });
        return this.#later(action.ms, () => Object.assign(faults, SOUND_DISK));
      }
      case "older definitions": {
        const { faults } = sites[action.site].disk;
        faults.older = true;
        return this.#later(action.ms, () => faults.older = false);
      }
    }
  }

  #lose(site: Site, backup: Backup | undefined, ms: number): void {
    const { clock, ledger, sites, checks } = this.world;
    site.kill();
    const left = backup && ((key: string) => (backup.states.get(key) ?? "") !== "");
    ledger.storeLost(site.name, sites[site.other].disk, left, clock.nowMs);
    site.disk.replace(backup);
    checks.storeLost(site);
    this.#later(ms, () => site.start());
  }

  async #rollBack({ afterMs, ms, aloneMs }: Extract<Action, { do: "roll back" }>): Promise<void> {
    const { serving } = this.world;
    if (!serving) return;
    const backup = serving.disk.backup();
    await this.#people.write(AFTER_A_BACKUP);
    this.#later(afterMs, () => {
      if (this.#calm || !serving.serving) return;
      this.#swallow("both", ms + aloneMs);
      this.#lose(serving, backup, ms);
    });
  }

  #swallow(ways: string, ms: number): void {
    const { agents, network } = this.world;
    const paths = ways === "agents"
      ? agents.flatMap(({ agent: { name } }) => [network.path(name, "a"), network.path(name, "b")])
      : (WAYS[ways] ?? []).map(([from, to]) => network.path(from, to));
    for (const path of paths) path.swallows = true;
    this.#later(ms, () => paths.forEach((path) => path.swallows = false));
  }

  #pause(process: Process, ms: number): void {
    this.world.clock.pause(process);
    this.#later(ms, () => this.world.clock.resume(process));
  }

  /** One restart at a time. */
  async #restart(n: number): Promise<void> {
    const { agent, process } = this.#agent(n);
    if (!agent.connected || this.#restarting.has(process)) return;
    this.#restarting.add(process);
    await this.world.clock.as(process, () => agent.restart());
    this.#restarting.delete(process);
  }

  #later(ms: number, run: () => unknown): void {
    const { clock } = this.world;
    clock.schedule(clock.nobody, ms, run, "later");
  }

  #agent(n: number) {
    const { agents } = this.world;
    return agents[n % agents.length] as (typeof agents)[number];
  }
}

/** The share of stories with up to 20 agents; they are slower, and what they find is seldom the number. */
const MANY_AGENTS = 0.05;
/** Changes that people make after a backup that comes back. */
const AFTER_A_BACKUP = 6;
const WAYS: Record<string, [string, string][]> & { both: [string, string][] } = {
  "a>b": [["a", "b"]],
  "b>a": [["b", "a"]],
  both: [["a", "b"], ["b", "a"]],
};

function describe({ do: what, ...rest }: Action): string {
  return [what, ...Object.entries(rest).map(([name, value]) => `${name}=${value}`)].join(" ");
}
