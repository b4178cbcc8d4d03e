import { assert, assertEquals } from "@std/assert";
import { API_KINDS } from "../../src/domain/resources/kinds.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { schemaProblem } from "../../src/domain/resources/schema.ts";
import { createLog } from "../../src/base/log.ts";
import { KeptObjects } from "../../src/principal/core/kept_objects.ts";
import type { KeptObject } from "../../src/principal/core/kept_pages.ts";
import type { StoreEvent } from "../../src/principal/ports/store.ts";
import { until } from "../support/until.ts";
import { Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { ApiProxy } from "../support/api_proxy.ts";
import { Proxy } from "../support/principals.ts";
import { seeded } from "../support/random.ts";
import { type Definition, variants } from "./schemas.ts";
import { application, expectStoreError, storeContract } from "./store_contract.ts";

const clusters = new Map<string, Promise<Cluster>>();
let namespaces = 0;
/** Objects of each kind that are given to an API server and to our check. */
const VARIANTS = 300;

function clusterOf(name: string, definitions: Record<string, unknown>[]): Promise<Cluster> {
  const found = clusters.get(name) ?? Cluster.start(definitions);
  clusters.set(name, found);
  return found;
}

Deno.test.afterAll(async () => {
  for (const cluster of clusters.values()) await (await cluster).stop();
});

for (const [name, definitions] of definitionSets()) {
  storeContract(`kubernetes with ${name}`, async () => {
    const cluster = await clusterOf(name, definitions);
    const namespace = await cluster.namespace(`contract-${++namespaces}`);
    const [store, other] = [await cluster.store(namespace), await cluster.store(namespace)];
    return {
      store,
      other,
      namespace,
      close: async () => {
        await store.close();
        await other.close();
      },
    };
  }, ON_CLUSTER);
}

const [ours, definitions] = definitionSets()[0]!;

Deno.test({
  ...ON_CLUSTER,
  name:
    "kubernetes: one connection for everything; a watch that has gone silent is noticed, and nothing is missed",
  fn: async () => {
    const cluster = await clusterOf(ours, definitions);
    const namespace = await cluster.namespace(`contract-${++namespaces}`);
    const proxy = new Proxy(Number(new URL(cluster.server).port));
    const kubeconfig = await cluster.kubeconfigFile("admin", proxy.port);
    // An API server that has just started takes 2 s for 100 writes, and says nothing meanwhile.
    const store = await cluster.store(namespace, { kubeconfig, reflectors: { silenceMs: 5_000 } });
    const stop = new AbortController();
    const seen = new Map<string, StoreEvent["type"]>();
    const problems = new Set<string>();
    const looking = setInterval(() => problems.add(store.status().problem), 5);
    const reading = (async () => {
      for await (const events of store.watch(stop.signal)) {
        for (const event of events) if (event.type === "put") seen.set(event.object.metadata.name, "put");
      }
    })();
    try {
      const names = Array.from({ length: 100 }, (_, n) => `app-${n}`);
      const first = application("first", { project: "p" }, namespace);
      await until(
        () => store.status().lists === API_KINDS.length,
        20_000,
        () => `not listed: ${store.status().problem}`,
      );
      await Promise.all(
        names.map((name) => store.write({ op: "put", object: application(name, {}, namespace) })),
      );
      assertEquals(proxy.accepted, 1);
      proxy.freeze();
      const path = `/apis/argoproj.io/v1alpha1/namespaces/${namespace}/applications`;
      assertEquals((await cluster.request("POST", path, first)).code, 201);
      await until(() => seen.has("first"), 20_000, () => "the silent watch is not noticed");
      assert(proxy.accepted > 1);
      assertEquals(store.status().lists, API_KINDS.length, "a watch goes on where it stopped");
      assertEquals([...problems], [""], "watches that were merely silent are no problem");
    } finally {
      clearInterval(looking);
      stop.abort();
      await reading;
      await store.close();
      proxy.close();
    }
  },
});

Deno.test({
  ...ON_CLUSTER,
  name: "kubernetes: only what differs is sent; what the API server refuses says so in its words",
  fn: async () => {
    const cluster = await clusterOf(ours, definitions);
    const namespace = await cluster.namespace(`contract-${++namespaces}`);
    const store = await cluster.store(namespace);
    try {
      const object = application("a", { project: "p" }, namespace);
      const { object: first } = await store.write({ op: "put", object });
      await cluster.request("PATCH", `/apis/argoproj.io/v1alpha1/namespaces/${namespace}/applications/a`, {
        metadata: { labels: { theirs: "kept" } },
      }, { contentType: "application/merge-patch+json" });
      const { object: second } = await store.write({
        op: "put",
        object: {
          ...object,
          metadata: { ...object.metadata, labels: { theirs: "kept" } },
          status: { health: { status: "Healthy" } },
        },
      });
      assertEquals(second?.metadata.labels, { theirs: "kept" });
      assertEquals(second?.metadata.uid, first?.metadata.uid);
      assertEquals((await store.write({ op: "put", object: second! })).changed, false);
      const nowhere = application("b", {}, "not-there");
      const missing = await expectStoreError(store.write({ op: "put", object: nowhere }), "notFound");
      assert(missing.message.includes('namespaces "not-there" not found'), missing.message);
      const huge = application("c", { info: "x".repeat(4_000_000) }, namespace);
      const refused = await expectStoreError(store.write({ op: "put", object: huge }), "invalid");
      assert(refused.message.includes("the API server answers 413"), refused.message);
    } finally {
      await store.close();
    }
  },
});

Deno.test({
  ...ON_CLUSTER,
  name:
    "kubernetes: what cannot change in place stays as it is where the API server refuses the new object, or nobody asks",
  fn: async () => {
    const cluster = await clusterOf(ours, definitions);
    const namespace = await cluster.namespace(`contract-${++namespaces}`);
    const store = await cluster.store(namespace);
    const secret = (type: string, data: Record<string, string>, name = "s"): ApiObject => ({
      apiVersion: "v1",
      kind: "Secret",
      type,
      metadata: { name, namespace },
      data,
    });
    try {
      const { object: first } = await store.write({ op: "put", object: secret("a", { a: "eA==" }) });
      await expectStoreError(store.write({ op: "put", object: secret("b", { a: "eQ==" }) }), "invalid");
      // This type takes other fields than these.
      const refused = secret("kubernetes.io/tls", { a: "eQ==" });
      await expectStoreError(store.write({ op: "put", object: refused, replace: true }), "invalid");
      assertEquals((await store.get(`Secret/${namespace}/s`))?.metadata.uid, first?.metadata.uid);
      const expect = "1";
      const other = secret("b", { a: "eQ==" });
      await expectStoreError(store.write({ op: "put", object: other, replace: true, expect }), "conflict");
      const write = { op: "put", object: other, replace: true } as const;
      const { object: replaced } = await store.write({ ...write, expect: first!.metadata.resourceVersion });
      assert(replaced?.metadata.uid !== first?.metadata.uid);
      assertEquals((await store.write(write)).changed, false);
      assertEquals(
        (await store.list("Secret")).filter(({ metadata }) => metadata.name.includes("trial")),
        [],
      );
    } finally {
      await store.close();
    }
  },
});

Deno.test({
  ...ON_CLUSTER,
  name: "kubernetes: a replacement that stops half-way says so, and the next write completes it",
  fn: async () => {
    const cluster = await clusterOf(ours, definitions);
    const namespace = await cluster.namespace(`contract-${++namespaces}`);
    const proxy = await ApiProxy.of(cluster);
    const store = await cluster.store(namespace, {
      kubeconfig: await cluster.kubeconfigFile("admin", proxy.port),
    });
    const secret = (type: string): ApiObject => ({
      apiVersion: "v1",
      kind: "Secret",
      type,
      metadata: { name: "s", namespace },
      data: { type: btoa(type) },
    });
    try {
      await store.write({ op: "put", object: secret("a") });
      let deleted = false;
      proxy.fate = (method) => {
        deleted ||= method === "DELETE";
        return deleted && method === "POST" ? "broken" : "pass";
      };
      const write = { op: "put", object: secret("b"), replace: true } as const;
      const failed = await expectStoreError(store.write(write), "unavailable");
      assert(failed.message.includes("could not be recreated yet"), failed.message);
      assertEquals(await store.get(`Secret/${namespace}/s`), undefined);
      proxy.fate = () => "pass";
      await store.write(write);
      assertEquals((await store.get(`Secret/${namespace}/s`))?.["type"], "b");
    } finally {
      await store.close();
      await proxy.close();
    }
  },
});

Deno.test({
  ...ON_CLUSTER,
  name: "kubernetes: an object that no Secret can hold is kept in several, and forgotten with all of them",
  fn: async () => {
    const cluster = await clusterOf(ours, definitions);
    const namespace = await cluster.namespace(`contract-${++namespaces}`);
    const store = await cluster.store(namespace);
    const random = Array.from(
      { length: 16 },
      () => crypto.getRandomValues(new Uint8Array(65_536)).toBase64(),
    );
    const { object } = await store.write({
      op: "put",
      object: application("large", { info: [{ name: "a", value: random.join("") }] }, namespace),
    });
    const kept = () =>
      new KeptObjects({
        store,
        settings: { namespace },
        log: createLog({ level: "error", components: {}, format: "text", details: [] }),
      });
    const entry: KeptObject = {
      key: `Application/${namespace}/large`,
      reason: "overwritten",
      digest: "0".repeat(32),
      epoch: 1,
      newActiveHas: "nothing",
      atMs: 0,
      cause: "",
      object: object as ApiObject,
    };
    const secrets = async () => {
      const { body } = await cluster.request("GET", `/api/v1/namespaces/${namespace}/secrets`);
      return (body["items"] as ApiObject[]).length;
    };
    try {
      assert(JSON.stringify(object).length > 1_390_000);
      await kept().keep(entry);
      assert(await secrets() > 1);
      const again = kept();
      assertEquals(await again.list(), [entry]);
      await again.forget(() => true);
      assertEquals([await again.list(), await secrets()], [[], 0]);
    } finally {
      await store.close();
    }
  },
});

Deno.test({
  ...ON_CLUSTER,
  name: "kubernetes: deletions that wait for the garbage collector hold nothing else up",
  fn: async () => {
    const cluster = await clusterOf(ours, definitions);
    const namespace = await cluster.namespace(`contract-${++namespaces}`);
    const store = await cluster.store(namespace, { writeConcurrency: 2 });
    const set = (n: number) => ({ ...application(`set-${n}`, {}, namespace), kind: "ApplicationSet" });
    try {
      await Promise.all(Array.from({ length: 6 }, (_, n) => store.write({ op: "put", object: set(n) })));
      await cluster.kill("kube-controller-manager");
      let deleted = 0;
      const deletions = Array.from({ length: 6 }, async (_, n) => {
        await store.write({ op: "delete", key: `ApplicationSet/${namespace}/set-${n}` });
        deleted++;
      });
      const ended = Promise.all(deletions);
      await store.write({ op: "put", object: application("other", {}, namespace) });
      assertEquals(deleted, 0);
      await cluster.restart("kube-controller-manager");
      await ended;
      assertEquals(await store.list("ApplicationSet"), []);
    } finally {
      await store.close();
    }
  },
});

const real = definitionSets()[1];

Deno.test({
  ...ON_CLUSTER,
  ignore: ON_CLUSTER.ignore || !real,
  name: "the embedded store refuses an object exactly where an API server with Argo CD's definitions does",
  fn: async () => {
    const [name, all] = real!;
    const cluster = await clusterOf(name, all);
    const namespace = await cluster.namespace(`contract-${++namespaces}`);
    const different: string[] = [];
    const verdicts = { taken: 0, refused: 0 };
    for (const definition of all as unknown as Definition[]) {
      const { plural, kind } = definition.spec.names;
      const path = `/apis/argoproj.io/v1alpha1/namespaces/${namespace}/${plural}?dryRun=All`;
      for (const { object, change } of variants(definition, seeded(1), VARIANTS)) {
        const { code, body } = await cluster.request("POST", path, object);
        const problem = schemaProblem(object);
        verdicts[code === 201 ? "taken" : "refused"]++;
        if ((code === 201) === (problem === undefined)) continue;
        different.push(
          `${kind}, ${change}: ${code} ${code === 201 ? "" : body["message"]}; ours: ${problem}`,
        );
      }
    }
    assertEquals(different, []);

    assert(Math.min(verdicts.taken, verdicts.refused) > VARIANTS / 2, JSON.stringify(verdicts));
  },
});
