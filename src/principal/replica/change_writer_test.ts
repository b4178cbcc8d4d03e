import { assertEquals } from "@std/assert";
import { ChangeIndex } from "../../domain/changes/index.ts";
import { Drift } from "../../domain/replication/drift.ts";
import { keyOf } from "../../domain/resources/keys.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { wholeScope } from "../../domain/resources/scope.ts";
import { type Store, StoreError } from "../ports/store.ts";
import { ChangeWriter } from "./change_writer.ts";

const KEY = keyOf("Application", "edge-1", "a");

function application(text: string): ApiObject {
  const spec = { project: "p", text };
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: { name: "a", namespace: "edge-1" },
    spec,
  };
}

/** A copy that another writer changes so many times between the writer's look and its write; `saved` is what would be lost. */
class Contended {
  readonly saved: unknown[] = [];
  /** Keys of which the leader's state is here now. */
  readonly handled: string[] = [];
  object: StoredObject | undefined = this.#stored(application("own"), 1);
  readonly writer: ChangeWriter;

  constructor(private faster: number) {
    const index = new ChangeIndex("here");
    const store: Pick<Store, "get" | "write"> = {
      get: () => Promise.resolve(this.object),
      write: (write) => {
        const version = Number(this.object?.metadata.resourceVersion);
        if (this.faster-- > 0) this.object = this.#stored(application(`flap ${version}`), version + 1);
        if ("expect" in write && write.expect !== this.object?.metadata.resourceVersion) {
          return Promise.reject(new StoreError("conflict", "another was faster"));
        }
        this.object = write.op === "put" ? this.#stored(write.object, version + 1) : undefined;
        return Promise.resolve({ changed: true, ...(this.object ? { object: this.object } : {}) });
      },
    };
    const losses = {
      beforeWrite: () => {
        this.saved.push((this.object?.["spec"] as { text: string }).text);
        return Promise.resolve(this.object?.metadata.resourceVersion);
      },
      written: (key: string) => void this.handled.push(key),
    };
    const foreign = { has: () => false, add: () => Promise.resolve(), delete: () => Promise.resolve() };
    const unconfirmed = { wrote: () => {}, uncertain: () => {}, confirmed: () => Promise.resolve() };
    this.writer = new ChangeWriter(
      store,
      wholeScope("argocd"),
      { increment: () => {} } as never,
      losses,
      unconfirmed as never,
      foreign,
      new Drift(index),
      { applying: () => {} },
    );
  }

  #stored(object: ApiObject, version: number): StoredObject {
    const metadata = { ...object.metadata, uid: "u", resourceVersion: String(version) };
    return { ...object, metadata } as StoredObject;
  }
}

const change = (object?: ApiObject) => ({
  sequence: 1,
  key: KEY,
  changedAt: 0,
  ...(object ? { object: JSON.stringify(object) } : {}),
});

Deno.test("ChangeWriter.apply() saves and writes once more where another writer came in between", async () => {
  const copy = new Contended(2);
  await copy.writer.apply(change(application("the active's")));
  assertEquals(copy.object?.["spec"], { project: "p", text: "the active's" });
  assertEquals(copy.saved, ["own", "flap 1", "flap 2"]);
});

Deno.test("ChangeWriter.apply() deletes once more where another writer came in between", async () => {
  const copy = new Contended(1);
  await copy.writer.apply(change());
  assertEquals([copy.object, copy.saved], [undefined, ["own", "flap 1"]]);
});

Deno.test("ChangeWriter.apply() ends with the conflict where another writer is always faster", async () => {
  const copy = new Contended(Infinity);
  const error = await copy.writer.apply(change(application("the active's"))).catch((error) => error);
  assertEquals((error as StoreError).code, "conflict");
});

Deno.test("ChangeWriter.apply() saves what a restored state takes the place of, which does not make it the leader's", async () => {
  for (const object of [application("sent last"), undefined]) {
    const copy = new Contended(0);
    await copy.writer.apply({ ...change(object), restored: true });
    assertEquals([copy.saved, copy.handled], [["own"], []]);
  }
  const copy = new Contended(0);
  await copy.writer.apply(change());
  assertEquals([copy.saved, copy.handled], [["own"], [KEY]]);
});
