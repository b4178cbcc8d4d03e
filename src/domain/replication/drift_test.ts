import { assertEquals } from "@std/assert";
import { digestOf } from "../changes/content.ts";
import { ChangeIndex, type Entry } from "../changes/index.ts";
import { Drift } from "./drift.ts";

const KEY = "Application/edge-1/app";

class Copy {
  readonly index = new ChangeIndex("here");
  readonly drift = new Drift(this.index);
  now = 0;
  #version = 100;

  /** The watch tells a state; whether it is drift. */
  tell(payload: string, version = ++this.#version, terminating = false): boolean {
    const before = this.index.get(KEY);
    const state = { payload, digest: digestOf(KEY, payload), version: `${version}`, now: 0, terminating };
    return this.#told(before, this.index.put(KEY, { ...state, local: terminating ? "x" : "" }));
  }

  gone(version = ++this.#version): boolean {
    const before = this.index.get(KEY);
    return this.#told(before, this.index.remove(KEY, `${version}`, 0));
  }

  #told(before: Entry | undefined, changed: boolean): boolean {
    return changed && this.drift.changed(KEY, before, "kubectl", this.now);
  }

  due(): number {
    return this.drift.due(this.now, 10, 0).length;
  }
}

const copyOf = (payload: string) => {
  const copy = new Copy();
  copy.drift.writing(KEY);
  copy.drift.wrote(KEY, { version: "50", payload }, 0);
  assertEquals(copy.tell(payload, 50), false);
  return copy;
};

Deno.test("Drift: what replication wrote is no drift, however late or early the watch tells", () => {
  const copy = copyOf("1");
  copy.drift.writing(KEY);
  copy.tell("2", 60);
  copy.drift.wrote(KEY, { version: "60", payload: "2" }, 0);
  assertEquals(copy.drift.size, 0, "told before the answer");
  copy.drift.writing(KEY);
  copy.tell("3 without status", 61);
  copy.drift.wrote(KEY, { version: "62", payload: "3" }, 0);
  assertEquals(copy.tell("3", 62), false, "a write in two steps");
  copy.drift.writing(KEY);
  copy.drift.wrote(KEY, { version: "", payload: undefined }, 0);
  assertEquals(copy.gone(63), false, "a deletion");
  assertEquals(copy.drift.size, 0);
});

Deno.test("Drift: each change of another writer is known with the state before, until the leader's is back", () => {
  const copy = copyOf("1");
  assertEquals(copy.tell("edited"), true);
  assertEquals(copy.tell("edited again"), true);
  const drifted = { key: KEY, payload: "1", change: "changed", manager: "kubectl", repairs: 0, dueMs: 0 };
  assertEquals(copy.drift.copies, [drifted as never]);
  assertEquals(copy.gone(), true);
  assertEquals(copy.drift.copies.map(({ change, payload }) => [change, payload]), [["deleted", "1"]]);
  assertEquals(copy.due(), 1);
  assertEquals(copy.due(), 0, "one request at a time");
  copy.drift.writing(KEY);
  copy.drift.wrote(KEY, { version: "900", payload: "1" }, 0);
  assertEquals(copy.drift.size, 0);
  assertEquals(copy.tell("1", 900), false);
  assertEquals(copy.tell("1", 901, true), true, "being deleted, with the same content");
  assertEquals(copy.drift.copies[0]?.change, "being deleted");
  assertEquals(copy.tell("1", 902), false, "it is as it was");
  assertEquals(copy.drift.size, 0);
});

Deno.test("Drift: a change between a write and its answer, or after it, is found", () => {
  const copy = copyOf("1");
  copy.drift.writing(KEY);
  copy.tell("edited", 70);
  copy.drift.wrote(KEY, { version: "69", payload: "2" }, 0);
  assertEquals(copy.drift.copies.map(({ payload }) => payload), ["2"]);
  const failed = copyOf("1");
  failed.drift.writing(KEY);
  failed.gone(70);
  failed.drift.failed(KEY, { payload: "2", mayBeDone: false }, 0);
  assertEquals(failed.drift.copies.map(({ payload, change }) => [payload, change]), [["1", "deleted"]]);
});

/** Replication writes this state, and no answer comes. */
function unanswered({ drift }: Copy, payload: string | undefined): void {
  drift.writing(KEY);
  drift.failed(KEY, { payload, mayBeDone: true }, 0);
}

