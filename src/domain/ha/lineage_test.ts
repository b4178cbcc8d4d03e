import { assertEquals } from "@std/assert";
import { memory, peer } from "../../../tests/support/models.ts";
import { holdsForeignData } from "./lineage.ts";

Deno.test("holdsForeignData() where the data sets have different names, or nothing complete was ever held", () => {
  const cases: [own: string, complete: boolean, leader: string | undefined, foreign: boolean][] = [
    ["l", true, "l", false],
    ["l", false, "l", false],
    ["l", true, "m", true],
    ["", false, "l", true],
    // Of the release before, which named none.
    ["", true, "l", false],
    ["l", true, "", false],
    // A Go principal.
    ["l", true, undefined, false],
    ["", false, undefined, true],
  ];
  for (const [lineage, complete, theirs, foreign] of cases) {
    const leader = theirs === undefined ? undefined : peer({ lineage: theirs });
    assertEquals(holdsForeignData(memory({ lineage, complete }), leader), foreign, `${lineage} ${theirs}`);
  }
});
