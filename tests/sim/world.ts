/** Two principals, their agents, the network between them and the name that agents follow: what a story happens to. */
import type { Mode } from "../../src/domain/resources/roster.ts";
import { keyOf } from "../../src/domain/resources/keys.ts";
import { UNHANDLED } from "../../src/principal/core/observe.ts";
import { SimAgent } from "../../src/simagents/agent.ts";
import { Crowd } from "../../src/simagents/crowd.ts";
import { connectAgent } from "./agents.ts";
import { Checks } from "./checks.ts";
import { Violation } from "./violation.ts";
import { Clock, type Process, process, useClock } from "./clock.ts";
import { Dials } from "./bounds.ts";
import { Disk } from "./disk.ts";
import { Ledger } from "./ledger.ts";
import { Network } from "./network.ts";
import { SOUND_PATH } from "./sound.ts";
import { settingsOf, Site, type SiteName } from "./site.ts";

const GSLB_MS = 1_000;

let guarded: Checks | undefined;
globalThis.addEventListener("unhandledrejection", (event) => {
  if (!guarded) return;
  event.preventDefault();
  guarded.found(event.reason);
});

export interface WorldOptions {
  managed: number;
  autonomous: number;
}

export class World {
  readonly clock: Clock;
  readonly network: Network;
  readonly sites: { a: Site; b: Site };
  readonly checks: Checks;
  readonly agents: { agent: SimAgent; process: Process; mode: Mode }[] = [];
  readonly trace: string[] = [];
  readonly crowd: Crowd;
  readonly ledger = new Ledger();
  /** Where the name points. */
  dns: SiteName = "a";
  /** Agents that another answer of the name has reached. */
  readonly astray = new Map<string, SiteName>();

