import { assertEquals } from "@std/assert";
import { FREE_FAILURES, LANE_ROOM, ROOM, Turns } from "./turns.ts";

/** Work that ends when it is told to. */
function world() {
  let nowMs = 0;
  const turns = new Turns(() => nowMs);
  const order: string[] = [];
  let end: (good: boolean) => void = () => {};
  const take = (lane: string) =>
    turns.take(lane, () => {
      order.push(lane);
      return new Promise((resolve) => end = resolve);
    });
  const finish = async (good = true) => {
    end(good);
    // The next turn begins after the promises of this one.
    for (let n = 0; n < 5; n++) await Promise.resolve();
  };
  return { turns, order, take, finish, at: (ms: number) => nowMs = ms };
}

Deno.test("each lane that waits has a turn, whatever waits on another", async () => {
  const { order, take, finish, turns } = world();
  for (let n = 0; n < LANE_ROOM; n++) take("flood");
  for (const lane of ["a", "b", "a"]) take(lane);
  for (let n = 0; n < 7; n++) await finish();
  assertEquals(order, ["flood", "flood", "a", "b", "flood", "a", "flood"]);
  turns.close();
});

Deno.test("a lane has few places, all together have a bound, and what was refused did nothing", () => {
  const { take, turns } = world();
  const taken = (lane: string) => take(lane) !== undefined;
  // The first runs at once and takes no place.
  assertEquals(
    Array.from({ length: LANE_ROOM + 3 }, () => taken("one")).filter(Boolean).length,
    LANE_ROOM + 1,
  );
  const others = Array.from({ length: ROOM }, (_, n) => taken(`lane ${n}`)).filter(Boolean).length;
  assertEquals(others, ROOM - LANE_ROOM);
  turns.close();
});

Deno.test("a lane that fails again and again waits longer and longer, and the others do not", async () => {
  const { order, take, finish, at, turns } = world();
  for (let n = 0; n <= FREE_FAILURES; n++) {
    take("guesser");
    await finish(false);
  }
  take("guesser");
  assertEquals(order.length, FREE_FAILURES + 1);
  take("other");
  assertEquals(order.at(-1), "other");
  await finish();
  at(1_000);
  take("another");
  await finish();
  assertEquals(order.slice(-2), ["guesser", "another"]);
  turns.close();
});
