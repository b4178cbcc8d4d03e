/** The pair on two real API servers: what is replicated and what is written, and a failover, end to end. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exampleObjects, generatedApplication } from "../../src/cli/examples.ts";
import { until } from "../support/until.ts";
import { type ApiObject, SOURCE_UID, type StoredObject } from "../../src/domain/resources/object.ts";
import { keyOfObject } from "../../src/domain/resources/keys.ts";
import { type Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { applyAll, KubePair, removeAll, withKubePair } from "../support/kube_pair.ts";
import { runCli } from "../support/processes.ts";

const argo = (namespace: string, plural: string, name: string) =>
  `/apis/argoproj.io/v1alpha1/namespaces/${namespace}/${plural}/${name}`;

async function get(cluster: Cluster, path: string): Promise<StoredObject | undefined> {
  const { code, body } = await cluster.request("GET", path);
  return code === 200 ? body as StoredObject : undefined;
}

function secret(name: string, labels: Record<string, string>): ApiObject {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "argocd", labels },
    data: { name: btoa(name) },
    type: "Opaque",
  };
}

const settings = (name: string): ApiObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "argocd" },
  data: { key: "1" },
});

for (const [name, definitions] of definitionSets()) {
  Deno.test({
    ...ON_CLUSTER,
    name: `kubernetes with ${name}: what is replicated, and how; a resync of what agrees writes nothing`,
    fn: () =>
      withKubePair(definitions, {}, async (pair) => {
        const { primary, replica } = pair.clusters;
        const manual = secret("cluster-manual", { "argocd.argoproj.io/secret-type": "cluster" });
        const objects = [
          ...exampleObjects(),
          manual,
          settings("argocd-gpg-keys-cm"),
          settings("argocd-agent-tls-blocklist"),
        ];
        await applyAll(primary, [...objects, secret("of-somebody-else", {}), settings("argocd-cm")]);
        await pair.start();
        const content = await pair.untilEqual(30_000, objects.length);
        for (
          const expected of [
            "Secret/argocd/cluster-manual",
            "ConfigMap/argocd/argocd-gpg-keys-cm",
            "ConfigMap/argocd/argocd-agent-tls-blocklist",
          ]
        ) {
          assert(content.has(expected), `${expected} is not replicated`);
        }
        assertEquals(await get(replica, "/api/v1/namespaces/argocd/secrets/of-somebody-else"), undefined);
        assertEquals(await get(replica, "/api/v1/namespaces/argocd/configmaps/argocd-cm"), undefined);
        await owners(pair);
        await statusAlone(pair);
        assert(await pair.replica.metric("argocd_agent_ha_store_writes_total") > objects.length);
        const before = await versions(pair);
        await pair.replica.kill("SIGKILL");
        pair.replica.start();
        await pair.replica.untilState("replicating");
        assertEquals(await versions(pair), before);
        await failover(pair);
      }),
  });
}

/** The resourceVersion of every replicated object at the replica, by key. */
async function versions(pair: KubePair): Promise<Map<string, string>> {
  const replicated = await pair.content("replica");
  const all = await (await pair.clusters.replica.whole()).list();
  return new Map(
    all.map((object) => [keyOfObject(object), object.metadata.resourceVersion] as const)
      .filter(([key]) => replicated.has(key)),
  );
}

/** Owner references carry this cluster's UIDs; one whose ApplicationSet comes later is repaired when it comes. */
async function owners(pair: KubePair): Promise<void> {
  const { primary, replica } = pair.clusters;
  const set = await get(primary, argo("argocd", "applicationsets", "monitoring"));
  const owned = generatedApplication(0);
  owned.metadata.name = "monitoring-edge-1";
  owned.metadata.namespace = "argocd";
  owned.metadata.ownerReferences = [{
    apiVersion: "argoproj.io/v1alpha1",
    kind: "ApplicationSet",
    name: "monitoring",
    uid: set?.metadata.uid ?? "",
    controller: true,
    blockOwnerDeletion: true,
  }];
  await applyAll(primary, [owned]);
  const ownerUid = async () =>
    (await get(replica, argo("argocd", "applications", "monitoring-edge-1")))?.metadata.ownerReferences?.[0]
      ?.uid;
  const localUid = async () =>
    (await get(replica, argo("argocd", "applicationsets", "monitoring")))?.metadata.uid;
  await until(
    async () => (await ownerUid()) !== undefined,
    20_000,
    () => "the owner reference does not arrive",
  );
  assertEquals(await ownerUid(), await localUid());
  assert((await localUid()) !== set?.metadata.uid);
}

