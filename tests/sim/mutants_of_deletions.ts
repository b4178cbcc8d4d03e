/** Mistakes about deletions that wait. */
import { type Mutant, mutant } from "./mutant.ts";

export const DELETION_MUTANTS: readonly Mutant[] = [
  mutant(
    "agents are told to delete whatever is absent",
    "src/domain/agents/session.ts",
    "if (!step?.deletes || this.world.mayDelete(key)) return step;",
    "if (step) return step;",
    ["delete many", "promote"],
  ),
  mutant(
    "a replica deletes as much at once as its leader says",
    "src/domain/replication/applier.ts",
    "if (change.object === undefined) return this.gate?.mayDelete(change, writing) === false;",
    "if (change.object === undefined) return false;",
    ["delete many", "promote"],
  ),
  mutant(
    "deletions are judged one by one",
    "src/domain/ha/deletion_guard.ts",
    "const total = this.#undecided + this.#held + passed;",
    "const total = Math.min(1, this.#undecided + this.#held + passed);",
    ["delete many", "promote"],
  ),
  mutant(
    "a held deletion goes when it is asked for once more",
    "src/domain/ha/deletion_guard.ts",
    'return known.state === "released";',
    'return known.state !== "undecided";',
    ["delete many", "promote", "cut"],
  ),
];
