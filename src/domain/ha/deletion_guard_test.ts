import { assert, assertEquals } from "@std/assert";
import { seeded } from "../../../tests/support/random.ts";
import {
  type DeletionCause,
  DeletionGuard,
  GATHER_MS,
  type GuardPolicy,
  SETTLE_MS,
} from "./deletion_guard.ts";

const POLICY: GuardPolicy = { mode: "transitions", count: 10, percent: 20, windowMs: 900_000 };
const keys = (many: number, from = 0) => Array.from({ length: many }, (_, n) => `k${from + n}`);

/** Each row: the policy, the cause, the time since the transition, how many of how many; what goes at once, in the end, or waits. */
const ROWS: [Partial<GuardPolicy>, DeletionCause, number, number, number, "at once" | "later" | "held"][] = [
  [{}, "tombstone", 900_000, 500, 500, "at once"],
  [{}, "tombstone", 899_999, 10, 10, "later"],
  [{}, "tombstone", 0, 11, 11, "held"],
  [{}, "tombstone", 0, 11, 54, "held"],
  [{}, "tombstone", 0, 11, 55, "later"],
  [{}, "tombstone", 0, 500, 2_500, "later"],
  [{}, "tombstone", 0, 501, 2_500, "held"],
  [{}, "absence", 10_000_000, 10, 10, "later"],
  [{}, "absence", 10_000_000, 11, 11, "held"],
  [{ mode: "always" }, "tombstone", 10_000_000, 11, 11, "held"],
  [{ mode: "always" }, "tombstone", 10_000_000, 3, 100, "later"],
  [{ mode: "off" }, "tombstone", 0, 500, 500, "at once"],
  [{ mode: "off" }, "absence", 0, 500, 500, "at once"],
  [{ count: 2, percent: 50 }, "absence", 0, 3, 6, "later"],
  [{ count: 2, percent: 50 }, "absence", 0, 4, 6, "held"],
  [{ count: 0, percent: 0 }, "absence", 0, 1, 1_000, "held"],
];

Deno.test("DeletionGuard holds more than so many that are more than such a share, after a transition or from absence", () => {
  for (const [policy, cause, afterMs, many, of, expected] of ROWS) {
    const name = JSON.stringify([policy, cause, afterMs, many, of]);
    const guard = new DeletionGuard({ ...POLICY, ...policy }, 0);
    const gone = keys(many).filter((key) => guard.ask(key, cause, afterMs));
    assertEquals(gone.length, expected === "at once" ? many : 0, name);
    const { released, held } = guard.judge(of, afterMs + SETTLE_MS);
    assertEquals([released.length, held.length], [
      expected === "later" ? many : 0,
      expected === "held" ? many : 0,
    ], name);
    assertEquals(guard.heldCount, guard.held().length, name);
  }
});

Deno.test("DeletionGuard judges a batch when none has followed for a moment, and at the latest after a while", () => {
  const guard = new DeletionGuard(POLICY, 0);
  assert(!guard.due(0));
  guard.ask("a", "absence", 0);
  assert(!guard.due(SETTLE_MS - 1) && guard.due(SETTLE_MS));
  for (let at = 0; at < GATHER_MS; at += 100) guard.ask(`k${at}`, "absence", at);
  assert(!guard.due(GATHER_MS - 1) && guard.due(GATHER_MS));
});

Deno.test("DeletionGuard counts what passed lately and what is held already: a mass deletion does not pass in parts", () => {
  const guard = new DeletionGuard(POLICY, 0);
  for (const key of keys(10)) guard.ask(key, "tombstone", 0);
  assertEquals(guard.judge(30, 500).released.length, 10);
  for (const key of keys(10)) guard.forget(key);
  guard.ask("one more", "tombstone", 1_000);
  assertEquals(guard.judge(20, 1_500).held, ["one more"]);
  guard.ask("and one", "absence", 2_000);
  assertEquals(guard.judge(20, 2_500).held, ["and one"]);
  const later = 500 + POLICY.windowMs;
  assertEquals(guard.release(["one more", "and one"]).length, 2);
  guard.ask("long after", "absence", later);
  assertEquals(guard.judge(20, later + 500).released, ["long after"], "what has passed is long ago");
});

Deno.test("DeletionGuard lets a held deletion go only by release, keeps it over retries, and forgets what came back", () => {
  const guard = new DeletionGuard(POLICY, 0);
  for (const key of keys(20)) guard.ask(key, "absence", 7);
  guard.judge(20, 600);
  assert(!guard.ask("k0", "tombstone", 10_000_000), "held whatever is asked later");
  assertEquals(guard.held()[0], { key: "k0", cause: "absence", sinceMs: 7 });
  assertEquals(guard.release(["k0", "unknown"]), ["k0"]);
  assert(guard.ask("k0", "absence", 700) && guard.ask("k0", "absence", 800), "a retry of what was released");
  guard.forget("k0");
  assert(!guard.ask("k0", "absence", 900), "another deletion is asked for once more");
  guard.prune((key) => key === "k5");
  assertEquals([guard.size, guard.heldCount], [1, 1]);
  guard.comparing();
  guard.ask("k6", "absence", 1_000);
  guard.compared();
  assertEquals([guard.size, guard.heldCount], [1, 0], "the comparison does not name k5 any more");
});

Deno.test("DeletionGuard holds whatever is concluded from absence while this side is unproven, also where it is off", () => {
  for (const mode of ["transitions", "always", "off"] as const) {
    const guard = new DeletionGuard({ ...POLICY, mode }, 0, () => true);
    assert(!guard.ask("a", "absence", 10_000_000));
    assertEquals(guard.judge(1_000, 10_000_500).held, ["a"]);
  }
  const off = new DeletionGuard({ ...POLICY, mode: "off" }, 0, () => true);
  assert(off.ask("a", "tombstone", 0));
});

/** Whatever comes in whatever order: within a window no more passes than the thresholds allow, and the counts are right. */
Deno.test("DeletionGuard: within a window never more than the thresholds pass without an operator, by seed", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seeded(seed);
    const policy = { ...POLICY, count: 1 + random.int(5), percent: random.int(60) };
    const guard = new DeletionGuard(policy, 0);
    const all = 5 + random.int(60);
    let has = all;
    const asked = new Set<string>();
    let passed = 0;
    for (let now = 0; now < policy.windowMs; now += random.int(20_000)) {
      for (const key of keys(random.int(8), random.int(60))) {
        if (guard.ask(key, random.pick(["tombstone", "absence"] as const), now)) assert(asked.has(key));
        asked.add(key);
      }
      if (random.chance(0.2)) guard.prune(() => !random.chance(0.3));
      if (!guard.due(now + SETTLE_MS)) continue;
      const { released } = guard.judge(has, now + SETTLE_MS);
      passed += released.length;
      has = Math.max(0, has - released.length);
      for (const key of released) guard.forget(key);
      assert(
        passed <= policy.count || passed * 100 <= policy.percent * (has + passed),
        `seed ${seed}: ${passed} of ${all} passed with ${JSON.stringify(policy)}`,
      );
      assertEquals(guard.heldCount, guard.held().length, `seed ${seed}`);
    }
  }
});
