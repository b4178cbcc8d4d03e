/** The part of the stores' contract about objects that are being deleted and wait for their finalizers. */
import { assert, assertEquals, assertExists } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import { keyOfObject } from "../../src/domain/resources/keys.ts";
import type { StoredObject } from "../../src/domain/resources/object.ts";
import type { Fixture } from "./store_contract.ts";

const LIMIT_MS = 10_000;
const FINALIZER = "resources-finalizer.argocd.argoproj.io";

async function until(holds: () => Promise<boolean>): Promise<void> {
  const looking = (async () => {
    while (!await holds()) await delay(10);
  })();
  await deadline(looking, LIMIT_MS);
}

/** Registers these tests. */
export function deletionContract(
  test: (name: string, run: (fixture: Fixture) => Promise<void>) => void,
): void {
  test("a graceful deletion marks an object with finalizers, which ends when they are taken off", async ({ store, app }) => {
    const object = app("held");
    object.metadata.finalizers = [FINALIZER];
    await store.write({ op: "put", object });
    const key = keyOfObject(object);
    const { object: leaving } = await store.write({ op: "delete", key, graceful: true });
    assertExists(leaving?.metadata.deletionTimestamp);
    const again = await store.write({ op: "delete", key, graceful: true });
    assertEquals(again.object?.metadata.deletionTimestamp, leaving.metadata.deletionTimestamp);
    const changed = await store.write({
      op: "put",
      object: { ...leaving, spec: { ...leaving["spec"] as object, project: "other" } },
      expect: again.object?.metadata.resourceVersion ?? "",
    });
    assertEquals(changed.object?.metadata.deletionTimestamp, leaving.metadata.deletionTimestamp);
    const { finalizers: _, ...metadata } = (changed.object as StoredObject).metadata;
    await store.write({ op: "put", object: { ...changed.object as StoredObject, metadata } });
    await until(async () => await store.get(key) === undefined);
    await store.write({ op: "put", object: app("held") });
    assertEquals((await store.write({ op: "delete", key, graceful: true })).changed, true);
    await until(async () => await store.get(key) === undefined);
  });

  test("replace: an object that is being deleted is ended without its finalizers and recreated", async ({ store, app }) => {
    const object = app("revived");
    object.metadata.finalizers = [FINALIZER];
    const { object: first } = await store.write({ op: "put", object });
    const key = keyOfObject(object);
    const { object: leaving } = await store.write({ op: "delete", key, graceful: true });
    const { object: revived } = await store.write({
      op: "put",
      object,
      replace: true,
      expect: leaving?.metadata.resourceVersion ?? "",
    });
    assertEquals(revived?.metadata.deletionTimestamp, undefined);
    assertEquals(revived?.metadata.finalizers, [FINALIZER]);
    assert(revived?.metadata.uid !== first?.metadata.uid);
    assertEquals((await store.get(key))?.metadata.uid, revived?.metadata.uid);
    await store.write({ op: "delete", key, graceful: true });
    const { object: once } = await store.write({ op: "put", object, replace: true });
    assertEquals(once?.metadata.deletionTimestamp, undefined);
    await store.write({ op: "delete", key });
  });
}
