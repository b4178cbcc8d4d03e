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
  mutant(
    "a process that loses the lock while it opens the store waits for the store, and never asks for the lock again",
    "src/principal/core/store_monitor.ts",
    "this.ended?.throwIfAborted();\n        await delay(LOOK_MS, this.ended ? { signal: this.ended } : {});",
    "await delay(LOOK_MS);",
    ["foreign hand", "disk"],
  ),
];
