/**
 * Faults of the API servers under the pair, and what must hold after each: both sides agree again without an operator's help, nothing
 * that was not deleted is gone, and what is claimed meanwhile is true.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import { until } from "../support/until.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { ApiProxy } from "../support/api_proxy.ts";
import { applyAll, KubePair, type KubePairOptions, removeAll, withKubePair } from "../support/kube_pair.ts";
import { Proxy } from "../support/principals.ts";
import { runCli } from "../support/processes.ts";

const [, definitions] = definitionSets()[0]!;
const COUNT = 150;
/** Faults that pass within ten seconds must not cost a side its lock. */
const DEFAULT_LEASE = ["--ha-lease-duration=15s"];

/** Applications of three agents, marked as of one moment. */
function applications(count: number, tag: string): ApiObject[] {
  return Array.from({ length: count }, (_, n) => {
    const object = generatedApplication(n);
    object.metadata.namespace = `edge-${n % 3 + 1}`;
    object.metadata.labels = { tag };
    return object;
  });
}

function story(name: string, pairOptions: KubePairOptions, run: (pair: KubePair) => Promise<void>): void {
  Deno.test({
    ...ON_CLUSTER,
    name: `kubernetes faults: ${name}`,
    fn: () => withKubePair(definitions, { flags: DEFAULT_LEASE, ...pairOptions }, run),
  });
}

story(
  "the replica's API server is killed during the snapshot, the stream and a promotion",
  {},
  async (pair) => {
    const { primary, replica } = pair.clusters;
    const restart = () => replica.restart("kube-apiserver");
    await applyAll(primary, applications(COUNT, "first"));
    pair.primary.start();
    pair.replica.start();
    await pair.primary.untilState("active");
    await until(
      async () => (await pair.content("replica")).size > 5,
      20_000,
      () => "the snapshot does not begin",
      5,
    );
    await replica.kill("kube-apiserver");
    await restart();
    await pair.replica.untilState("replicating", 60_000);
    await pair.untilEqual(30_000, COUNT);

    await replica.kill("kube-apiserver");
    await applyAll(primary, applications(COUNT, "second"));
    await until(
      async () => (await runCli(["ha", "status", "-a", pair.replica.admin])).stdout.includes("Store:"),
      20_000,
      () => "ha status does not say that the store is away",
    );
    await restart();
    await pair.untilEqual(60_000, COUNT);

    await replica.kill("kube-apiserver");
    await pair.primary.kill("SIGKILL");
    await pair.replica.untilState("disconnected");
    const refused = await runCli([
      "ha",
      "promote",
      "--yes",
      "--force",
      "-t",
      "60s",
      "-a",
      pair.replica.admin,
    ]);
    assertEquals(refused.code, 1, refused.stdout);
    assertMatch(refused.stderr, /could not be recorded|could not be renewed|does not hold the lock/);
    assertEquals((await pair.replica.healthz()).code, 503);
    await restart();
    await until(
      async () => ["disconnected", "syncing"].includes((await pair.replica.healthz()).state),
      30_000,
      () => `the replica does not resume:\n${pair.replica.logEnd()}`,
    );
    const promoted = await runCli(["ha", "promote", "--yes", "--force", "-a", pair.replica.admin]);
    assertEquals(promoted.code, 0, promoted.stderr);
    assertEquals((await pair.content("replica")).size, COUNT);
  },
);

story(
  "the primary's API server is killed: it stays ACTIVE for ten seconds, answers 503 then, and resumes by itself when it is back",
  {},
  async (pair) => {
    const { primary } = pair.clusters;
    await applyAll(primary, applications(COUNT, "first"));
    await pair.start();
    await primary.kill("kube-apiserver");
    await until(
      async () => (await runCli(["ha", "status", "-a", pair.primary.admin])).stdout.includes("Store:"),
      20_000,
      () => "ha status does not say that the store is away",
    );
    assertEquals((await pair.content("replica")).size, COUNT);
    assertEquals((await pair.primary.healthz()).code, 200);
    await until(
      async () => (await pair.primary.healthz()).code === 503,
      12_000,
      () => "it serves although another process may hold its lock by now",
    );
    await primary.restart("kube-apiserver");
    await pair.primary.untilState("active");
    await applyAll(primary, applications(COUNT, "second"));
    await pair.untilEqual(60_000, COUNT);
  },
);

