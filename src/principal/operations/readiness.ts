/** Is the pair ready for a failover? Looked at whenever an operator asks, and now and then for metrics. */
import { parseJson } from "../../base/json.ts";
import { reasonOf } from "../../base/reason.ts";
import { possibleLoss } from "../../domain/ha/explain.ts";
import { type Condition, preflight, timeOf } from "../../domain/ha/preflight.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import { readRoster, rosterKey } from "../../domain/resources/roster.ts";
import { parseKey } from "../../domain/resources/keys.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import { type Asking, askPeer, conditionOf, EXAMINE_MS } from "../core/peer.ts";
import type { Look } from "../ports/operations.ts";
import type { Store } from "../ports/store.ts";
import { FieldsInUse } from "./fields_in_use.ts";
import { compareSides, type ComparingParts } from "./comparing.ts";
import { type ReportParts, situationOf } from "./report.ts";

/** The parts that a preflight needs. */
export interface ReadinessParts extends ReportParts, Asking {
  readonly index: ReportParts["index"];
  readonly comparison: ComparingParts["comparison"];
  readonly settings: Asking["settings"] & { readonly namespace: string; readonly scope: Scope };
  readonly peer: ReportParts["peer"] & Asking["peer"];
  readonly peerSays: ReportParts["peerSays"] & Asking["peerSays"];
  readonly counters: ReportParts["counters"];
  readonly store: Pick<Store, "examine">;
}

/** For metrics the pair is looked at this often: it costs each API server about 60 requests. */
const LOOK_EVERY_MS = 300_000;
/** Namespaces that are looked for at most. */
const MAX_NAMESPACES = 200;

export class Readiness {
  #last: Look | undefined;
  readonly #fields: FieldsInUse;

  constructor(private readonly ctx: ReadinessParts) {
    this.#fields = new FieldsInUse(ctx.index);
  }

  /** The last look; undefined: none yet. */
  get last(): Look | undefined {
    return this.#last;
  }

  /** Looks now. */
  async look(): Promise<Look> {
    const { ctx } = this;
    if (ctx.model().waiting) return waitingLook(ctx);
    const answer = await askPeer(ctx, { examineMs: EXAMINE_MS, fieldsInUse: await this.#fields.now() });
    const { peer, error: peerError, condition: peerCondition, skewMs = 0 } = answer;
    const compared = await compareSides(ctx, peer);
    const condition = await this.condition(true, peerCondition?.fieldsInUse);
    if (peerCondition?.missing?.fields?.length) this.#fields.forget();
    const { peerAddress, peerCheckTimeoutMs } = ctx.settings;
    const facts = {
      own: ctx.standing(),
      condition,
      peerAddress,
      peer,
      peerError,
      peerCondition,
      skewMs,
      compared,
      exposure: ctx.model().state === "active" ? ctx.exposure.now() : undefined,
      followed: [...ctx.replicas].some(({ standing }) => standing?.uid === peer?.uid),
      peerCheckTimeoutMs,
      nowMs: Date.now(),
    };
    const loss = possibleLoss(situationOf(ctx, answer));
    this.#last = { checks: preflight(facts), loss, time: timeOf(facts), atMs: facts.nowMs };
    return this.#last;
  }

  /**
   * This side's report of itself; with `examine` it examines its cluster first.
   *
   * @param fields those that the peer's resources use
   */
  async condition(examine: boolean, fields: readonly string[] = []): Promise<Condition> {
    const { ctx } = this;
    if (!examine) return conditionOf(ctx, { examine });
    const condition = { ...conditionOf(ctx, { examine }), fieldsInUse: await this.#fields.now() };
    try {
      return { ...condition, missing: await ctx.store.examine(namespacesToLookFor(ctx), fields) };
    } catch (error) {
      return { ...condition, examinationError: reasonOf(error) };
    }
  }

  /** Looks now and then from now on, until what it returns is called. */
  watch(): () => void {
    const timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
    Deno.unrefTimer(timer as unknown as number);
    return () => clearInterval(timer);
  }
}

/** A process that does not act knows nothing of the pair. */
function waitingLook(ctx: ReadinessParts): Look {
  const found = ctx.model().explanation;
  const checks = [{ name: "process", ok: false, found, fix: "run ha preflight at the process that acts" }];
  const loss = possibleLoss(situationOf(ctx, { peer: undefined, error: "" }));
  return { checks, loss, time: "unknown to this process", atMs: Date.now() };
}

/** Namespaces that will be needed, and of which no resource here says that they exist: of known agents, and of changes that are held. */
function namespacesToLookFor({ index, settings, following }: ReadinessParts): string[] {
  const seen = new Set<string>();
  for (const { key } of index.live()) seen.add(parseKey(key)?.namespace ?? "");
  const entry = index.present(rosterKey(settings.namespace));
  const agents = readRoster(entry && parseJson(entry.payload) as ApiObject);
  const wanted = new Set(following.held.map(({ key }) => parseKey(key)?.namespace ?? ""));
  if (!settings.scope.destinationMapping) { for (const agent of agents.keys()) wanted.add(agent); }
  return [...wanted].filter((namespace) => namespace !== "" && !seen.has(namespace)).slice(0, MAX_NAMESPACES);
}
