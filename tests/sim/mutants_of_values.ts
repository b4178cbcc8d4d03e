/** Mistakes by which a value does not arrive as it was. */
import { type Mutant, mutant } from "./mutant.ts";

export const VALUE_MUTANTS: readonly Mutant[] = [
  mutant(
    "a replica takes numbers for doubles",
    "src/domain/resources/validate.ts",
    "value = parseForeign(json);",
    "value = JSON.parse(json);",
  ),
  mutant(
    "the word of agents takes numbers for doubles",
    "src/domain/agents/inbound.ts",
    "return parseForeign(new TextDecoder",
    "return JSON.parse(new TextDecoder",
    ["agent writes"],
  ),
  mutant(
    "the store takes numbers for doubles",
    "src/adapters/store/sqlite_rows.ts",
    "const object = parseStored(row.body) as StoredObject;",
    "const object = JSON.parse(row.body) as StoredObject;",
  ),
  mutant(
    "the answer to a write is not compared with what was sent",
    "src/principal/replica/change_writer.ts",
    'if (altered) throw new StoreError("invalid", altered);',
    "if (altered === undefined) return;",
    ["older definitions"],
  ),
];
