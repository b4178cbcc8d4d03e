import { assertEquals } from "@std/assert";
import { ChangeIndex } from "../../domain/changes/index.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import { wholeScope } from "../../domain/resources/scope.ts";
import type { Store, StoreEvent } from "../ports/store.ts";
import { Feed } from "./feed.ts";

const KEY = "Application/edge-1/app";

const object = (version: number): StoredObject =>
  ({
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: {
      name: "app",
      namespace: "edge-1",
      uid: "u",
      resourceVersion: `${version}`,
      labels: { version: `${version}` },
    },
    spec: {},
  }) as unknown as StoredObject;
const put = (version: number): StoreEvent => ({ type: "put", object: object(version) });
const deleted = (version: number): StoreEvent => ({
  type: "delete",
  key: KEY,
  resourceVersion: `${version}`,
});

/** A feed whose watch tells what the test tells, of a store that has `stored`. */
function feeding(stored: StoredObject | undefined) {
  const index = new ChangeIndex("session");
  const told = Promise.withResolvers<StoreEvent[]>();
  let reads = 0;
  const store = {
    get: () => Promise.resolve((reads++, stored)),
    watch: async function* () {
      yield await told.promise;
    },
  } as unknown as Store;
  const feed = new Feed(store, index, wholeScope("argocd"));
  const running = feed.run(new AbortController().signal);
  return {
    index,
    reads: () => reads,
    lookUp: () => feed.lookUp(KEY),
    tell: async (...events: StoreEvent[]) => {
      told.resolve(events);
      await running;
    },
    now: () => {
      const entry = index.get(KEY);
      return entry && (entry.deleted ? "deleted" : entry.version);
    },
  };
}

Deno.test("Feed.lookUp() shows what the store has and the watch has not told, once", async () => {
  const late = feeding(object(5));
  await late.lookUp();
  await late.lookUp();
  assertEquals([late.now(), late.reads()], ["5", 1]);
  const none = feeding(undefined);
  await none.lookUp();
  assertEquals(none.now(), undefined);
});

Deno.test("a watch that is late does not take the index back behind what was looked up", async () => {
  const cases: [StoreEvent[], string][] = [
    [[put(3), put(4)], "5"],
    [[put(3), deleted(4)], "5"],
    [[put(3), put(5), deleted(6)], "deleted"],
    [[put(4), put(7)], "7"],
    [[{ type: "reset" }, put(3), { type: "synced" }], "3"],
    [[{ type: "reset" }, { type: "synced" }], "deleted"],
  ];
  for (const [events, expected] of cases) {
    const { lookUp, tell, now } = feeding(object(5));
    await lookUp();
    await tell(...events);
    assertEquals(now(), expected, JSON.stringify(events.map(({ type }) => type)));
  }
});
