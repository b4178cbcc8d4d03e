import { assertEquals } from "@std/assert";
import { copyOf, isOlder, MAX_MARKS } from "./store_history.ts";

Deno.test("isOlder() where a later start has a lower version, or the start that was heard of is not known any more", () => {
  const a = { mark: "a", version: 10 };
  const b = { mark: "b", version: 50 };
  const cases: [Parameters<typeof isOlder>, boolean][] = [
    [[[a, b], undefined], false],
    [[[], { mark: "a", version: 70 }], false],
    [[[a], { mark: "a", version: 70 }], false],
    [[[a, b], { mark: "b", version: 70 }], false],
    [[[a, b], { mark: "a", version: 49 }], false],
    [[[a, b], { mark: "a", version: 70 }], true],
    [[[a, b], { mark: "c", version: 70 }], true],
  ];
  for (const [args, older] of cases) assertEquals(isOlder(...args), older, JSON.stringify(args));
});

Deno.test("isOlder() takes a start that left a full list for an old one", () => {
  const marks = Array.from({ length: MAX_MARKS }, (_, n) => ({ mark: `s${n}`, version: 100 + n }));
  assertEquals(isOlder(marks, { mark: "gone", version: 99 }), false);
  assertEquals(isOlder(marks, { mark: "gone", version: 100 }), true);
});

Deno.test("copyOf() is after the mark that was heard of, or else after the last one before it was last heard of", () => {
  const marks = [{ mark: "a", version: 1, atMs: 10 }, { mark: "b", version: 5, atMs: 20 }, {
    mark: "c",
    version: 6,
    atMs: 90,
  }];
  const cases: [Parameters<typeof copyOf>[1], ReturnType<typeof copyOf>][] = [
    [{ mark: "a", version: 9, atMs: 50 }, { fromMs: 10, untilMs: 50 }],
    [{ mark: "gone", version: 9, atMs: 50 }, { fromMs: 20, untilMs: 50 }],
    [{ mark: "gone", version: 9, atMs: 5 }, { fromMs: 0, untilMs: 5 }],
    [{ mark: "gone", version: 9 }, { fromMs: 0, untilMs: 0 }],
    [undefined, { fromMs: 0, untilMs: 0 }],
  ];
  for (const [seen, copy] of cases) assertEquals(copyOf(marks, seen), copy);
});
