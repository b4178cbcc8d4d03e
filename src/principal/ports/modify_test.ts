import { assertEquals } from "@std/assert";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { configMap, dataOf } from "../../domain/resources/config_map.ts";
import { StoreError, type Write } from "./store.ts";
import { modify } from "./modify.ts";

const KEY = "ConfigMap/argocd/counter";

/** A store of one object, in which another writer is faster so many times. */
function contended(faster: number) {
  let version = 1;
  const data: Record<string, string> = {};
  const get = () => {
    const object = configMap("argocd", "counter", { ...data });
    return Promise.resolve({ ...object, metadata: { ...object.metadata, resourceVersion: `${version}` } });
  };
  const write = (write: Write) => {
    if (write.op !== "put") throw new Error(write.op);
    if (faster-- > 0) data[`theirs-${version++}`] = "";
    if (write.expect !== `${version}`) {
      return Promise.reject(new StoreError("conflict", "another was faster"));
    }
    Object.assign(data, dataOf(write.object));
    return Promise.resolve({ object: write.object as StoredObject, changed: true });
  };
  return { data, store: { get: get as () => Promise<StoredObject>, write } };
}

const withOurs = (existing: ApiObject | undefined) =>
  configMap("argocd", "counter", { ...dataOf(existing) as Record<string, string>, ours: "" });

Deno.test("modify() reads and decides once more where another writer was faster, and loses neither change", async () => {
  const { data, store } = contended(2);
  await modify(store, KEY, withOurs);
  assertEquals(Object.keys(data).sort(), ["ours", "theirs-1", "theirs-2"]);
});

Deno.test("modify() ends with the conflict where another writer is always faster", async () => {
  const { store } = contended(Infinity);
  let attempts = 0;
  const change = (existing: ApiObject | undefined) => (attempts++, withOurs(existing));
  assertEquals(await modify(store, KEY, change).catch((error) => error.code), "conflict");
  assertEquals(attempts, 11);
});

Deno.test("modify() writes nothing where nothing is to be written", async () => {
  const { data, store } = contended(0);
  assertEquals(await modify(store, KEY, () => undefined), undefined);
  assertEquals(data, {});
});
