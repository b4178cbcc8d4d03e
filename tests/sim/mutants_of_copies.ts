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
        from: "    this.#look(0);\n  };",
        to: "    this.#look(2_000_000_000);\n  };",
      },
    ],
  },
];
