/** Everything that operators may ask of a principal, behind the interface that adapters call. */
import { onAbort } from "../../base/abort.ts";
import { until } from "../../base/until.ts";
import { explain } from "../../domain/ha/explain.ts";
import type { Situation } from "../../domain/ha/situation.ts";
import type { ChainedEntry } from "../../domain/ha/history.ts";
import type { Model } from "../../domain/ha/state.ts";
import { askPeer } from "../core/peer.ts";
import type { Explained, Operations, Version } from "../ports/operations.ts";
import { compareSides } from "./comparing.ts";
import type { Deletions } from "./deletions.ts";
import { diff } from "./diff.ts";
import { forgetAgent, type ForgettingParts } from "./forget_agent.ts";
import type { Readiness, ReadinessParts } from "./readiness.ts";
import type { Reconciler } from "./reconcile.ts";
import { repair, type RepairParts } from "./repair.ts";
import { report, situationOf } from "./report.ts";
import type { Switchover } from "./switchover.ts";

/** The parts behind the calls of operators. */
export interface OperationsParts
  extends Omit<ForgettingParts, "settings">, Omit<RepairParts, "settings" | "peer">, ReadinessParts {
  command(kind: "promote" | "demote", force: boolean, who: string): Promise<Model>;
  /** The durable history, oldest first. */
  chain(): readonly ChainedEntry[];
}

/** The procedures behind it. */
export interface Procedures {
  readiness: Readiness;
  switchover: Switchover;
  reconciler: Reconciler;
  deletions: Deletions;
}

/** Puts them together. */
export function operationsOf(
  ctx: OperationsParts,
  { readiness, switchover, reconciler, deletions }: Procedures,
): Operations {
  return {
    standing: () => ctx.standing(),
    report: () => report(ctx),
    replicated: (versions, timeoutMs, signal) => replicated(ctx, versions, timeoutMs, signal),
    command: (kind, force, who) => ctx.command(kind, force, who),
    explain: () => explained(ctx),
    preflight: () => readiness.look(),
    history: () => ctx.chain(),
    switchover: (request, tell) => switchover.ask(request, tell),
    diff: (keys) => diff(ctx, keys),
    repair: (request) => repair(ctx, request),
    losses: () => reconciler.list(),
    reconcile: (options) => reconciler.reconcile(options),
    forgetAgent: (name, who) => forgetAgent(ctx, name, who),
    deletions: () => deletions.list(),
    decideDeletions: (decision) => deletions.decide(decision),
  };
}

/** This side's situation, with the peer's answer and compared with it. */
export async function situation(ctx: ReadinessParts): Promise<Situation> {
  const answer = await askPeer(ctx);
  await compareSides(ctx, answer.peer);
  return situationOf(ctx, answer);
}

async function explained(ctx: OperationsParts): Promise<Explained> {
  const now = await situation(ctx);
  const { peer, peerError } = now;
  return { ...explain(now), peerAddress: ctx.settings.peerAddress, peer, peerError };
}

async function replicated(
  ctx: OperationsParts,
  versions: readonly Version[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<boolean[]> {
  const { index, replicas } = ctx;
  let first = 0;
  const all = () => {
    for (let version = versions[first]; version && isReplicated(ctx, version);) version = versions[++first];
    return first === versions.length;
  };
  await until(() => signal.aborted || all(), {
    changed: [
      replicas.onChange,
      (notify) => index.onChange(notify),
      (notify) => onAbort(signal, notify),
    ],
    withinMs: timeoutMs,
  });
  return versions.map((version) => isReplicated(ctx, version));
}

/**
 * Whether a replica has durably applied this version of a resource or a newer one. resourceVersions are compared
 * as numbers, which Kubernetes allows since 1.35 and the embedded store guarantees.
 */
function isReplicated({ index, replicas }: OperationsParts, { key, resourceVersion }: Version): boolean {
  const entry = index.get(key);
  if (!entry || !(Number(entry.version) >= Number(resourceVersion))) return false;
  return replicas.haveApplied(entry.revision);
}
