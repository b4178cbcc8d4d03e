/** Is the pair ready for a failover? Looked at whenever an operator asks, and now and then for metrics. */
import { possibleLoss, type Situation } from "../../domain/ha/explain.ts";
import { type Check, type Condition, preflight, timeOf } from "../../domain/ha/preflight.ts";
import { readRoster, rosterKey } from "../../domain/resources/roster.ts";
import { parseKey } from "../../domain/resources/keys.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Context } from "../core/context.ts";
import { inSyncAgoMs } from "../core/following.ts";
import { askPeer, conditionOf, EXAMINE_MS, type PeerAnswer } from "../core/peer.ts";
import { reasonOf } from "../../base/reason.ts";

/** What a look came to. */
export interface Look {
  checks: Check[];
  /** What a promotion of the side that is not ACTIVE could lose. */
  loss: string;
  /** How long it would take. */
  time: string;
  atMs: number;
}

/** For metrics the pair is looked at this often: it costs each API server about 60 requests. */
const LOOK_EVERY_MS = 300_000;
/** Namespaces that are looked for at most. */
const MAX_NAMESPACES = 200;

export class Readiness {
  #last: Look | undefined;

  constructor(private readonly ctx: Context) {}

  /** The last look; undefined: none yet. */
  get last(): Look | undefined {
    return this.#last;
  }

  /** Looks now. */
  async look(): Promise<Look> {
    const { ctx } = this;
    const [answer, condition] = await Promise.all([
      askPeer(ctx, { examineMs: EXAMINE_MS }),
      examinedCondition(ctx),
    ]);
    const { peer, error: peerError, condition: peerCondition, skewMs = 0 } = answer;
    const { peerAddress, peerCheckTimeoutMs } = ctx.settings;
    const facts = {
      own: ctx.standing(),
      condition,
      peerAddress,
      peer,
      peerError,
      peerCondition,
      skewMs,
      followed: [...ctx.replicas].some(({ standing }) => standing?.uid === peer?.uid),
      peerCheckTimeoutMs,
      nowMs: Date.now(),
    };
    const loss = possibleLoss(situationOf(ctx, answer));
    this.#last = { checks: preflight(facts), loss, time: timeOf(facts), atMs: facts.nowMs };
    return this.#last;
  }

  /** Looks now and then from now on, until what it returns is called. */
  watch(): () => void {
    const timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
    Deno.unrefTimer(timer as unknown as number);
    return () => clearInterval(timer);
  }
}

/** What this side says of itself when it has looked around itself too. */
export async function examinedCondition(ctx: Context): Promise<Condition> {
  const condition = conditionOf(ctx);
  try {
    return { ...condition, missing: await ctx.store.examine(namespacesToLookFor(ctx)) };
  } catch (error) {
    return { ...condition, examinationError: reasonOf(error) };
  }
}

/** Namespaces that will be needed, and of which no resource here says that they exist: of known agents, and of changes that are held. */
function namespacesToLookFor({ index, settings, following }: Context): string[] {
  const seen = new Set<string>();
  for (const { key } of index.live()) seen.add(parseKey(key)?.namespace ?? "");
  const entry = index.present(rosterKey(settings.namespace));
  const agents = readRoster(entry && JSON.parse(entry.payload));
  const wanted = new Set(following.held.map(({ key }) => parseKey(key)?.namespace ?? ""));
  if (!settings.scope.destinationMapping) { for (const agent of agents.keys()) wanted.add(agent); }
  return [...wanted].filter((namespace) => namespace !== "" && !seen.has(namespace)).slice(0, MAX_NAMESPACES);
}

/** What `ha explain` reasons from. */
export function situationOf(ctx: Context, { peer, error }: PeerAnswer): Situation {
  const { following } = ctx;
  return {
    model: ctx.model(),
    peer,
    peerError: error,
    replicas: ctx.replicas.size,
    agents: ctx.connectedAgents(),
    behind: following.behind,
    inSyncAgoMs: inSyncAgoMs(ctx.following, monotonicMs()),
    heldTotal: following.heldTotal,
    storeProblem: ctx.storeProblem(),
    nowMs: Date.now(),
  };
}
