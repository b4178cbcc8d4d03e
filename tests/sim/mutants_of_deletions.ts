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
  {
    name: "an agent is told of a deletion once more, and not asked what it has",
    edits: [
      {
        file: "src/domain/agents/step.ts",
        from: "begun: (now) => ({ ...step.begun(now), state: DELETING })",
        to: "begun: step.begun",
      },
      {
        file: "src/domain/agents/session.ts",
        from: "return this.#dirty.has(key) && this.#step(key) !== undefined;",
        to: "return this.#dirty.has(key);",
      },
    ],
    about: ["delete many", "agent stalls", "swallow"],
  },
  mutant(
    "a promotion restores only the copies that it knew before it began",
    "src/principal/replica/drift_repair.ts",
    'if (wanted.size === 0) return "";',
    'if (wanted.size === 0 || round > 1) return "";',
    ["foreign hand", "promote", "disk"],
  ),
];
