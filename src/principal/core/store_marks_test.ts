import { assert, assertEquals } from "@std/assert";
import type { Log } from "../../base/log.ts";
import { isOlder } from "../../domain/ha/store_history.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import { StoreError, type Write, type Written } from "../ports/store.ts";
import { StoreMarks } from "./store_marks.ts";

const OWN = "ConfigMap/argocd/argocd-gpg-keys-cm";
const OTHER = "Application/edge-1/app";

const nothing = () => {};
const LOG: Log = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };

/** A store of one object; `answer` delays the answers to writes. */
class OneObject {
  version = 100;
  object: StoredObject | undefined;
  answer: Promise<void> = Promise.resolve();

  get(): Promise<StoredObject | undefined> {
    return Promise.resolve(this.object);
  }

  async write(write: Write): Promise<Written> {
    if (write.op !== "put") throw new Error("not expected");
    if (write.expect !== (this.object?.metadata.resourceVersion ?? "absent")) {
      throw new StoreError("conflict", "written meanwhile");
    }
    const metadata = { ...write.object.metadata, uid: "u", resourceVersion: String(++this.version) };
    const object = this.object = { ...write.object, metadata } as StoredObject;
    await this.answer;
    return { object, changed: true };
  }
}

async function started(store: OneObject): Promise<StoreMarks> {
  const marks = new StoreMarks(store, "argocd", LOG);
  await marks.leaveFirst();
  return marks;
}

Deno.test("StoreMarks: each process adds its mark to those before it, with the versions of their writes", async () => {
  const store = new OneObject();
  const first = await started(store);
  first.saw(OWN, "150");
  store.version = 150;
  const second = await started(store);
  assertEquals(second.list.map(({ version }) => version), [101, 151]);
  assertEquals(second.list[0]?.mark, first.list[0]?.mark);
  assertEquals([first.point?.version, second.point?.version], [150, 0]);
  assert(!isOlder(second.list, first.point));
});

Deno.test("StoreMarks tells no version after a mark together with the mark before it", async () => {
  const store = new OneObject();
  const marks = await started(store);
  const before = marks.list[0]?.mark ?? "";
  marks.saw(OWN, "101");
  const answer = Promise.withResolvers<void>();
  store.answer = answer.promise;
  const leaving = marks.leave();
  while (store.version === 101) await Promise.resolve();
  marks.saw(OWN, "120");
  assertEquals(marks.point, { mark: before, version: 101 });
  answer.resolve();
  await leaving;
  assertEquals(marks.point, { mark: marks.list[1]?.mark ?? "", version: 120 });
});

Deno.test("StoreMarks: a mark whose answer was lost is one of its own, and told by nobody", async () => {
  const store = new OneObject();
  const marks = await started(store);
  marks.saw(OWN, "101");
  store.answer = Promise.reject(new StoreError("unavailable", "the answer was lost"));
  await marks.leave().catch(nothing);
  marks.saw(OWN, "120");
  assertEquals([marks.list.length, marks.point?.version], [1, 101]);
  store.answer = Promise.resolve();
  await marks.leave();
  assertEquals([marks.list.length, marks.point?.version], [3, 120]);
});

Deno.test("StoreMarks: a process leaves no mark after another's", async () => {
  const store = new OneObject();
  const hanging = await started(store);
  const next = await started(store);
  await hanging.leave();
  assertEquals((await started(store)).list.length, next.list.length + 1);
});

Deno.test("a store whose objects were restored with new versions is known by the mark that it lacks", async () => {
  const store = new OneObject();
  const marks = await started(store);
  const backup = store.object as StoredObject;
  await marks.leave();
  marks.saw(OWN, "130");
  const heard = marks.point;
  store.version = 1_000_000;
  store.object = { ...backup, metadata: { ...backup.metadata, resourceVersion: "1000000" } };
  assert(isOlder((await started(store)).list, heard));
});

Deno.test("StoreMarks tells versions of other kinds once a mark was above all that it had seen", async () => {
  const store = new OneObject();
  const marks = await started(store);
  const first = marks.list[0]?.mark ?? "";
  store.version = 150;
  marks.saw(OTHER, "140");
  assertEquals(marks.point, { mark: first, version: 0 });
  marks.synced();
  await marks.settled();
  assertEquals(marks.point, { mark: marks.list[1]?.mark ?? "", version: 140 });
  marks.saw(OTHER, "160");
  assertEquals(marks.point?.version, 160);
  store.version = 160;
  assertEquals(await marks.leave(), 161);
  assert(!isOlder((await started(store)).list, marks.point));
});

Deno.test("StoreMarks proves one sequence with the first object of an empty store", async () => {
  const store = new OneObject();
  const marks = await started(store);
  marks.synced();
  await marks.settled();
  assertEquals(marks.list.length, 1);
  store.version = 150;
  marks.saw(OTHER, "150");
  await marks.settled();
  assertEquals([marks.list.length, marks.point?.version], [2, 150]);
});

Deno.test("where ConfigMaps and other kinds have versions of their own, no store counts as restored, whichever is ahead", async () => {
  const warnings: string[] = [];
  const log = { ...LOG, warn: (message: string) => void warnings.push(message) };
  const begun = async (store: OneObject) => {
    const marks = new StoreMarks(store, "argocd", log);
    await marks.leaveFirst();
    return marks;
  };
  const ahead = new OneObject();
  const former = await begun(ahead);
  former.saw(OTHER, "1000000");
  former.synced();
  await former.settled();
  assertEquals([former.list, former.point, await former.leave()], [[], undefined, undefined]);
  assertEquals(warnings.length, 1);

  const behind = new OneObject();
  const overtaken = await begun(behind);
  overtaken.saw(OTHER, "5");
  overtaken.synced();
  await overtaken.settled();
  overtaken.saw(OTHER, "1000");
  const heard = overtaken.point;
  assertEquals(heard?.version, 1000);
  const next = await begun(behind);
  assert(isOlder(next.list, heard), "by the first mark alone it looks so");
  next.saw(OTHER, "1000");
  next.synced();
  await next.settled();
  assertEquals([isOlder(next.list, heard), next.point], [false, undefined]);
});

Deno.test("a store that went back under a running process is still known", async () => {
  const store = new OneObject();
  const marks = await started(store);
  store.version = 150;
  marks.saw(OTHER, "150");
  marks.synced();
  await marks.settled();
  marks.saw(OTHER, "190");
  const heard = marks.point;
  const backup = store.object as StoredObject;
  store.version = 160;
  store.object = { ...backup, metadata: { ...backup.metadata, resourceVersion: "151" } };
  marks.reset();
  marks.saw(OTHER, "150");
  marks.synced();
  await marks.leave();
  assert(isOlder(marks.list, heard));
});
