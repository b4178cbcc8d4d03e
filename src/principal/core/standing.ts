/** A principal's report of itself, and whether it hears from its peer. */
import { VERSION } from "../../base/version.ts";
import type { StorePoint } from "../../domain/ha/store_history.ts";
import type { Model, Standing } from "../../domain/ha/state.ts";

export function standingOf(
  { uid, name, namespace }: Pick<Standing, "uid" | "name" | "namespace">,
  model: Model,
  connectedAgents: number,
  store: StorePoint | undefined,
): Standing {
  const { state, sinceMs, coverage, memory: { epoch, lineage } } = model;
  const standing = {
    uid,
    name,
    version: VERSION,
    namespace,
    state,
    epoch,
    sinceMs,
    connectedAgents,
    lineage,
    coverage,
  };
  return store ? { ...standing, store } : standing;
}

/** Whether the peer has answered lately. */
export function isPeerReachable({ state, peer }: Model): boolean {
  return state === "active" ? peer !== undefined : state === "replicating";
}
