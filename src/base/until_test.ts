import { assertEquals, assertRejects } from "@std/assert";
import { Emitter, until } from "./until.ts";

Deno.test("until() is woken by a change, and looks at nothing in between", async () => {
  const changes = new Emitter();
  let value = 0;
  let looks = 0;
  const waiting = until(() => ++looks > 0 && value === 2, { changed: [changes.subscribe], withinMs: 5_000 });
  for (value = 1; value < 3; value++) changes.notify();
  assertEquals([await waiting, looks], [true, 3]);
  changes.notify();
  assertEquals(looks, 3);
});

Deno.test("until() gives up at its time, when it is aborted, and when its condition throws", async () => {
  assertEquals(await until(() => false, { changed: [], withinMs: 1 }), false);
  assertEquals(await until(() => true, { changed: [], withinMs: 0 }), true);
  const aborted = AbortSignal.abort(new Error("stopped"));
  const stopped = await assertRejects(() => until(() => false, { changed: [], signal: aborted }));
  assertEquals((stopped as Error).message, "stopped");
  const failing = () => {
    throw new Error("this side is promoted");
  };
  const failed = await assertRejects(() => until(failing, { changed: [] }));
  assertEquals((failed as Error).message, "this side is promoted");
});
