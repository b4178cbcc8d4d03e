import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { ChangeIndex } from "../changes/index.ts";
import { noted } from "./concerns.ts";
import { Copies, exposedLoss, type Exposure, type Progressed } from "./exposure.ts";

const ADDRESS = {
  peerAddress: "b:8443",
  concerns: {},
  peerConcerns: {},
  nowMs: Date.parse("2026-01-01T12:41:40Z"),
};

/** An ACTIVE's index and its copies; `at` is the time. */
function stage() {
  const index = new ChangeIndex("s");
  const copies = new Copies(index);
  let at = 0;
  index.onChange(() => copies.changed(at));
  return {
    copies,
    write(key: string, atMs: number) {
      at = atMs;
      index.put(key, { payload: `${atMs}`, digest: `${atMs}`.padStart(32, "0"), version: "1", now: atMs });
    },
    acked(applied: number | undefined, atMs: number, rest: Partial<Progressed> = {}) {
      copies.progressed("r", { applied, received: applied ?? 0, unwritten: 0, equalAtMs: 0, ...rest }, atMs);
    },
    index,
  };
}

Deno.test("Copies: what no replica has acknowledged is exposed, since the last time at which everything was", () => {
  const { copies, write, acked } = stage();
  assertEquals(copies.exposure(0), exposure({}));
  write("a", 10);
  write("b", 20);
  acked(2, 30);
  assertEquals(copies.exposure(40), exposure({ replicas: 1, unacknowledged: 0, heldAgoMs: 0 }));
  write("a", 50);
  write("c", 60);
  assertEquals(copies.exposure(100), exposure({ replicas: 1, unacknowledged: 2, heldAgoMs: 50 }));
  acked(3, 110);
  assertEquals(copies.exposure(120), exposure({ replicas: 1, unacknowledged: 1, heldAgoMs: 60 }));
  copies.gone("r");
  write("d", 130);
  assertEquals(copies.exposure(200), exposure({ unacknowledged: 2, heldAgoMs: 140 }));
});

Deno.test("Copies: a copy that is being compared counts for nothing, and a held key for one change and its age", () => {
  const { copies, write, acked } = stage();
  write("a", 10);
  acked(1, 20, { equalAtMs: 15 });
  acked(undefined, 30, { equalAtMs: 15 });
  assertEquals(copies.exposure(40), exposure({ replicas: 1, equalAgoMs: 25 }));
  write("held", 50);
  write("b", 60);
  acked(1, 70, { received: 3, unwritten: 1 });
  assertEquals(copies.exposure(80), exposure({ replicas: 1, unacknowledged: 1, heldAgoMs: 30 }));
});

Deno.test("Copies: of many the best counts; after a restart what was remembered; after clear() nothing", () => {
  const { copies, write, acked, index } = stage();
  write("a", 10);
  write("b", 20);
  acked(1, 30);
  copies.remembered({ replica: "old", heldAtMs: 25, equalAtMs: 25, same: true });
  assertEquals(copies.best(40)?.replica, "old");
  assertEquals(
    copies.exposure(40),
    exposure({ replicas: 1, unacknowledged: 0, heldAgoMs: 0, equalAgoMs: 15 }),
  );
  copies.clear();
  copies.remembered({ replica: "old", heldAtMs: -5_000, equalAtMs: 0, same: false });
  assertEquals(copies.exposure(1_000), exposure({ heldAgoMs: 6_000 }));
  for (let n = 0; n < 100; n++) {
    copies.progressed(`r${n}`, { applied: index.head, received: index.head, unwritten: 0, equalAtMs: 0 }, 50);
    copies.gone(`r${n}`);
  }
  copies.clear();
  assertEquals(copies.exposure(60), exposure({}));
});

Deno.test("Copies: thousands of changes later the bound is earlier than the truth, never later", () => {
  const { copies, write, acked } = stage();
  for (let n = 1; n <= 5_000; n++) write(`k${n % 50}`, n);
  for (const applied of [3, 1_000, 4_000, 4_990, 4_999]) {
    acked(applied, 6_000);
    const { heldAgoMs = Infinity } = copies.exposure(6_000);
    assert(6_000 - heldAgoMs <= applied + 1, `${applied}: ${heldAgoMs}`);
  }
  assert((copies.exposure(6_000).heldAgoMs ?? Infinity) < 1_050, "the bound is near");
});

Deno.test("Copies: a replica that was not known takes the place of one that is gone, whose store may be lost", () => {
  const { copies, write, acked } = stage();
  write("a", 10);
  acked(1, 20);
  copies.gone("r");
  assertEquals(copies.exposure(30).unacknowledged, 0);
  copies.progressed("r2", { applied: undefined, received: 0, unwritten: 0, equalAtMs: 0 }, 40);
  assertEquals(copies.exposure(50), exposure({ replicas: 1 }));
});

Deno.test("exposedLoss() says nothing only where nothing would be lost", () => {
  const say = (change: Partial<Exposure>, rest: Partial<typeof ADDRESS> = {}) =>
    exposedLoss(exposure(change), { ...ADDRESS, ...rest });
  const cases: [string, string][] = [
    [
      say({ replicas: 1, unacknowledged: 0, heldAgoMs: 0 }),
      "nothing: the replica has acknowledged every change",
    ],
    [
      say({ replicas: 1, unacknowledged: 3, heldAgoMs: 10_000 }),
      "3 changes not acknowledged by the replica, since 2026-01-01T12:41:30Z",
    ],
    [
      say({ replicas: 1 }),
      "everything that the replica does not have yet: its copy is being compared or filled",
    ],
    [
      say({}),
      "everything: no replica has had a whole copy since this side became ACTIVE (nobody replicates)",
    ],
    [say({}, { peerAddress: "" }), "everything: no peer is configured, and nobody replicates"],
    [
      say({ unacknowledged: 0, heldAgoMs: 0 }),
      "nothing so far: the last replica has acknowledged every change (nobody replicates)",
    ],
    [
      say({ unacknowledged: 1, heldAgoMs: 10_000 }),
      "everything since 2026-01-01T12:41:30Z, 1 change (nobody replicates)",
    ],
    [say({ heldAgoMs: 10_000 }), "everything since 2026-01-01T12:41:30Z (nobody replicates)"],
  ];
  for (const [said, expected] of cases) assertEquals(said, expected);
  const differing = { differing: noted(["a", "b"]) };
  assertStringIncludes(say({ replicas: 1, unacknowledged: 0 }, { peerConcerns: differing }), "2 keys");
});

function exposure(change: Partial<Exposure>): Exposure {
  return { replicas: 0, unacknowledged: undefined, heldAgoMs: undefined, equalAgoMs: undefined, ...change };
}
