/** A principal's answers to probes. */
import type { Model } from "../../domain/ha/state.ts";

/** How a principal is. */
export interface Health {
  readonly haEnabled: boolean;
  model(): Pick<Model, "state" | "explanation">;
  /** Whether agents are to be sent here: ACTIVE, and not about to step down. */
  serves(): boolean;
  /** The reason why no agent can ever be admitted here, and the remedy; empty: there is none. */
  readonly closed: string;
  /** How long this replica lags, in ms; undefined: it does not follow. */
  lagMs(): number | undefined;
}
