import { assert, assertEquals } from "@std/assert";
import { seeded } from "../../../tests/support/random.ts";
import { Applier, type IncomingChange } from "./applier.ts";
import { delayMs, REDIAL } from "../../base/backoff.ts";

const change = (sequence: number, key: string): IncomingChange => ({
  sequence,
  key,
  object: "{}",
  changedAt: 0,
});

Deno.test("Applier.applied never passes a change that is not durable", () => {
  const applier = new Applier();
  applier.offer([change(1, "a"), change(2, "b"), change(3, "c")]);
  const [a, b, c] = applier.take(9, 0) as [IncomingChange, IncomingChange, IncomingChange];
  applier.succeeded(c);
  applier.succeeded(b);
  assertEquals(applier.applied, 0);
  applier.succeeded(a);
  assertEquals([applier.applied, applier.processed, applier.pending], [3, 3, 0]);
});

Deno.test("Applier holds a failed key, goes on with others, and tries it again when its time comes", () => {
  const applier = new Applier();
  applier.offer([change(1, "bad"), change(2, "good")]);
  const [bad, good] = applier.take(9, 0) as [IncomingChange, IncomingChange];
  applier.failed(bad, "namespace missing", 1_000, 0.5);
  applier.succeeded(good);
  assertEquals([applier.applied, applier.processed, applier.heldCount], [0, 2, 1]);
  assertEquals(applier.held(5).map(({ key, reason }) => [key, reason]), [["bad", "namespace missing"]]);
  assertEquals(applier.take(9, 1_001), []);
  assertEquals(applier.take(9, 1_500), [bad]);
  applier.failed(bad, "namespace missing", 2_000, 0);
  assertEquals(applier.held(5)[0]?.retryAt, 2_500);
  applier.succeeded(applier.take(9, 3_000)[0] as IncomingChange);
  assertEquals([applier.applied, applier.heldCount], [2, 0]);
});

Deno.test("Applier.offer() replaces a waiting or held state by a later one", () => {
  const applier = new Applier();
  applier.offer([change(1, "a")]);
  const [first] = applier.take(1, 0) as [IncomingChange];
  applier.offer([change(2, "a"), change(3, "a")]);
  assertEquals(applier.take(9, 0), []);
  applier.failed(first, "no", 0, 0);
  assertEquals(applier.heldCount, 0);
  const [latest] = applier.take(9, 0) as [IncomingChange];
  assertEquals(latest.sequence, 3);
  applier.succeeded(latest);
  assertEquals(applier.applied, 3);
});

/** Acknowledged means durable, no older over newer, and the bound, for any order of answers and failures. */
Deno.test("Applier: any order of answers keeps order per key, honest acknowledgements and bounded memory, by seed", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seeded(seed);
    const applier = new Applier();
    const durable = new Map<string, number>();
    const latest = new Map<string, number>();
    const flying: IncomingChange[] = [];
    let sequence = 0;
    let now = 0;
    const answer = (fail: boolean) => {
      const [one] = flying.splice(random.int(flying.length), 1) as [IncomingChange];
      if (fail) applier.failed(one, "no", now, random.next());
      else {
        assert((durable.get(one.key) ?? 0) < one.sequence, `seed ${seed}: older over newer`);
        durable.set(one.key, one.sequence);
        applier.succeeded(one);
      }
    };
    const check = () => {
      for (const [key, last] of latest) {
        const reached = durable.get(key) ?? 0;
        assert(
          applier.applied < last || reached >= last,
          `seed ${seed}: acknowledged ${key} before it was durable`,
        );
      }
      assert(applier.pending <= 12);
      assert(applier.processed >= applier.applied);
    };
    for (let n = 0; n < 300; n++) {
      now += random.int(200);
      const dice = random.int(4);
      if (dice === 0) {
        const key = `k${random.int(12)}`;
        latest.set(key, ++sequence);
        applier.offer([change(sequence, key)]);
      } else if (dice === 1) {
        for (const one of applier.take(random.int(4), now)) {
          assert(!flying.some((other) => other.key === one.key), `seed ${seed}: two writes of one key`);
          flying.push(one);
        }
      } else if (flying.length > 0) answer(random.chance(0.3));
      check();
    }
    for (let n = 0; applier.applied < sequence; n++) {
      assert(n < 10_000, `seed ${seed}: never drains`);
      now += 60_000;
      flying.push(...applier.take(9, now));
      if (flying.length > 0) answer(false);
    }
    assertEquals([...durable].sort(), [...latest].sort());
    assertEquals([applier.pending, applier.inFlight, applier.heldCount], [0, 0, 0]);
  }
});

Deno.test("delayMs() grows by the factor up to the maximum and never falls below half", () => {
  assertEquals([1, 2, 3].map((n) => delayMs(REDIAL, n, 1)), [1_000, 1_500, 2_250]);
  assertEquals(delayMs(REDIAL, 1, 0), 500);
  assertEquals(delayMs(REDIAL, 5_000, 1), 30_000);
});

/** A gate that holds back every deletion. */
function closedGate() {
  const forgotten: string[] = [];
  return { forgotten, mayDelete: () => false, forget: (key: string) => forgotten.push(key) };
}

Deno.test("Applier keeps a deletion that must wait from its key alone, and does not call it held before that is decided", () => {
  const gate = closedGate();
  const applier = new Applier(0, undefined, gate);
  applier.offer([{ sequence: 1, key: "gone", changedAt: 0 }, change(2, "good")]);
  assertEquals(applier.take(9, 0).map(({ key }) => key), ["good"]);
  assertEquals([applier.undecided, applier.heldCount, applier.processed, applier.applied], [1, 0, 1, 0]);
  applier.decide("gone", "many at once");
  assertEquals([applier.undecided, applier.heldCount, applier.guardedCount], [0, 1, 1]);
  assertEquals(applier.held(9), [{ key: "gone", reason: "many at once", retryAt: Infinity }]);
  assertEquals(applier.take(9, 1e12), [], "no timer lets it go");
  applier.decide("gone", undefined);
  const [deletion] = applier.take(9, 0) as [IncomingChange];
  applier.succeeded(deletion);
  assertEquals([applier.heldCount, gate.forgotten], [0, ["good", "gone"]]);
});

Deno.test("Applier writes what follows on a deletion that waits, and never the state before it over it", () => {
  const gate = closedGate();
  const applier = new Applier(0, undefined, gate);
  applier.offer([change(1, "a")]);
  const [first] = applier.take(1, 0) as [IncomingChange];
  applier.offer([{ sequence: 2, key: "a", changedAt: 0 }]);
  assertEquals(applier.processed, 0, "the write in flight counts");
  applier.failed(first, "no", 0, 0);
  assertEquals([applier.take(9, 1e9), applier.undecided], [[], 1]);
  applier.decide("a", "many at once");
  applier.offer([change(3, "a")]);
  const [latest] = applier.take(9, 0) as [IncomingChange];
  assertEquals([latest.sequence, applier.heldCount, applier.undecided], [3, 0, 0]);
  applier.succeeded(latest);
  assertEquals(applier.applied, 3);
});
