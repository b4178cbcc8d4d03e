/** Mistakes about copies that another writer changes and about deletions that are requested. */
import type { Mutant } from "./mutant.ts";

const FOLLOWER = "src/domain/replication/follower.ts";
const DRIFT_REPAIR = "src/principal/replica/drift_repair.ts";

export const COPY_MUTANTS: readonly Mutant[] = [
  {
    name: "P15 drift is not looked for",
    edits: [
      { file: FOLLOWER, from: "return this.#differed >= DRIFT_HEARTBEATS;", to: "return false;" },
      {
        file: DRIFT_REPAIR,
        from: "if (drift.changed(key, before, manager, monotonicMs())) this.#look(0);",
        to: "if (drift.changed(key, before, manager, monotonicMs())) this.#look(2_000_000_000);",
      },
    ],
  },
];