  constructor(seed: number, { managed, autonomous }: WorldOptions) {
    const clock = this.clock = new Clock(seed);
    useClock(clock);
    this.network = new Network(clock);
    const site = (name: SiteName) => {
      const disk = new Disk(name, clock, settingsOf(name).scope);
      return new Site(name, this.network, disk, {
        log: (from, level, message, fields, by = from.process.name) => {
          if (level === "trace" || level === "debug") return;
          if (message === UNHANDLED) {
            this.checks.found(new Violation("table", `${from.name}: ${message}${textOf(fields)}`));
          }
          this.tell(by, `${level} ${message}${textOf(fields)}`);
        },
        opened: (from, core) => {
          this.checks.opened(from, core);
          this.ledger.opened(from.name, from.disk, clock.nowMs);
        },
        sent: (from, { name, mode }, event) => {
          try {
            if (mode === "managed") this.checks.requests.sent(from, name, event);
          } catch (error) {
            this.checks.found(error);
          }
        },
        died: ({ name }) => this.ledger.died(name, clock.nowMs),
      });
    };
    this.sites = { a: site("a"), b: site("b") };
    this.checks = new Checks(clock, this.sites, () => this.#linked());
    const dials = new Dials(clock, (violation) => this.checks.found(violation));
    this.network.onDial = (from, to) => {
      if (from in this.sites && to in this.sites) dials.dialled(from);
    };
    for (let n = 1; n <= managed + autonomous; n++) {
      this.#addAgent(n, n <= managed ? "managed" : "autonomous");
    }
    const of = (wanted: Mode) => this.agents.filter(({ mode }) => mode === wanted).map(({ agent }) => agent);
    this.crowd = new Crowd(of("managed"), of("autonomous"));
    clock.schedule(clock.nobody, 0, () => this.#followHealth(), "gslb");
  }

  get both(): Site[] {
    return [this.sites.a, this.sites.b];
  }

  /** The side that serves, if there is one. */
  get serving(): Site | undefined {
    return this.both.find(({ serving }) => serving);
  }

  tell(who: string, what: string): void {
    this.trace.push(`${(this.clock.nowMs / 1_000).toFixed(3).padStart(9)}s ${who.padEnd(9)} ${what}`);
  }

  start(): void {
    for (const site of this.both) site.start();
    for (const { agent, process } of this.agents) {
      this.clock.schedule(process, this.clock.random.next() * 500, () => agent.start(), "agent starts");
    }
  }

  /** Runs until the condition holds, at most for so long; whether it does. @throws Violation */
  async run(holds: () => boolean, forMs: number, maxSteps = Infinity): Promise<boolean> {
    const untilMs = this.clock.nowMs + forMs;
    const steps = this.clock.steps + maxSteps;
    while (!holds()) {
      if (this.clock.nowMs >= untilMs || this.clock.steps >= steps) return false;
      await this.step();
    }
    return true;
  }

  /** From now on a rejection that nobody handles is this world's: a crash of one of its processes. */
  guard(): void {
    guarded = this.checks;
  }

  /** Nothing is this world's any more. */
  end(): void {
    guarded = undefined;
  }

  /** One event, and every invariant. @throws Violation */
  async step(): Promise<void> {
    await this.clock.step();
    this.checks.after();
  }

  #linked(): boolean {
    return [this.network.path("a", "b"), this.network.path("b", "a")].every(({ refuses, swallows, maxMs }) =>
      !refuses && !swallows && maxMs <= SOUND_PATH.maxMs
    );
  }

  #followHealth(): void {
    const healthy = this.both.filter(({ process, core }) => process.alive && core?.health.serves());
    const [one] = healthy;
    if (one && !healthy.some(({ name }) => name === this.dns)) this.dns = one.name;
    this.clock.schedule(this.clock.nobody, GSLB_MS, () => this.#followHealth(), "gslb");
  }

  #addAgent(n: number, mode: Mode): void {
    const name = `agent-${n}`;
    const me = process(name);
    let at: SiteName = this.dns;
    const agent = new SimAgent({
      name,
      mode,
      address: () => "",
      material: undefined,
      firstVersion: 1_000 * n,
      connect: (_, events) => {
        const to = this.astray.get(name) ?? this.dns;
        at = to;
        return connectAgent(this.network, { process: me, from: name }, to, `${name}|${mode}`, events);
      },
    });
    agent.onWire = (way, event) => {
      if (way !== "to agent" || event.target !== "application") return;
      const { metadata } = this.#mustBeOf(name, event.payload);
      if (mode === "managed" && event.type === "spec-update") this.#mustHave(agent, metadata);
      if (event.type === "delete" && mode === "managed") {
        const key = applicationKey(name, event.subject?.split("/")[1] ?? "");
        this.checks.erasures.told(this.sites[at], name, key, agent.cluster.list("Application").length);
      }
    };
    if (mode === "autonomous") this.checks.autonomous.add(name);
    this.agents.push({ agent, process: me, mode });
  }

  /** An agent sees only its own Applications: each of this world names its agent (I11). */
  #mustBeOf(name: string, payload: Uint8Array | undefined): Told {
    const told = JSON.parse(new TextDecoder().decode(payload)) as Told;
    const owner = told.metadata?.labels?.["owner"];
    this.checks.note("I11");
    if (owner !== undefined && owner !== name) {
      this.checks.found(new Violation("I11", `${name} was sent an Application of ${owner}`));
    }
    return told;
  }

  /** Of an Application that is being deleted an agent without it would make one. */
  #mustHave({ name, cluster }: SimAgent, metadata: Told["metadata"]): void {
    if (metadata?.deletionTimestamp === undefined || cluster.get("Application", metadata.name)) return;
    this.checks.found(
      new Violation("agents", `${name} lacks ${metadata.name} and is told that it is being deleted`),
    );
  }
}

/** The part of an event's object that is looked at. */
interface Told {
  metadata?: { name: string; labels?: Record<string, string>; deletionTimestamp?: string };
}

export const applicationKey = (agent: string, name: string) => keyOf("Application", agent, name);

function textOf(fields: Record<string, unknown>): string {
  return Object.entries(fields).map(([name, value]) => ` ${name}=${String(value).slice(0, 160)}`).join("");
}
