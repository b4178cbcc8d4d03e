/**
 * Every *.txt here is played against real processes and must come out as it is written. After a wanted change:
 * `UPDATE_SCENARIOS=1 deno task test`, and read the difference as an operator would.
 */
import { assertEquals } from "@std/assert";
import { TABLE } from "../../src/domain/ha/transitions.ts";
import { play } from "./run.ts";

/** Rows that no command line brings about at will; the tests of src/domain/ha, tests/wire and tests/sim cover them. */
const NOT_FROM_OUTSIDE = [
  "start: the record failed",
  "start: overtaken",
  "promote: overtaken",
  "promote: busy",
  "promote: starting",
  "promote: syncing",
  "promote: the record failed",
  "promote: not restored",
  "promote: changed meanwhile",
  "demote: busy",
  "demote: the record failed",
  "demote: superseded meanwhile",
  "prepare: busy",
  "prepare: another",
  "prepare: not replicating",
  "prepare: the record failed",
  "take over: busy",
  "take over: another",
  "take over: the peer is active",
  "take over: not prepared",
  "take over: overtaken",
  "take over: not restored",
  "refused",
  "promote: switchover",
  "demote: switchover",
  "switchover: another",
  "switchover: busy",
  "drill: another",
  "drill: busy",
  "repair: not replicating",
  "repair: unfit",
  "repair",
  "reconcile",
  "adopt: not active",
  "adopt: busy",
  "adopt",
  "forget",
  "release: busy",
  "release: unfit",
  "release",
  "restore: busy",
  "restore: unfit",
  "restore",
];

const folder = new URL(".", import.meta.url).pathname;
const files = [...Deno.readDirSync(folder)].map((entry) => entry.name).filter((name) => name.endsWith(".txt"))
  .sort();
const seen = new Set<string>();

for (const file of files) {
  Deno.test({
    name: `scenario ${file.replace(".txt", "")}`,
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      const expected = Deno.readTextFileSync(`${folder}/${file}`);
      const { transcript, rows } = await play(expected);
      for (const row of rows) seen.add(row);
      if (Deno.env.get("UPDATE_SCENARIOS") === "1") Deno.writeTextFileSync(`${folder}/${file}`, transcript);
      else assertEquals(transcript, expected);
    },
  });
}

Deno.test("the scenarios pass through every row of the state table", () => {
  const missing = TABLE.map((row) => row.name).filter((name) =>
    !seen.has(name) && !NOT_FROM_OUTSIDE.includes(name)
  );
  assertEquals(missing, []);
});
