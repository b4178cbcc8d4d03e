import { assertEquals } from "@std/assert";
import { SaidOnce } from "./said_once.ts";

const HOUR = 3_600_000;

Deno.test("SaidOnce names each subject once and again after an hour, with the repeats that were left out", () => {
  const lines = new SaidOnce();
  assertEquals(lines.due("a", 0), {});
  for (let ms = 1; ms <= 50; ms++) assertEquals(lines.due("a", ms), undefined);
  assertEquals(lines.due("b", 60), {}, "another subject");
  assertEquals(lines.due("a", HOUR - 1), undefined);
  assertEquals(lines.due("a", HOUR), { repeats: 51 });
  assertEquals(lines.due("a", HOUR + 1), undefined);
});

Deno.test("SaidOnce says ten lines at once and one a second, whatever subjects are made up, and counts the others", () => {
  const lines = new SaidOnce();
  const said = (from: number, at: number) =>
    Array.from({ length: 1_000 }, (_, i) => lines.due(`s${from + i}`, at)).filter((line) =>
      line !== undefined
    );
  assertEquals(said(0, 5).length, 10);
  assertEquals(said(5_000, 1_005), [{ others: 990 }]);
  assertEquals(said(9_000, 3_600_005).length, 10, "an hour later there is a burst again");
});