Deno.test({
  ...ON_CLUSTER,
  name: "kubernetes faults: etcd is compacted under a watch (410), and deletions during the gap are found",
  fn: async () => {
    const links: Proxy[] = [];
    const pair = await KubePair.open(definitions, {
      // A side that loses its lock begins with new lists anyway.
      flags: ["--ha-lease-duration=5m"],
      apiPort: (side, cluster) => {
        if (side === "replica") return Promise.resolve(undefined);
        links.push(new Proxy(Number(new URL(cluster.server).port)));
        return Promise.resolve(links[0]?.port);
      },
    });
    try {
      const { primary } = pair.clusters;
      const first = applications(COUNT, "first");
      await applyAll(primary, first);
      await pair.start();
      await pair.untilEqual(30_000, COUNT);
      const [link] = links as [Proxy];
      link.mode = "refuse";
      link.cut();
      await removeAll(primary, first.slice(0, 20));
      await applyAll(primary, applications(COUNT, "second").slice(20));
      await primary.compact();
      await primary.kill("kube-apiserver");
      await primary.restart("kube-apiserver");
      link.mode = "pass";
      await pair.untilEqual(60_000, COUNT - 20);
      const lists = await pair.primary.metric("argocd_agent_ha_store_lists_total");
      assert(lists > 5, `the watch went on without a new list: ${lists}`);
    } finally {
      await pair.close();
      for (const link of links) link.close();
    }
  },
});

story(
  "the primary's etcd is restored from a backup: the replica keeps what is gone until an operator releases it, and then both agree",
  {},
  async (pair) => {
    const { primary } = pair.clusters;
    const first = applications(COUNT, "first");
    await applyAll(primary, first.slice(0, 100));
    await primary.backup();
    await pair.start();
    await applyAll(primary, first.slice(100));
    await applyAll(primary, applications(100, "second"));
    await pair.untilEqual(30_000, COUNT);
    await primary.restore();
    let said = "";
    await until(
      async () => {
        said = (await runCli(["ha", "deletions", "-a", pair.replica.admin])).stdout;
        return said.includes(`${COUNT - 100}`);
      },
      60_000,
      () => `the deletions are not held:\n${said}`,
      200,
    );
    assertEquals((await pair.content("replica")).size, COUNT);
    const released = await runCli([
      "ha",
      "deletions",
      "--release",
      "--all",
      "--yes",
      "-a",
      pair.replica.admin,
    ]);
    assertEquals(released.code, 0, released.stderr);
    const content = await pair.untilEqual(60_000, 100);
    assert(
      [...content.values()].every((text) => text.includes('"tag":"first"')),
      "a state from before the restore is left",
    );
  },
);

story("rights are taken away from the replica and given back", {
  prepare: async (side, cluster, dir) => {
    await cluster.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", BINDING);
    await cluster.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", LOCK);
    await cluster.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", LOCK_BINDING);
    const kubeconfig = await cluster.kubeconfigFile({ name: "ha", groups: "ha" });
    return { store: [`--kubeconfig=${kubeconfig}`, `--data-dir=${dir}/${side}`, "--insecure-jwt-generate"] };
  },
}, async (pair) => {
  const { primary, replica } = pair.clusters;
  const bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
  await applyAll(primary, applications(COUNT, "first"));
  await pair.start();
  await replica.request("DELETE", `${bindings}/${BINDING.metadata.name}`);
  const changed = applications(3, "second");
  await applyAll(primary, changed);
  let shown = "";
  await until(
    async () => {
      shown = (await runCli(["ha", "status", "-a", pair.replica.admin])).stdout;
      return shown.includes("3 changes cannot be written;");
    },
    20_000,
    () => `the held changes are not shown:\n${shown}`,
  );
  assertStringIncludes(
    shown,
    'the API server answers 403: applications.argoproj.io "app-0" is forbidden: User "ha" cannot patch',
  );
  await replica.request("POST", bindings, BINDING);
  await pair.untilEqual(60_000, COUNT);
});

