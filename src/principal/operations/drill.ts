/**
 * `ha drill`: a failover that does not happen. This side's copy, as it is now, is put into a store in memory; a second core over it is
 * promoted and serves one simulated agent, over real mTLS with certificates made for the moment, on a loopback port that nobody is
 * told. What it writes ends with it; the replica goes on replicating, its `/healthz` stays 503. The copy is held twice meanwhile.
 *
 * A managed agent begins with nothing and must get everything, then comes back with it all and must lose nothing. An autonomous one
 * begins with what this copy says it has, and nobody must change that.
 */
import { delay } from "@std/async/delay";
import { compare } from "../../adapters/grpc/diff.ts";
import { reasonOf } from "../../base/reason.ts";
import { type Mode, readRoster, rosterKey } from "../../domain/resources/roster.ts";
import { isRecord } from "../../domain/resources/object.ts";
import { agentOf } from "../../domain/resources/scope.ts";
import type { SimAgent } from "../../simagents/agent.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Context } from "../core/context.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Core } from "../principal.ts";
import { openAgent, openCopy, type Own, ownOf } from "../../drill_stage.ts";

export interface DrillOptions {
  /** Empty: the agent with the most Applications. */
  agent: string;
  timeoutMs: number;
}

/** What a failover now would take, and miss. */
export interface DrillReport {
  agent: string;
  mode: Mode;
  /** From the command to ACTIVE, from then to the agent's stream, from then until it had everything; in ms. */
  promotedMs: number;
  connectedMs: number;
  convergedMs: number;
  /** Applications of the agent in this copy. */
  applications: number;
  /** What the agent has in the end, by kind. */
  took: { kind: string; count: number }[];
  /** How its second stream went: events, and what was deleted and made anew at the agent in both. */
  again: { events: number; deleted: number; madeAnew: number };
  /** What the ACTIVE has for it and this copy has not, or otherwise; the first 100. */
  missing: string[];
  missingTotal: number;
  problems: string[];
  /** Writes that a failover would have made until here, and that nobody made. */
  writes: number;
}

const LOOK_MS = 10;
/** Nothing moves for this long: the agent has everything. */
const QUIET_MS = 300;
const MAX_LISTED = 100;
const MAX_PROBLEMS = 20;
const KINDS = ["Application", "AppProject", "Repository", "GPGKey"];

/** One drill at a time. */
export class Drill {
  #running = false;

  constructor(private readonly ctx: Context) {}

