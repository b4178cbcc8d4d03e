import { assertEquals } from "@std/assert";
import { Budget } from "./token_bucket.ts";

Deno.test("Budget lets a burst through, then so many a second", () => {
  const budget = new Budget(10, 3);
  assertEquals([0, 0, 0].map((now) => budget.spend(now)), [0, 0, 0]);
  assertEquals(budget.spend(0), 100);
  assertEquals(budget.spend(0), 200);
  assertEquals(budget.spend(200), 100);
  assertEquals(budget.spend(10_000), 0);
  assertEquals(budget.spend(5_000), 0, "a clock that goes back takes nothing away");
});

Deno.test("Budget.has() takes nothing", () => {
  const budget = new Budget(1, 2);
  const has = (now: number) => budget.has(now) && budget.has(now);
  assertEquals(has(0), true);
  budget.spend(0);
  budget.spend(0);
  assertEquals([has(0), has(1), has(1_000)], [false, true, true]);
});
