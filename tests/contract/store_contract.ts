/** The contract of every store adapter; each adapter's test file runs it against the real thing. */
import { assert, assertEquals, assertExists } from "@std/assert";
import { deadline } from "@std/async/deadline";
import { keptJson, parseJson } from "../../src/base/json.ts";
import type { ApiObject, StoredObject } from "../../src/domain/resources/object.ts";
import { normalForm } from "../../src/domain/resources/normal.ts";
import { type Key, keyOf, keyOfObject } from "../../src/domain/resources/keys.ts";
import {
  type Store,
  StoreError,
  type StoreErrorCode,
  type StoreEvent,
} from "../../src/principal/ports/store.ts";
import { deletionContract } from "./deletions.ts";
import { KEPT_JSON, NUMBERS_JSON } from "../support/numbers.ts";

/** A store under test, and another handle on the same data where the adapter has one. */
export interface Subject {
  store: Store;
  other: Store;
  /** Where the test's objects live; empty at the start. */
  namespace: string;
  close(): Promise<void>;
}

/** The fixture of a test. */
export interface Fixture extends Subject {
  app(name: string, spec?: Record<string, unknown>): ApiObject;
  keyOf(name: string): Key;
}

const LIMIT_MS = 10_000;

export function application(
  name: string,
  spec: Record<string, unknown> = {},
  namespace = "argocd",
): ApiObject {
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: { name, namespace },
    spec: {
      project: "default",
      source: { repoURL: "https://git.example.com/a.git" },
      destination: { name: "in-cluster" },
      ...spec,
    },
  };
}

export async function expectStoreError(promise: Promise<unknown>, code: StoreErrorCode): Promise<StoreError> {
  try {
    await promise;
  } catch (error) {
    assert(error instanceof StoreError, `not a StoreError: ${error}`);
    assertEquals(error.code, code, error.message);
    return error;
  }
  throw new Error(`no ${code} error`);
}

/** Collects events until one satisfies `last`. */
export async function collect(
  store: Store,
  last: (event: StoreEvent, all: StoreEvent[]) => boolean,
  meanwhile: () => Promise<unknown> = () => Promise.resolve(),
): Promise<StoreEvent[]> {
  const stop = new AbortController();
  const all: StoreEvent[] = [];
  const changes: Promise<unknown>[] = [];
  const reading = (async () => {
    for await (const events of store.watch(stop.signal)) {
      for (const event of events) {
        all.push(event);
        if (event.type === "synced") changes.push(meanwhile());
        if (last(event, all)) return;
      }
    }
  })();
  try {
    await deadline(reading, LIMIT_MS);
  } finally {
    stop.abort();
  }
  await Promise.all(changes);
  return all;
}

