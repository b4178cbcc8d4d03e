import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Concern, CONCERNS, EXAMPLES, noted, present } from "./concerns.ts";

Deno.test("each concern has a sentence for one and for many, a next command and a metric of its own", () => {
  const all: Concern[] = Object.values(CONCERNS);
  for (const { label, sentence, next, unready, metric, help } of all) {
    assertMatch(sentence(1), /^1 /, label);
    assertMatch(sentence(2_000), /^2,000 /, label);
    // A fact needs nothing, and makes no side unready.
    assert(next.length > 5 || (next === "" && !unready), label);
    assert(help.length > 10, label);
    assertMatch(metric, /^argocd_agent_ha_[a-z_]+$/);
  }
  assertEquals(new Set(all.map(({ metric }) => metric)).size, all.length);
});

Deno.test("present() gives what there is in the table's order, with some of it by name", () => {
  const keys = Array.from({ length: 9 }, (_, n) => `Application/a/${n}`);
  const found = present({ differing: noted(keys), held: noted(["x: refused"], 3), losses: noted([]) });
  assertEquals(found.map(({ name, count }) => [name, count]), [["held", 3], ["differing", 9]]);
  assertEquals(found[1]?.examples.length, EXAMPLES);
});