Deno.test("Drift: a write without an answer is the leader's when the store shows it", () => {
  const created = new Copy();
  unanswered(created, "1");
  assertEquals(created.tell("1"), false, "a creation");
  assertEquals(created.drift.size, 0);
  assertEquals(created.tell("edited"), true);
  assertEquals(created.drift.copies.map(({ payload, change }) => [payload, change]), [["1", "changed"]]);

  const changed = copyOf("1");
  unanswered(changed, "2");
  assertEquals(changed.tell("2"), false, "a change");
  assertEquals(changed.drift.size, 0);

  const deleted = copyOf("1");
  unanswered(deleted, undefined);
  assertEquals(deleted.gone(), false, "a deletion");
  assertEquals(deleted.drift.size, 0);

  const early = copyOf("1");
  early.drift.writing(KEY);
  early.tell("2");
  early.drift.failed(KEY, { payload: "2", mayBeDone: true }, 0);
  assertEquals(early.drift.size, 0, "told before the write failed");
});

Deno.test("Drift: a copy that drifts after a write without an answer is restored to what that write was to make", () => {
  const payloads = (copy: Copy) => copy.drift.copies.map(({ payload }) => payload);
  const after = copyOf("1");
  unanswered(after, "2");
  assertEquals(after.gone(), true);
  assertEquals(payloads(after), ["2"]);
  assertEquals(after.drift.received(after.index.digests.root()), digestOf(KEY, "2"));

  const before = copyOf("1");
  before.tell("edited");
  unanswered(before, "2");
  assertEquals(payloads(before), ["2"]);
  assertEquals(before.tell("2"), false, "it was carried out");
  assertEquals(before.drift.size, 0);

  const later = copyOf("1");
  unanswered(later, "2");
  unanswered(later, "3");
  later.tell("edited");
  assertEquals(payloads(later), ["3"]);
  later.drift.writing(KEY);
  later.drift.wrote(KEY, { version: "900", payload: "4" }, 0);
  later.tell("4", 900);
  later.tell("edited");
  assertEquals(payloads(later), ["4"], "an answer came");
});

Deno.test("Drift: a comparison with the leader ends what is expected of a key that is not to be written", () => {
  const copy = copyOf("1");
  unanswered(copy, "2");
  copy.drift.compared(() => true);
  copy.tell("edited");
  assertEquals(copy.drift.copies.map(({ payload }) => payload), ["2"], "it is still to be written");
  const same = copyOf("1");
  unanswered(same, "2");
  same.drift.compared(() => false);
  same.tell("edited");
  assertEquals(same.drift.copies.map(({ payload }) => payload), ["1"]);
});

Deno.test("Drift: a key that replication wrote and a listing lacks was deleted by another writer, whatever the watch told", () => {
  const lacks = () => false;
  const wrote = (copy: Copy, payload: string) => {
    copy.drift.writing(KEY);
    copy.drift.wrote(KEY, { version: "50", payload }, 0);
  };
  const changes = ({ drift }: Copy) => drift.copies.map(({ change, payload }) => [change, payload]);

  const untold = new Copy();
  wrote(untold, "1");
  untold.drift.listed(() => true, 0);
  assertEquals(changes(untold), [], "the store has it");
  untold.drift.listed(lacks, 0);
  assertEquals(changes(untold), [["deleted", "1"]]);
  assertEquals(untold.drift.received(untold.index.digests.root()), digestOf(KEY, "1"));

  const unsure = new Copy();
  unanswered(unsure, "2");
  unsure.drift.listed(lacks, 0);
  assertEquals(changes(unsure), [["deleted", "2"]], "a write without an answer");

  const told = copyOf("1");
  told.drift.listed(lacks, 0);
  assertEquals(changes(told), [], "the index knows it: its feed tells what the listing lacks");

  const ended = new Copy();
  wrote(ended, "1");
  ended.drift.absent(KEY, 0);
  ended.drift.listed(lacks, 0);
  assertEquals(changes(ended), [], "the leader has deleted it since");
});

Deno.test("Drift: a deletion of the leader's ends what another writer did to the key", () => {
  const copy = copyOf("1");
  assertEquals(copy.gone(), true);
  copy.drift.absent(KEY, 0);
  assertEquals(copy.drift.size, 0);
});

Deno.test("Drift: repairs of a key that drifts again and again are spread", () => {
  const copy = copyOf("1");
  let requests = 0;
  for (copy.now = 0; copy.now < 120_000; copy.now += 100) {
    if (copy.now % 700 === 0) copy.tell(`status ${copy.now}`);
    if (copy.due() === 0) continue;
    requests++;
    copy.drift.writing(KEY);
    const version = 10_000_000 + copy.now;
    copy.drift.wrote(KEY, { version: `${version}`, payload: "1" }, copy.now);
    copy.index.put(KEY, { payload: "1", digest: digestOf(KEY, "1"), version: `${version}`, now: 0 });
  }
  assertEquals(requests < 12, true, `${requests} requests in two minutes`);
});
