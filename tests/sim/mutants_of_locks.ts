/** Mistakes about which process of a side acts. */
import { type Mutant, mutant } from "./mutant.ts";

const LEASE = "src/adapters/store/lease.ts";
const ABOUT = ["second process", "pause"] as const;

export const LOCK_MUTANTS: readonly Mutant[] = [
  mutant("a holder acts for longer than others wait", LEASE, "10 / 15", "60 / 15", ABOUT),
  mutant(
    "a lost lock is ignored: what it allows does not look at the clock",
    "src/principal/core/effects.ts",
    "return this.ctx.tenure.holds() ? this.#scope?.signal : undefined;",
    "return this.#scope?.signal;",
    ABOUT,
  ),
  mutant(
    "a renewed lease is taken as if it had expired",
    LEASE,
    "if (holder && seen?.version !== version)",
    "if (holder && version === undefined)",
    ABOUT,
  ),
];
