import { assertEquals } from "@std/assert";
import { hasCaughtUp, SETTLED_MS } from "./caught_up.ts";

Deno.test("hasCaughtUp() needs both an equal copy and the time in which a late watch tells of own writes", () => {
  assertEquals(
    [
      { answeredForMs: SETTLED_MS, same: true },
      { answeredForMs: SETTLED_MS + 1, same: false },
      { answeredForMs: SETTLED_MS + 1, same: true },
    ].map(hasCaughtUp),
    [false, false, true],
  );
});
