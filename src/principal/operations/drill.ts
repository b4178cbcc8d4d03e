/**
 * `ha drill`: a failover that does not happen. This side's copy, as it is now, is put into a store in memory; a second principal over it
 * is promoted and serves one simulated agent. What it writes ends with it; the replica goes on replicating, its `/healthz` stays 503.
 *
 * A managed agent begins with nothing and must get everything, then comes back with it all and must lose nothing. An autonomous one
 * begins with the resources that this copy says it has, and no principal must change those.
 */
import { NO_SIGNING_KEY } from "../core/health.ts";
import { parseJson } from "../../base/json.ts";
import { monotonicMs } from "../../base/clock.ts";
import { until } from "../../base/until.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { drillText, isKept } from "../../domain/ha/drill.ts";
import { possibleLoss } from "../../domain/ha/explain.ts";
import type { ChainedEntry } from "../../domain/ha/history.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Standing } from "../../domain/ha/state.ts";
import { type ApiObject, isRecord } from "../../domain/resources/object.ts";
import { readRoster, rosterKey } from "../../domain/resources/roster.ts";
import { agentOf, type Scope } from "../../domain/resources/scope.ts";
import type { DrillOptions, DrillReport, Drills } from "../ports/operations.ts";
import type { OwnResource, Part, PlayedAgent, Stage } from "../ports/stage.ts";
import { compare, type PeerParts, withPeer } from "./diff.ts";
import type { Machine } from "./machine.ts";
import { type ReportParts, situationOf } from "./report.ts";

/** Nothing moves for this long: the agent has everything. */
const QUIET_MS = 300;
const MAX_LISTED = 100;
const MAX_PROBLEMS = 20;
const MAX_NAMED = 10;
const KINDS = ["Application", "AppProject", "Repository", "GPGKey"];

/** The parts that a drill needs. */
export interface DrillParts extends Machine, ReportParts {
  readonly settings: PeerParts["settings"] & { readonly namespace: string; readonly scope: Scope };
  readonly peer: ReportParts["peer"] & PeerParts["peer"];
  /** The durable history, oldest first. */
  chain(): readonly ChainedEntry[];
}

export class Drill implements Drills {
  constructor(private readonly ctx: DrillParts, private readonly stage: Stage) {}

  standing(): Standing {
    return this.ctx.standing();
  }

  async run(options: DrillOptions): Promise<DrillReport> {
    const choice = chosen(this.ctx, options.agent);
    const end = await this.ctx.begin("drill", "problem" in choice ? choice.problem : "");
    try {
      const report = await this.#play(choice as Chosen, options.timeoutMs);
      const text = drillText(report);
      if (!isKept(this.ctx.chain(), text, Date.now())) this.ctx.outcome("drill", "", text);
      return report;
    } finally {
      end();
    }
  }

  async #play({ applications, ...part }: Chosen, timeoutMs: number): Promise<DrillReport> {
    const { ctx } = this;
    const problems = ctx.hasSigningKey ? [] : [NO_SIGNING_KEY];
    const watch = new Watch(ctx, timeoutMs);
    const copy = await this.stage.open((problem) => problems.length < MAX_PROBLEMS && problems.push(problem));
    try {
      const askedAt = monotonicMs();
      await copy.promote();
      const promotedAt = monotonicMs();
      const own = copy.ownResources(part);
      const agent = await copy.play(part, own);
      await watch.until(agent, "the agent does not connect", () => agent.connected);
      const connectedAt = monotonicMs();
      const convergedAt = await watch.untilQuiet(agent);
      const before = { events: agent.events, connects: agent.connects };
      await agent.restart();
      await watch.until(
        agent,
        "the agent does not come back",
        () => agent.connected && agent.connects > before.connects,
      );
      await watch.untilQuiet(agent);
      const missing = await missingHere(ctx, part.agent);
      return {
        ...part,
        promotedMs: promotedAt - askedAt,
        connectedMs: connectedAt - promotedAt,
        convergedMs: convergedAt - connectedAt,
        applications,
        took: KINDS.map((kind) => ({ kind, count: agent.list(kind).length })).filter(({ count }) =>
          count > 0
        ),
        again: {
          events: agent.events - before.events,
          deleted: agent.deleted,
          madeAnew: agent.recreated,
        },
        missing: missing.slice(0, MAX_LISTED),
        missingTotal: missing.length,
        problems: [
          ...problems,
          ...changed(own, copy.ownResources(part)),
          ...unfit(agent, part, applications),
        ],
        writes: copy.writes(),
        loss: possibleLoss(situationOf(ctx, { peer: undefined, error: "" })),
      };
    } finally {
      await copy.close();
    }
  }
}

