/** Mistakes about stores that are empty, restored, or hold another data set than the leader's. */
import { type Mutant, mutant } from "./mutant.ts";

export const EMPTINESS_MUTANTS: readonly Mutant[] = [
  mutant(
    "nobody asks whose data a store holds",
    "src/domain/ha/lineage.ts",
    'return memory.lineage === "" || theirs === "" ? !memory.complete : memory.lineage !== theirs;',
    "return false;",
    ["data first", "erase"],
  ),
  mutant(
    "what never was the leader's is deleted with the rest",
    "src/principal/replica/change_writer.ts",
    "return await (foreign || this.foreign.has(key) ? this.#keepForeign(key) : this.#delete(change));",
    "return await this.#delete(change);",
    ["data first", "erase"],
  ),
  mutant(
    "a principal that remembers nothing serves when its peer is silent",
    "src/domain/ha/transitions.ts",
    "when: [G.starting, G.silent, not(G.remembers)],",
    "when: [G.starting, G.silent, not(G.remembers), not(G.hasPeer)],",
    ["erase", "kill both"],
  ),
  mutant(
    "an ACTIVE serves what is kept as foreign",
    "src/principal/core/feed.ts",
    "const excluded = this.excluded.has(key);",
    "const excluded = this.excluded.has(key) && this.index.standby;",
    ["data first", "promote", "disk", "kill"],
  ),
  mutant(
    "what is kept as foreign is forgotten by a restart",
    "src/principal/core/foreign_objects.ts",
    'for (const key of String(text ?? "").split("\\n").filter(Boolean)) this.#keys.add(key);',
    "if (text) continue;",
    ["data first", "kill"],
  ),
  mutant(
    "a leader's restored store passes for whole",
    "src/principal/core/peer_store.ts",
    "const older = isOlder(marks, this.#seen);",
    "const older = isOlder(marks, undefined);",
    ["roll back"],
  ),
  mutant(
    "how far the peer's store was is forgotten by a restart",
    "src/principal/core/peer_store.ts",
    'if (typeof mark === "string" && mark !== "") {',
    "if (mark === version) {",
    ["roll back", "kill"],
  ),
  mutant(
    "any restart of the leader counts as a restored store",
    "src/domain/ha/store_history.ts",
    "return next !== undefined && next.version <= seen.version;",
    "return next !== undefined;",
    ["kill"],
  ),
  mutant(
    "a restored leader's store counts as known before this copy is complete",
    "src/principal/core/peer_store.ts",
    "if (point && this.#older) this.#older = point;",
    "if (point && this.#older) this.#take(point);",
    ["restore", "cut", "disk"],
  ),
];
