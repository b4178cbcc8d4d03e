import { assertEquals } from "@std/assert";
import { drillPassed, drillText, isKept, lastPassedDrillMs } from "./drill.ts";

const well = { agent: "edge-1", missingTotal: 0, problems: [], again: { deleted: 0, madeAnew: 0 } };
const entry = (atMs: number, text: string, what = "outcome of drill") => ({ atMs, what, text });

Deno.test("drillPassed() allows nothing missing, no problem, and nothing deleted or recreated at the agent", () => {
  assertEquals(drillPassed(well), true);
  for (
    const ill of [
      { missingTotal: 1 },
      { problems: ["one"] },
      { again: { deleted: 1, madeAnew: 0 } },
      { again: { deleted: 0, madeAnew: 1 } },
    ]
  ) {
    assertEquals(drillPassed({ ...well, ...ill }), false);
    assertEquals(drillText({ ...well, ...ill }).startsWith('failed: agent "edge-1" was played; '), true);
  }
});

Deno.test("lastPassedDrillMs() finds the last drill that passed, whatever else the history has", () => {
  const passed = drillText(well);
  const failed = drillText({ ...well, missingTotal: 3 });
  assertEquals(lastPassedDrillMs([]), 0);
  assertEquals(lastPassedDrillMs([entry(1, failed), entry(2, passed, "promoted")]), 0);
  assertEquals(lastPassedDrillMs([entry(1, passed), entry(2, passed), entry(3, failed)]), 2);
});

Deno.test("isKept() lets the same outcome into the history once an hour, and another one at once", () => {
  const [passed, failed] = [drillText(well), drillText({ ...well, missingTotal: 3 })];
  const chain = [entry(1_000, passed), entry(2_000, "asked for: ha promote", "promote")];
  assertEquals(isKept([], passed, 1_000), false);
  assertEquals(isKept(chain, passed, 3_600_999), true);
  assertEquals(isKept(chain, passed, 3_601_000), false);
  assertEquals(isKept(chain, failed, 3_000), false);
});