/** The agent that is played, and how many Applications of it are in this copy. */
interface Chosen extends Part {
  applications: number;
}

/** The agent that is played, or why none can be. */
function chosen(
  { index, settings }: Pick<DrillParts, "settings"> & { readonly index: ChangeIndex },
  wanted: string,
): Chosen | { problem: string } {
  const counts = new Map<string, number>();
  for (const { key, payload } of index.live()) {
    if (!key.startsWith("Application/")) continue;
    const agent = agentOf(parseJson(payload) as ApiObject, settings.scope);
    if (agent !== "" && agent !== settings.namespace) counts.set(agent, (counts.get(agent) ?? 0) + 1);
  }
  const entry = index.present(rosterKey(settings.namespace));
  const known = readRoster(entry && parseJson(entry.payload) as ApiObject);
  const names = [...new Set([...counts.keys(), ...known.keys()])].sort((a, b) =>
    (counts.get(b) ?? 0) - (counts.get(a) ?? 0) || (a < b ? -1 : 1)
  );
  const agent = wanted || names[0];
  if (agent === undefined) {
    return { problem: "this copy has no Application of any agent, and knows no agent" };
  }
  if (!names.includes(agent)) {
    return {
      problem: `this copy has nothing of agent "${agent}"; it knows: ${names.slice(0, MAX_NAMED).join(", ")}`,
    };
  }
  return { agent, mode: known.get(agent)?.mode ?? "managed", applications: counts.get(agent) ?? 0 };
}

/** Resources that the ACTIVE has for this agent, or for all, and this copy lacks or has in another state. @throws Refusal */
async function missingHere(ctx: DrillParts, agent: string): Promise<string[]> {
  const { differing } = await withPeer(
    ctx,
    "drill",
    (connection) => compare(ctx.index, connection),
  );
  const theirs = `Application/${agent}/`;
  return [...differing.keys()].filter((key) =>
    ctx.settings.scope.destinationMapping || !key.startsWith("Application/") || key.startsWith(theirs)
  );
}

/** The fate of an autonomous agent's own resources here when it connected. */
function changed(before: readonly OwnResource[], after: readonly OwnResource[]): string[] {
  const now = new Map(after.map(({ key, checksum }) => [key, checksum]));
  return before.filter(({ key, checksum }) => now.get(key) !== checksum).slice(0, MAX_PROBLEMS).map((
    { key },
  ) =>
    `${key} was ${now.has(key) ? "changed" : "deleted"} here when its agent came, though both had the same`
  );
}

/** The resources that the agent was served and would lack. */
function unfit(agent: PlayedAgent, { mode }: Part, applications: number): string[] {
  const has = agent.list("Application");
  const projects = new Set(agent.list("AppProject").map(({ metadata }) => metadata.name));
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
    ...[...new Set(agent.errors)].slice(0, MAX_PROBLEMS).map((error) => `the agent refused: ${error}`),
  ];
}

/** Waits within the drill's time, and no longer than this side is a replica. */
class Watch {
  readonly #untilMs: number;

  constructor(private readonly ctx: Machine, private readonly timeoutMs: number) {
    this.#untilMs = monotonicMs() + timeoutMs;
  }

  /** @throws Refusal when the condition does not hold in time, or this side is promoted */
  async until(agent: PlayedAgent, otherwise: string, holds: () => boolean): Promise<void> {
    if (await this.#within(agent, this.#untilMs - monotonicMs(), holds)) return;
    throw new Refusal(`drill aborted: it is not finished after ${this.timeoutMs} ms: ${otherwise}`);
  }

  /** Waits until nothing is on the way in either direction; since when that is so. @throws Refusal */
  async untilQuiet(agent: PlayedAgent): Promise<number> {
    for (;;) {
      const sinceMs = monotonicMs();
      const seen = agent.events;
      const moved = await this.#within(agent, QUIET_MS, () => agent.events !== seen);
      if (!moved && agent.quiet) return sinceMs;
      if (monotonicMs() > this.#untilMs) {
        await this.until(agent, "the agent and its principal still talk", () => false);
      }
    }
  }

  #within(agent: PlayedAgent, withinMs: number, holds: () => boolean): Promise<boolean> {
    const changed = [agent.onChange, (notify: () => void) => this.ctx.onModel(notify)];
    return until(() => {
      this.#mustFollow();
      return holds();
    }, { changed, withinMs });
  }

  #mustFollow(): void {
    const { state, operation } = this.ctx.model();
    if (state !== "active" && !operation) return;
    throw new Refusal("drill aborted: this side is being promoted or is already ACTIVE");
  }
}
