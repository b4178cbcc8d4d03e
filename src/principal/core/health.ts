/** How this principal is, for probes. */
import { monotonicMs } from "../../base/clock.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { Health } from "../ports/health.ts";
import { type Following, lagMs } from "./following.ts";

/** The sources of health. */
export interface HealthParts {
  readonly settings: { readonly haEnabled: boolean };
  readonly following: Following;
  model(): Model;
  /** Open while this principal is ACTIVE. */
  activeScope(): AbortSignal | undefined;
}

/** Health, read at each call. */
export function healthOf({ settings, following, model, activeScope }: HealthParts): Health {
  return {
    haEnabled: settings.haEnabled,
    model,
    serves: () => model().state === "active" && activeScope() !== undefined,
    lagMs: () => lagMs(following, monotonicMs()),
  };
}