  /** @throws Refusal where this side is no replica, or ceases to be one */
  async run(options: DrillOptions): Promise<DrillReport> {
    const { state } = this.ctx.model();
    if (state !== "replicating") {
      throw new Refusal(
        `cannot drill: this side is ${state.toUpperCase()}, and a drill needs a copy that follows; run it at the side that is REPLICATING`,
      );
    }
    if (this.#running) throw new Refusal("cannot drill: a drill is under way already; wait for it");
    this.#running = true;
    try {
      return await drill(this.ctx, options);
    } finally {
      this.#running = false;
    }
  }
}

async function drill(ctx: Context, options: DrillOptions): Promise<DrillReport> {
  const undo: (() => Promise<void> | void)[] = [];
  const watch = new Watch(ctx, options.timeoutMs);
  try {
    const { agent, mode, applications } = chosen(ctx, options.agent);
    const problems = ctx.hasSigningKey ? [] : [
      "no key that signs agents' tokens is configured here: no real agent could authenticate; set --jwt-key FILE",
    ];
    const core = await openCopy(
      ctx,
      (problem) => problems.length < MAX_PROBLEMS && problems.push(problem),
      undo,
    );
    const askedAt = monotonicMs();
    await core.switchover.command("promote", false, "drill");
    const promotedAt = monotonicMs();
    const own = ownOf(core, { agent, mode });
    const sim = await openAgent(core, { agent, mode, own }, undo);
    await watch.until("the agent does not connect", () => sim.connected);
    const connectedAt = monotonicMs();
    const convergedAt = await watch.untilQuiet(core, sim);
    const before = { events: sim.seen.events, connects: sim.seen.connects };
    await sim.restart();
    await watch.until(
      "the agent does not come back",
      () => sim.connected && sim.seen.connects > before.connects,
    );
    await watch.untilQuiet(core, sim);
    const missing = await missingHere(ctx, agent);
    return {
      agent,
      mode,
      promotedMs: promotedAt - askedAt,
      connectedMs: connectedAt - promotedAt,
      convergedMs: convergedAt - connectedAt,
      applications,
      took: KINDS.map((kind) => ({ kind, count: sim.cluster.list(kind).length })).filter(({ count }) =>
        count > 0
      ),
      again: {
        events: sim.seen.events - before.events,
        deleted: sim.cluster.deleted,
        madeAnew: sim.cluster.recreated,
      },
      missing: missing.slice(0, MAX_LISTED),
      missingTotal: missing.length,
      problems: [
        ...problems,
        ...changed(own, ownOf(core, { agent, mode })),
        ...unfit(sim, mode, applications),
      ],
      writes: core.ctx.store.status().writes,
    };
  } finally {
    for (let step = undo.pop(); step; step = undo.pop()) await step();
  }
}

/** The agent that is played. @throws Refusal where this copy knows none of that name */
function chosen(
  { index, settings }: Context,
  wanted: string,
): { agent: string; mode: Mode; applications: number } {
  const counts = new Map<string, number>();
  for (const { key, payload } of index.live()) {
    if (!key.startsWith("Application/")) continue;
    const agent = agentOf(JSON.parse(payload), settings.scope);
    if (agent !== "" && agent !== settings.namespace) counts.set(agent, (counts.get(agent) ?? 0) + 1);
  }
  const entry = index.present(rosterKey(settings.namespace));
  const known = readRoster(entry && JSON.parse(entry.payload));
  const names = [...new Set([...counts.keys(), ...known.keys()])].sort((a, b) =>
    (counts.get(b) ?? 0) - (counts.get(a) ?? 0) || (a < b ? -1 : 1)
  );
  const agent = wanted || names[0];
  if (agent === undefined) {
    throw new Refusal("cannot drill: this copy has no Application of any agent, and knows no agent");
  }
  if (!names.includes(agent)) {
    throw new Refusal(
      `cannot drill: this copy has nothing of agent "${agent}"; it knows: ${names.slice(0, 10).join(", ")}`,
    );
  }
  return { agent, mode: known.get(agent)?.mode ?? "managed", applications: counts.get(agent) ?? 0 };
}

/** What the ACTIVE has for this agent, or for all, that this copy has not or has otherwise. */
async function missingHere(ctx: Context, agent: string): Promise<string[]> {
  const peer = ctx.peer.connect();
  try {
    const { differing } = await compare(ctx, peer);
    const { destinationMapping } = ctx.settings.scope;
    const theirs = `Application/${agent}/`;
    return [...differing.keys()].filter((key) =>
      destinationMapping || !key.startsWith("Application/") || key.startsWith(theirs)
    );
  } catch (error) {
    throw new Refusal(
      `cannot drill: the ACTIVE does not say what it has: ${reasonOf(error)}`,
    );
  } finally {
    peer.close();
  }
}

/** What became of an autonomous agent's own resources here when it came. */
function changed(before: readonly Own[], after: readonly Own[]): string[] {
  const now = new Map(after.map(({ key, checksum }) => [key, checksum]));
  return before.filter(({ key, checksum }) => now.get(key) !== checksum).slice(0, MAX_PROBLEMS).map((
    { key },
  ) =>
    `${key} was ${now.has(key) ? "changed" : "deleted"} here when its agent came, though both had the same`
  );
}

/** What the agent would miss of what it was served. */
function unfit(sim: SimAgent, mode: Mode, applications: number): string[] {
  const has = sim.cluster.list("Application");
  const projects = new Set(sim.cluster.list("AppProject").map(({ metadata }) => metadata.name));
  const homeless = has.filter(({ spec }) => {
    const project = isRecord(spec) ? String(spec["project"] ?? "default") : "default";
    return project !== "default" && !projects.has(project);
  });
  return [
    ...(has.length === applications
      ? []
      : [`${applications} Applications are in this copy, the agent has ${has.length}`]),
    ...homeless.slice(0, MAX_PROBLEMS).map(({ metadata, spec }) =>
      `Application ${metadata.name} names project "${(spec as Record<string, unknown>)["project"]}", which ${
        mode === "managed"
          ? "no AppProject here gives to this agent"
          : "this copy does not have of this agent"
      }`
    ),
    ...[...new Set(sim.seen.errors)].slice(0, MAX_PROBLEMS).map((error) => `the agent refused: ${error}`),
  ];
}

/** Waits within the drill's time, and no longer than this side is a replica. */
class Watch {
  readonly #untilMs: number;

  constructor(private readonly ctx: Context, private readonly timeoutMs: number) {
    this.#untilMs = monotonicMs() + timeoutMs;
  }

  async until(otherwise: string, holds: () => boolean): Promise<void> {
    while (!holds()) {
      const { state } = this.ctx.model();
      if (state === "active" || this.ctx.model().operation) {
        throw new Refusal("the drill is ended: this side is being promoted in earnest, or serves");
      }
      if (monotonicMs() > this.#untilMs) {
        throw new Refusal(`the drill is not finished after ${this.timeoutMs} ms: ${otherwise}`);
      }
      await delay(LOOK_MS);
    }
  }

  /** Waits until nothing is on the way in either direction; since when that is so. */
  async untilQuiet(core: Core, sim: SimAgent): Promise<number> {
    let seen = -1;
    let since = monotonicMs();
    await this.until("the agent and its principal still talk", () => {
      const session = core.ctx.fleet().agent(sim.name)?.session;
      const quiet = session !== undefined && session.pending === 0 && sim.outbox.pending === 0;
      if (!quiet || seen !== sim.seen.events) since = monotonicMs();
      seen = sim.seen.events;
      return monotonicMs() - since > QUIET_MS;
    });
    return since;
  }
}
