import { assert, assertEquals } from "@std/assert";
import { seeded } from "../../../tests/support/random.ts";
import { canResume, Cursor } from "./cursor.ts";
import { ChangeIndex, type Entry } from "./index.ts";

const digest = (text: string) => {
  let n = 7;
  for (const c of text) n = (n * 31 + c.charCodeAt(0)) >>> 0;
  return n.toString(16).padStart(8, "0").repeat(4);
};
const put = (index: ChangeIndex, key: string, content: string) =>
  index.put(key, { payload: content, digest: digest(key + content), version: "1", now: 0 });
const keys = (entries: Entry[]) => entries.map((entry) => entry.key);

Deno.test("ChangeIndex.put() gives no new revision when the content is the same", () => {
  const index = new ChangeIndex("s");
  assert(put(index, "a", "1"));
  assert(!put(index, "a", "1"));
  assertEquals(index.head, 1);
  assert(put(index, "a", "2"));
  assertEquals(index.head, 2);
  assertEquals(index.size, 1);
});

Deno.test("ChangeIndex.since() yields a key that changed often once, in order of its last change", () => {
  const index = new ChangeIndex("s");
  for (const key of ["a", "b", "c"]) put(index, key, "1");
  for (let n = 0; n < 10; n++) put(index, "a", `x${n}`);
  assertEquals(keys(index.since(0, 10).entries), ["b", "c", "a"]);
  assertEquals(index.since(0, 10).position, index.head);
  assertEquals(keys(index.since(0, 2).entries), ["b", "c"]);
  assertEquals(index.countSince(0), 3);
});

Deno.test("ChangeIndex.remove() leaves a tombstone that a later put() revives", () => {
  const index = new ChangeIndex("s");
  assert(!index.remove("a", "1", 0));
  put(index, "a", "1");
  assert(index.remove("a", "2", 0));
  assert(!index.remove("a", "3", 0));
  assertEquals(index.since(1, 9).entries[0]?.deleted, true);
  assertEquals(index.size, 0);
  put(index, "a", "1");
  assertEquals([index.size, index.get("a")?.deleted, index.head], [1, false, 3]);
});

Deno.test("ChangeIndex forgets old tombstones, and canResume() refuses positions before them", () => {
  const index = new ChangeIndex("s", { maxTombstones: 2 });
  for (const key of ["a", "b", "c", "d"]) put(index, key, "1");
  for (const key of ["a", "b", "c"]) index.remove(key, "2", 0);
  assertEquals(index.get("a"), undefined);
  assertEquals(index.floor, 5);
  assert(!canResume(index, { session: "s", revision: 4 }));
  assert(canResume(index, { session: "s", revision: 5 }));
  assert(!canResume(index, { session: "other", revision: 5 }));
  assert(!canResume(index, { session: "s", revision: 99 }));
});

Deno.test("Cursor.read() with a filter moves past keys that it does not take", () => {
  const index = new ChangeIndex("s");
  for (const key of ["a1", "b1", "a2", "b2"]) put(index, key, "1");
  const cursor = new Cursor(index, 0, (entry) => entry.key.startsWith("a"));
  assertEquals(keys(cursor.read(1)), ["a1"]);
  assertEquals(keys(cursor.read(9)), ["a2"]);
  assertEquals(cursor.revision, index.head);
  assertEquals(cursor.read(9), []);
});

Deno.test("DigestTable: equal contents have equal tables in whatever order they came, by seed", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seeded(seed);
    const [a, b] = [new ChangeIndex("a"), new ChangeIndex("b")];
    const truth = new Map<string, string>();
    for (let n = 0; n < 300; n++) {
      const key = `k${random.int(40)}`;
      if (random.chance(0.3)) {
        a.remove(key, "", 0);
        truth.delete(key);
      } else {
        const content = String(random.int(5));
        put(a, key, content);
        truth.set(key, content);
      }
    }
    for (const [key, content] of [...truth].reverse()) put(b, key, content);
    assertEquals(a.digests.root(), b.digests.root());
    assertEquals(a.digests.differing(b.digests.toBytes()), []);
    put(b, "one more", "1");
    assertEquals(a.digests.differing(b.digests.toBytes()).length, 1);
  }
});