/** A status that changes alone is patched, and reaches a subresource as well. */
async function statusAlone(pair: KubePair): Promise<void> {
  const { primary, replica } = pair.clusters;
  const path = argo("argocd", "applicationsets", "monitoring");
  const set = await get(primary, path) as StoredObject;
  const generation = (await get(replica, path))?.metadata.generation;
  await applyAll(primary, [{ ...set, status: { conditions: [] } }]);
  await until(
    async () => JSON.stringify((await get(replica, path))?.["status"]) === '{"conditions":[]}',
    20_000,
    () => "the status of an ApplicationSet does not arrive",
  );
  assertEquals((await get(replica, path))?.metadata.generation, generation);
}

/** The primary dies, the replica is promoted, the old primary follows it; the source's UIDs stay what they were. */
async function failover(pair: KubePair): Promise<void> {
  const { primary, replica } = pair.clusters;
  const path = argo("edge-1", "applications", "shop");
  const source = (await get(primary, path))?.metadata.uid;
  assertEquals((await get(replica, path))?.metadata.annotations?.[SOURCE_UID], source);
  await pair.primary.kill("SIGKILL");
  await pair.replica.untilState("disconnected");
  const promoted = await runCli(["ha", "promote", "--yes", "--force", "-a", pair.replica.admin]);
  assertEquals(promoted.code, 0, promoted.stderr);
  assertEquals((await pair.replica.healthz()).code, 200);
  const state = await get(replica, "/api/v1/namespaces/argocd/configmaps/argocd-agent-ha-state");
  assertEquals((state?.["data"] as Record<string, string>)["role"], "active");
  assertMatch(
    String(
      ((await get(replica, "/api/v1/namespaces/argocd/configmaps/argocd-agent-principal-identity"))
        ?.["data"] as Record<string, string>)["principal-uid"],
    ),
    /^[0-9a-f-]{36}$/,
  );
  const added = generatedApplication(7);
  added.metadata.namespace = "edge-2";
  await applyAll(replica, [added]);
  pair.primary.start();
  await pair.primary.untilState("replicating");
  await pair.untilEqual(30_000);
  assertEquals(
    (await get(primary, path))?.metadata.uid,
    source,
    "the old primary's own object was rewritten or replaced",
  );
  await removeAll(replica, [added]);
  await until(
    async () => (await get(primary, argo("edge-2", "applications", added.metadata.name))) === undefined,
    20_000,
    () => "a deletion on the new active does not reach the old one",
  );
}

Deno.test({
  ...ON_CLUSTER,
  name:
    "kubernetes: a namespace that is missing holds its keys and no others, says so, and is created where that is enabled",
  fn: () =>
    withKubePair(definitionSets()[0]![1], {}, async (pair) => {
      const { primary, replica } = pair.clusters;
      await primary.namespace("edge-9");
      const homeless = generatedApplication(8);
      assertEquals(homeless.metadata.namespace, "edge-9");
      await applyAll(primary, [homeless, ...exampleObjects()]);
      await pair.start();
      const status = await runCli(["ha", "status", "-a", pair.replica.admin]);
      assertStringIncludes(status.stdout, "1 change cannot be written;");
      assertStringIncludes(
        status.stdout,
        'Application/edge-9/app-8: namespace "edge-9" does not exist in this cluster',
      );
      assertStringIncludes(status.stdout, "kubectl create namespace edge-9");
      const preflight = await runCli(["ha", "preflight", "-a", pair.primary.admin]);
      assertMatch(
        preflight.stdout,
        /NOT OK +namespaces peer +not there: edge-9; kubectl create namespace edge-9/,
      );
      assertEquals((await pair.content("replica")).size, exampleObjects().length);
      await pair.replica.kill("SIGTERM");
      pair.replica.start(["--namespace-create-enable", "--namespace-create-labels=made-by=principal"]);
      await pair.untilEqual(20_000, exampleObjects().length + 1);
      const created = await get(replica, "/api/v1/namespaces/edge-9");
      assertEquals(created?.metadata.labels?.["made-by"], "principal");
    }),
});

Deno.test({
  ...ON_CLUSTER,
  name: "kubernetes: an object near 1 MiB replicates, and a scope keeps other namespaces out on both sides",
  fn: () =>
    withKubePair(definitionSets()[0]![1], { flags: ["--allowed-namespaces=edge-[12]"] }, async (pair) => {
      const { primary, replica } = pair.clusters;
      await pair.start();
      const large = generatedApplication(0);
      (large["spec"] as Record<string, unknown>)["info"] = [{ name: "x", value: "y".repeat(1_000_000) }];
      const outside = generatedApplication(2);
      assertEquals(outside.metadata.namespace, "edge-3");
      await applyAll(primary, [large, outside]);
      await until(
        async () => (await get(replica, argo("edge-1", "applications", "app-0"))) !== undefined,
        20_000,
        () => `the large object does not arrive\n${pair.replica.logEnd()}`,
      );
      const there = await get(replica, argo("edge-1", "applications", "app-0"));
      assertEquals(there?.["spec"], large["spec"]);
      assertEquals(await get(replica, argo("edge-3", "applications", "app-2")), undefined);
    }),
});
