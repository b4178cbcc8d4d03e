import { assert, assertEquals } from "@std/assert";
import type { ApiObject } from "../../domain/resources/object.ts";
import type { StoreEvent } from "../../principal/ports/store.ts";
import { seeded } from "../../../tests/support/random.ts";
import { KubernetesCache } from "./kubernetes_cache.ts";

const object = (name: string, version: number): ApiObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name, namespace: "n", resourceVersion: String(version), managedFields: [] },
});

Deno.test("KubernetesCache: whatever comes in whatever order, a key keeps its newest state and watchers end with it", async () => {
  for (let seed = 1; seed <= 300; seed++) {
    const random = seeded(seed);
    const cache = new KubernetesCache();
    const ending = new AbortController();
    const seen = new Map<string, string>();
    const versions = new Map<string, number>();
    const take = (event: StoreEvent) => {
      if (event.type !== "put" && event.type !== "delete") return;
      const [key, version] = event.type === "put"
        ? [`Secret/n/${event.object.metadata.name}`, event.object.metadata.resourceVersion]
        : [event.key, event.resourceVersion];
      assert(Number(version) >= (versions.get(key) ?? 0), `seed ${seed}: ${key} went back to ${version}`);
      versions.set(key, Number(version));
      if (event.type === "put") seen.set(key, version);
      else seen.delete(key);
    };
    const reading = (async () => {
      for await (const events of cache.watch(ending.signal)) for (const event of events) take(event);
    })();
    /** By definition: the newest version of each key that was put or deleted, and which of the two it was. */
    const newest = new Map<string, { version: number; put: boolean }>();
    for (let step = 0; step < 40; step++) {
      const name = random.pick(["a", "b", "c"]);
      const key = `Secret/n/${name}`;
      const version = 1 + random.int(120);
      const put = random.chance(0.7);
      if (put) cache.put(object(name, version), random.pick(["event", "read"]));
      else cache.remove(key, String(version));
      const present = newest.get(key)?.version ?? 0;
      if (version > present || (!put && version === present)) newest.set(key, { version, put });
      if (random.chance(0.3)) await new Promise((resolve) => setTimeout(resolve));
    }
    const expected = new Map(
      [...newest].filter(([, { put }]) => put).map(([key, { version }]) => [key, version] as const),
    );
    const found = [...cache.versions("Secret")].map(([key, version]) => [key, Number(version)] as const);
    assertEquals(new Map(found), expected, `seed ${seed}`);
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setTimeout(resolve));
    assertEquals([...seen.keys()].sort(), [...expected.keys()].sort(), `seed ${seed}`);
    ending.abort();
    await reading;
  }
});

Deno.test("KubernetesCache: an older state is ignored, but for a cluster that went back in time", () => {
  const cache = new KubernetesCache();
  const version = () => [...cache.versions("Secret")].map(([, text]) => text).join();
  cache.put(object("a", 100), "event");
  cache.put(object("a", 99), "read");
  assertEquals(version(), "100");
  cache.put(object("a", 7), "rewound");
  assertEquals(version(), "7");
  cache.remove("Secret/n/a", "3");
  assertEquals(version(), "7");
  cache.remove("Secret/n/a", "3", { rewound: true });
  assertEquals(version(), "");
  assertEquals(cache.get("Secret/n/a"), undefined);
});

Deno.test("KubernetesCache: at the same version what was read counts, not what an event said with the schema of before", async () => {
  const cache = new KubernetesCache();
  const ending = new AbortController();
  const events = cache.watch(ending.signal);
  const pruned = object("a", 5);
  const whole = { ...pruned, data: { a: "Yg==" } };
  cache.put(pruned, "event");
  for (let n = 0; n < 3; n++) await events.next();
  cache.put(whole, "read");
  assertEquals((await events.next()).value, [{ type: "put", object: cache.get("Secret/n/a") }]);
  assertEquals(cache.get("Secret/n/a")?.["data"], { a: "Yg==" });
  cache.put(pruned, "event");
  assertEquals(cache.get("Secret/n/a")?.["data"], { a: "Yg==" });
  cache.put({ ...whole, metadata: { ...whole.metadata, managedFields: [] } }, "read");
  const next = events.next();
  ending.abort();
  assertEquals(await next, { value: undefined, done: true }, "the same state once more is no change");
});

Deno.test("KubernetesCache.gone() tells when a key has left, and when it has not in time", async () => {
  const cache = new KubernetesCache();
  assertEquals(await cache.gone("Secret/n/a", 10), true);
  cache.put(object("a", 1), "event");
  assertEquals(await cache.gone("Secret/n/a", 10), false);
  const gone = cache.gone("Secret/n/a", 5_000);
  cache.remove("Secret/n/a", "2");
  assertEquals(await gone, true);
});
