import { assertEquals } from "@std/assert";
import { Newest } from "./newest.ts";

Deno.test("Newest keeps the entries that were set last, each once", () => {
  const newest = new Newest<string, number>(2);
  newest.set("a", 1).set("b", 2).set("a", 3);
  assertEquals([...newest], [["b", 2], ["a", 3]]);
  newest.set("c", 4);
  assertEquals([...newest], [["a", 3], ["c", 4]]);
});