/** Any interleaving of writes, reads, acks and reconnects: the consumer ends with the index's state. */
Deno.test("index and cursor bring a consumer to the store's state, never back in time, in bounded memory, by seed", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed);
    const index = new ChangeIndex("s", { maxTombstones: 1_000 });
    const truth = new Map<string, number>();
    const consumer = new Map<string, number>();
    const seen = new Map<string, number>();
    let cursor = new Cursor(index, 0);
    let acknowledged = 0;
    let unacknowledged: Entry[] = [];
    const take = (entry: Entry) => {
      assert((seen.get(entry.key) ?? 0) <= entry.revision, `seed ${seed}: ${entry.key} went back in time`);
      seen.set(entry.key, entry.revision);
      if (entry.deleted) consumer.delete(entry.key);
      else consumer.set(entry.key, Number(entry.payload));
    };
    for (let n = 0; n < 400; n++) {
      const key = `k${random.int(25)}`;
      const dice = random.int(10);
      if (dice < 5) {
        truth.set(key, n);
        put(index, key, String(n));
      } else if (dice < 6) {
        truth.delete(key);
        index.remove(key, "", 0);
      } else if (dice < 8) {
        unacknowledged.push(...cursor.read(1 + random.int(5)));
      } else if (dice < 9) {
        unacknowledged.forEach(take);
        unacknowledged = [];
        acknowledged = cursor.revision;
      } else {
        unacknowledged = [];
        cursor = new Cursor(index, acknowledged);
      }
      assert(index.logLength <= 2 * 25 + 1024 + 1, `seed ${seed}: the log is ${index.logLength} long`);
    }
    [...unacknowledged, ...cursor.read(1_000)].forEach(take);
    assertEquals([...consumer].sort(), [...truth].sort(), `seed ${seed}`);
  }
});

Deno.test("the log stays within twice the keys plus a constant when few keys change very often", () => {
  const index = new ChangeIndex("s");
  for (let n = 0; n < 50_000; n++) put(index, `k${n % 3}`, String(n));
  assert(index.logLength <= 2 * 3 + 1024 + 1);
  assertEquals(index.countSince(0), 3);
});

Deno.test("ChangeIndex: a copy that is being deleted differs from the leader's, an active's own object does not", () => {
  const [active, replica] = [new ChangeIndex("a"), new ChangeIndex("b")];
  const state = { payload: "p", digest: "0123456789abcdef0123456789abcdef", version: "1", now: 0 };
  const requested = { ...state, deletionRequested: "2026-01-01T00:00:00Z" };
  active.put("k", { ...requested, local: "x", terminating: true });
  replica.standby = true;
  replica.put("k", requested);
  assertEquals(active.digests.root(), replica.digests.root());
  assertEquals(replica.requested().map(({ key }) => key), ["k"]);
  replica.put("k", { ...requested, local: "x", terminating: true });
  assert(active.digests.root() !== replica.digests.root());
  assertEquals(replica.terminating().map(({ key }) => key), ["k"]);
  active.standby = true;
  assertEquals(active.digests.root(), replica.digests.root(), "of a former active too");
  active.standby = false;
  replica.put("k", requested);
  assertEquals(active.digests.root(), replica.digests.root());
  replica.put("k", { ...state, payload: "q" });
  assertEquals([replica.requested(), replica.terminating()], [[], []]);
});

Deno.test("an entry knows when more than its status was changed", () => {
  const index = new ChangeIndex("s");
  const put = (payload: string, now: number) => {
    index.put("Application/a/x", { payload, digest: `${now}`.padStart(32, "0"), version: `${now}`, now });
    return index.get("Application/a/x")?.contentAt;
  };
  assertEquals(put('{"spec":{"n":1}}', 10), 10);
  assertEquals(put('{"spec":{"n":1},"status":{"s":"a"}}', 20), 10);
  assertEquals(put('{"spec":{"n":1},"status":{"s":"bcd"}}', 30), 10);
  assertEquals(index.get("Application/a/x")?.changedAt, 30);
  assertEquals(put('{"spec":{"n":2},"status":{"s":"bcd"}}', 40), 40);
  assertEquals(put('{"spec":{"a":{},"status":{"n":2}},"status":{"s":"bcd"}}', 50), 50);
  assertEquals(put('{"spec":{"a":{},"status":{"n":3}},"status":{"s":"bcd"}}', 60), 60);
  assertEquals(put('{"spec":{"a":{},"status":{"n":3}},"status":{"s":"c"}}', 70), 60);
});

Deno.test("a large payload reads as it was put: its repetition changes nothing, a status counts as one, a standby keeps it", () => {
  const large = (spec: string, status: string) =>
    `{"kind":"Application","spec":"${spec.repeat(60_000)}","status":{"health":"${status}"}}`;
  const index = new ChangeIndex("s");
  const put = (payload: string, digest: string, now: number, terminating = false) =>
    index.put("k", { payload, digest: digest.repeat(32), version: `${now}`, now, terminating });
  assertEquals(put(large("a", "Healthy"), "1", 1), true);
  assertEquals(put(large("a", "Healthy"), "1", 2), false);
  assertEquals(index.get("k")?.version, "2");
  assertEquals(put(large("a", "Degraded"), "2", 3), true);
  assertEquals([index.get("k")?.contentAt, index.get("k")?.changedAt], [1, 3]);
  assertEquals(put(large("b", "Degraded"), "3", 4, true), true);
  assertEquals(index.get("k")?.contentAt, 4);
  index.standby = true;
  const [entry] = index.since(0, 10).entries;
  assertEquals(entry?.digest, "c".repeat(32));
  assert(entry?.payload === large("b", "Degraded") && entry.size === entry.payload.length);
  assertEquals(index.remove("k", "5", 5), true);
  assertEquals([index.get("k")?.payload, index.get("k")?.size], ["", 0]);
});
