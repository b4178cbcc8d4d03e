/** How this principal is, for probes. */
import { monotonicMs } from "../../base/clock.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { Health } from "../ports/health.ts";
import type { Tenure } from "../ports/store_lock.ts";
import { type Following, lagMs } from "./following.ts";

/** The sources of health. */
export interface HealthParts {
  readonly settings: { readonly haEnabled: boolean };
  readonly following: Following;
  /** Whether a key is configured that signs agents' tokens. */
  readonly hasSigningKey: boolean;
  readonly tenure: Pick<Tenure, "holds">;
  model(): Model;
  /** Open while this principal is ACTIVE. */
  activeScope(): AbortSignal | undefined;
}

/** The state of a process that acted and does not hold the lock on its store any more. */
const LOST = { state: "recovering", explanation: "the lock on this side's store is lost" } as const;

/** For a principal without a key that signs agents' tokens. */
export const NO_SIGNING_KEY =
  "no key signs agents' tokens, so every agent is refused; give --jwt-key FILE (argocd-agent-ha install makes one)";

/** Health, read at each call. */
export function healthOf(
  { settings, following, hasSigningKey, tenure, model, activeScope }: HealthParts,
): Health {
  return {
    haEnabled: settings.haEnabled,
    model: () => tenure.holds() || model().state === "recovering" ? model() : LOST,
    serves: () => model().state === "active" && activeScope() !== undefined,
    closed: hasSigningKey ? "" : NO_SIGNING_KEY,
    lagMs: () => lagMs(following, monotonicMs()),
  };
}