/** The rights to its lock, which the replica keeps. */
const LOCK = {
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "ClusterRole",
  metadata: { name: "lock" },
  rules: [{ apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "patch"] }],
};

const BINDING = {
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "ClusterRoleBinding",
  metadata: { name: "ha" },
  roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
  subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: "ha" }],
};

const LOCK_BINDING = {
  ...BINDING,
  metadata: { name: "lock" },
  roleRef: { ...BINDING.roleRef, name: "lock" },
};

story("a CRD is missing at start, and a namespace is deleted under the replica", {}, async (pair) => {
  const { primary, replica } = pair.clusters;
  const crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
  await applyAll(primary, applications(COUNT, "first"));
  await replica.request("DELETE", `${crds}/applications.argoproj.io`);
  const gone = () =>
    replica.request("GET", "/apis/argoproj.io/v1alpha1/applications").then(({ code }) => code === 404);
  await until(gone, 20_000, () => "the CRD does not go");
  pair.primary.start();
  pair.replica.start();
  let ready = { code: 0, body: "" };
  await until(
    async () =>
      (ready = await pair.replica.healthz("/readyz")).body.includes("CustomResourceDefinition is missing"),
    20_000,
    () => `/readyz does not name the CRD: ${JSON.stringify(ready)}`,
  );
  assertEquals([ready.code, (await pair.replica.healthz("/livez")).code], [503, 200]);
  const definition = definitions.find(({ metadata }) =>
    (metadata as { name: string }).name === "applications.argoproj.io"
  );
  assertEquals((await replica.request("POST", crds, definition)).code, 201);
  await pair.replica.untilState("replicating", 60_000);
  await pair.untilEqual(30_000, COUNT);

  await replica.request("DELETE", "/api/v1/namespaces/edge-3");
  const missing = () => replica.request("GET", "/api/v1/namespaces/edge-3").then(({ code }) => code === 404);
  await until(missing, 40_000, () => "the namespace does not go");
  assertEquals((await pair.content("primary")).size, COUNT, "what a replica lost was deleted on the active");
  await replica.namespace("edge-3");
  await pair.untilEqual(90_000, COUNT);
});

Deno.test({
  ...ON_CLUSTER,
  name: "kubernetes faults: a storm of 429, 500 and lost answers, on a cluster whose clock is an hour off",
  fn: async () => {
    let proxy: ApiProxy | undefined;
    const pair = await KubePair.open(definitions, {
      flags: DEFAULT_LEASE,
      apiPort: async (side, cluster) => {
        if (side === "primary") return undefined;
        proxy = await ApiProxy.of(cluster);
        return proxy.port;
      },
    });
    try {
      assert(proxy);
      proxy.skewMs = -3_600_000;
      const { primary } = pair.clusters;
      await applyAll(primary, applications(COUNT, "first"));
      pair.primary.start();
      let n = 0;
      proxy.fate = (method) => {
        if (method === "GET") return "pass";
        return (["too many", "pass", "lost", "pass", "broken", "pass", "lost", "pass"] as const)[n++ % 8] ??
          "pass";
      };
      pair.replica.start();
      await pair.replica.untilState("replicating", 120_000);
      await applyAll(primary, applications(COUNT, "second"));
      await removeAll(primary, applications(10, "second"));
      await pair.untilEqual(120_000, COUNT - 10);
      assert(Object.values(proxy.counts).every((count) => count > 5), JSON.stringify(proxy.counts));
      proxy.fate = () => "pass";
      await pair.primary.kill("SIGKILL");
      await pair.replica.untilState("disconnected");
      const promoted = await runCli(["ha", "promote", "--yes", "--force", "-a", pair.replica.admin]);
      assertEquals(promoted.code, 0, promoted.stderr);
      assertEquals((await pair.content("replica")).size, COUNT - 10);
    } finally {
      await pair.close();
      await proxy?.close();
    }
  },
});