/** Registers the suite. */
export function storeContract(
  adapter: string,
  open: () => Promise<Subject>,
  options: Partial<Deno.TestDefinition> = {},
): void {
  const test = (name: string, run: (fixture: Fixture) => Promise<void>) =>
    Deno.test({
      ...options,
      name: `${adapter}: ${name}`,
      fn: async () => {
        const subject = await open();
        try {
          await run({
            ...subject,
            app: (name, spec) => application(name, spec, subject.namespace),
            keyOf: (name) => keyOf("Application", subject.namespace, name),
          });
        } finally {
          await subject.close();
        }
      },
    });

  test("a put object comes back with uid, version, generation and creation time", async ({ store, app }) => {
    const { object, changed } = await store.write({ op: "put", object: app("a") });
    assert(changed);
    assertExists(object);
    const { uid, resourceVersion, generation, creationTimestamp } = object.metadata;
    assert(uid.length > 30 && resourceVersion !== "");
    assertEquals(generation, 1);
    assert(Math.abs(Date.parse(creationTimestamp ?? "") - Date.now()) < 120_000);
    assertEquals(await store.get(keyOfObject(object)), object);
  });

  test("what a write would take the place of decides too: put and delete leave what is to be kept", async ({ store, app, keyOf }) => {
    await put(store, app("a", { project: "mine" }));
    const keep = ({ spec }: StoredObject) =>
      (spec as { project: string }).project === "mine" ? "it is kept" : "";
    const writes = [
      { op: "put", object: app("a", { project: "theirs" }), keep },
      { op: "put", object: app("a", { project: "theirs" }), keep, replace: true },
      { op: "delete", key: keyOf("a"), keep },
    ] as const;
    for (const write of writes) {
      const error = await store.write(write).then(() => undefined, (error) => error);
      assertEquals([error?.code, error?.message.includes("it is kept")], ["invalid", true]);
    }
    const project = async () => ((await store.get(keyOf("a")))?.["spec"] as { project?: string }).project;
    assertEquals(await project(), "mine");
    await put(store, app("a", { project: "free" }));
    await store.write({ op: "put", object: app("a", { project: "theirs" }), keep });
    await store.write({ op: "delete", key: keyOf("a"), keep });
    await store.write({ op: "put", object: app("a", { project: "new" }), keep });
    assertEquals(await project(), "new");
  });

  test("an update keeps uid and creation time, and counts generations of the spec alone", async ({ store, app }) => {
    const first = await put(store, app("a"));
    const second = await put(store, {
      ...app("a", { project: "other" }),
      status: { reconciledAt: "2026-01-02T03:04:05Z" },
    });
    assertEquals(second.metadata.uid, first.metadata.uid);
    assertEquals(second.metadata.creationTimestamp, first.metadata.creationTimestamp);
    assertEquals(second.metadata.generation, 2);
    assert(second.metadata.resourceVersion !== first.metadata.resourceVersion);
    const labelled = { ...app("a", { project: "other" }), status: { reconciledAt: "2026-01-02T03:04:05Z" } };
    labelled.metadata.labels = { a: "b" };
    assertEquals((await put(store, labelled)).metadata.generation, 2);
  });

  test("writing what is stored already changes nothing and gives no new version", async ({ store, app }) => {
    const first = await put(store, app("a"));
    const again = await store.write({ op: "put", object: app("a") });
    assertEquals([again.changed, again.object?.metadata.resourceVersion], [
      false,
      first.metadata.resourceVersion,
    ]);
  });

  test("numbers that no double holds are kept, told and compared by their value", async ({ store, app }) => {
    const valued = (json: string) =>
      app("a", {
        project: "default",
        source: { repoURL: "https://git.example.com/a.git", helm: { valuesObject: parseJson(json) } },
      });
    const valuesOf = (object: ApiObject | undefined) =>
      keptJson(
        (object?.["spec"] as { source: { helm: { valuesObject: unknown } } }).source.helm.valuesObject,
      );
    const kept = keptJson(parseJson(KEPT_JSON));
    const first = await put(store, valued(NUMBERS_JSON));
    assertEquals(valuesOf(first), kept);
    assertEquals(valuesOf(await store.get(keyOfObject(first))), kept);
    assertEquals(valuesOf((await store.list("Application"))[0]), kept);
    const told = await collect(store, ({ type }) => type === "put");
    assertEquals(told.flatMap((event) => event.type === "put" ? [valuesOf(event.object)] : []), [kept]);
    assertEquals((await store.write({ op: "put", object: valued(NUMBERS_JSON) })).changed, false);
    const next = await put(store, valued('{"id":1098765432109876543}'));
    const other = await put(store, valued('{"id":1098765432109876544}'));
    assertEquals(valuesOf(await store.get(keyOfObject(other))), '{"id":1098765432109876544}');
    assert(next.metadata.resourceVersion !== other.metadata.resourceVersion);
  });

  test("an object comes back in the normal form in which it was sent, whatever of it was empty or null", async ({ store, app, namespace }) => {
    const core = (kind: string, fields: Record<string, unknown>): ApiObject => ({
      apiVersion: "v1",
      kind,
      metadata: { name: kind.toLowerCase(), namespace },
      ...fields,
    });
    const helm = { valuesObject: { none: null, empty: {} }, valueFiles: null };
    const source = { repoURL: "https://git.example.com/a.git", helm };
    const objects: ApiObject[] = [
      {
        ...app("empty", { project: "p", source, info: null, syncPolicy: {} }),
        metadata: {
          name: "empty",
          namespace,
          labels: {},
          annotations: {},
          finalizers: [],
          ownerReferences: [],
        },
        status: {},
        operation: null,
      },
      { ...app("asked"), operation: {} },
      {
        ...app("set"),
        kind: "ApplicationSet",
        spec: {
          generators: [{ list: { elements: [{ none: null }], template: null } }],
          template: {
            metadata: { name: "x", labels: null, creationTimestamp: null },
            spec: app("x")["spec"],
          },
        },
        status: {},
      },
      core("Secret", { data: { plain: "eA==" }, stringData: { text: "ü" } }),
      core("ConfigMap", { data: {} }),
    ];
    for (const object of objects) {
      const stored = await put(store, object);
      assertEquals(normalForm(stored), normalForm(object));
      assertEquals(normalForm(await store.get(keyOfObject(object)) as ApiObject), normalForm(object));
      assertEquals((await store.write({ op: "put", object })).changed, false, keyOfObject(object));
    }
  });

  test("replace: a Secret of another type, and content that was immutable, take the place of what was there", async ({ store, namespace }) => {
    const core = (kind: string, fields: Record<string, unknown>): ApiObject => ({
      apiVersion: "v1",
      kind,
      metadata: { name: "replaced", namespace, finalizers: ["example.com/keep"] },
      ...fields,
    });
    const data = (value: string, kind = "Secret") => ({
      data: { a: kind === "Secret" ? btoa(value) : value },
    });
    const steps: ApiObject[] = [
      core("Secret", { ...data("1"), type: "example.com/a" }),
      core("Secret", { ...data("2"), type: "example.com/b" }),
      core("Secret", { ...data("3"), type: "example.com/b", immutable: true }),
      core("Secret", { ...data("4"), type: "example.com/b", immutable: true }),
      core("Secret", { ...data("5"), type: "example.com/b" }),
      core("ConfigMap", { ...data("1", "ConfigMap"), immutable: true }),
      core("ConfigMap", { ...data("2", "ConfigMap"), immutable: true }),
    ];
    for (const object of steps) {
      const { object: stored } = await store.write({ op: "put", object, replace: true });
      assertEquals(normalForm(stored as ApiObject), normalForm(object));
      assertEquals(normalForm(await store.get(keyOfObject(object)) as ApiObject), normalForm(object));
    }
    for (const kind of ["Secret", "ConfigMap"]) {
      await store.write({ op: "delete", key: keyOf(kind, namespace, "replaced") });
    }
  });

  test("expect: only one of two writers who read the same version wins", async ({ store, other, app }) => {
    const { metadata } = await put(store, app("a"));
    const expect = metadata.resourceVersion;
    const write = (handle: Store, project: string) =>
      handle.write({ op: "put", object: app("a", { project }), expect });
    const results = await Promise.allSettled([write(store, "x"), write(other, "y")]);
    assertEquals(results.map((r) => r.status).sort(), ["fulfilled", "rejected"]);
    const [rejected] = results.filter((r) => r.status === "rejected");
    assertEquals((rejected?.reason as StoreError).code, "conflict");
  });

  test("expect absent: creates once", async ({ store, app }) => {
    await store.write({ op: "put", object: app("a"), expect: "absent" });
    await expectStoreError(
      store.write({ op: "put", object: app("a"), expect: "absent" }),
      "conflict",
    );
    await expectStoreError(store.write({ op: "put", object: app("b"), expect: "12345" }), "conflict");
  });

  test("a write of another status changes the status and nothing else", async ({ store, app }) => {
    const before = await put(store, app("a"));
    const after = await put(store, { ...before, status: { health: { status: "Healthy" } } });
    assertEquals(after["status"], { health: { status: "Healthy" } });
    assertEquals(after["spec"], before["spec"]);
    assertEquals(await store.get(keyOfObject(before)), after);
  });

  test("a malformed key is refused in the same words", async ({ store }) => {
    for (const key of ["nonsense", "Application/edge-1", "Application/edge-1/Not A Name"]) {
      const words = `"${key}" is not a key (Kind/namespace/name)`;
      assertEquals((await expectStoreError(store.get(key), "invalid")).message, words);
      assertEquals((await expectStoreError(store.write({ op: "delete", key }), "invalid")).message, words);
    }
  });

  test("delete removes for good, finalizers or not; what is gone is gone quietly; a new one has a new uid", async ({ store, app }) => {
    const object = app("a");
    object.metadata.finalizers = ["resources-finalizer.argocd.argoproj.io"];
    const first = await put(store, object);
    const key = keyOfObject(first);
    await expectStoreError(store.write({ op: "delete", key, expect: "999999999" }), "conflict");
    assertEquals((await store.write({ op: "delete", key })).changed, true);
    assertEquals(await store.get(key), undefined);
    assertEquals((await store.write({ op: "delete", key })).changed, false);
    assert((await put(store, object)).metadata.uid !== first.metadata.uid);
  });

  deletionContract(test);

  test("objects that cannot be stored are refused, and others of the same batch are not", async ({ store, app }) => {
    const bad = { ...app("Not A Name") };
    const [refused, stored] = await Promise.allSettled([
      store.write({ op: "put", object: bad }),
      store.write({ op: "put", object: app("good") }),
    ]);
    assertEquals([refused?.status, stored?.status], ["rejected", "fulfilled"]);
    assertEquals(((refused as PromiseRejectedResult).reason as StoreError).code, "invalid");
  });

  test("list gives all objects of a kind", async ({ store, app }) => {
    await Promise.all(["c", "a", "b"].map((name) => put(store, app(name))));
    assertEquals((await store.list("Application")).map((object) => object.metadata.name), ["a", "b", "c"]);
    assertEquals(await store.list("AppProject"), []);
    const each: string[] = [];
    await store.each((object) => each.push(JSON.stringify(object)));
    assertEquals(each.sort(), (await store.list()).map((object) => JSON.stringify(object)).sort());
  });

  test("a watch gives the present state, then changes by this handle and by others", async ({ store, other, app, keyOf }) => {
    await put(store, app("before"));
    const names = (all: StoreEvent[]) =>
      all.map((event) => event.type === "put" ? event.object.metadata.name : event.type);
    const events = await collect(
      store,
      (event) => event.type === "delete",
      async () => {
        await put(store, app("mine"));
        await put(other, app("theirs"));
        await other.write({ op: "delete", key: keyOf("theirs") });
      },
    );
    assertEquals(names(events).slice(0, 3), ["reset", "before", "synced"]);
    assertEquals(events.at(-1)?.type, "delete");
    assert(names(events).includes("mine"));
  });

  test("a watch never goes back in time and ends with the last state, under a burst", async ({ store, app }) => {
    const rounds = 20;
    const events = await collect(
      store,
      (event) =>
        event.type === "put" && roundOf(event.object) === rounds && event.object.metadata.name === "last",
      async () => {
        for (let round = 1; round <= rounds; round++) {
          await Promise.all(["a", "b", "c"].map((name) => put(store, inRound(app(name), round))));
        }
        await put(store, inRound(app("last"), rounds));
      },
    );
    const seen = new Map<string, number>();
    for (const event of events) {
      if (event.type !== "put") continue;
      const { name } = event.object.metadata;
      const round = roundOf(event.object);
      assert(round >= (seen.get(name) ?? 0), `${name} went from ${seen.get(name)} to ${round}`);
      seen.set(name, round);
    }
    assertEquals([seen.get("a"), seen.get("b"), seen.get("c")], [rounds, rounds, rounds]);
  });
}

async function put(store: Store, object: ApiObject): Promise<StoredObject> {
  const { object: stored } = await store.write({ op: "put", object });
  assertExists(stored);
  return stored;
}

function inRound(object: ApiObject, round: number): ApiObject {
  object.metadata.labels = { round: String(round) };
  return object;
}

function roundOf(object: ApiObject): number {
  return Number(object.metadata.labels?.["round"]);
}
