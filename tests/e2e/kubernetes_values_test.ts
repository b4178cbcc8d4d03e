/** Every value arrives as it was, or is held and named: two real API servers that do not keep the same of what they are sent. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import { until } from "../support/until.ts";
import type { ApiObject, StoredObject } from "../../src/domain/resources/object.ts";
import { type Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets, strictDefinitions } from "../kube/crds.ts";
import { applyAll, type KubePair, type KubePairOptions, withKubePair } from "../support/kube_pair.ts";
import { runCli } from "../support/processes.ts";

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";
const MERGE_PATCH = { contentType: "application/merge-patch+json" };
/** Longer than three heartbeats that differ, and the stream that is opened after them. */
const DRIFT_MS = 6_000;

const argo = (namespace: string, plural: string, name = "") =>
  `/apis/argoproj.io/v1alpha1/namespaces/${namespace}/${plural}${name && `/${name}`}`;

async function get(cluster: Cluster, path: string): Promise<StoredObject | undefined> {
  const { code, body } = await cluster.request("GET", path);
  return code === 200 ? body as StoredObject : undefined;
}

function application(name: string, spec: Record<string, unknown>, metadata = {}): ApiObject {
  return {
    ...generatedApplication(0),
    metadata: { name, namespace: "edge-1", ...metadata },
    spec: {
      project: "default",
      source: { repoURL: "https://git.example.com/a.git", path: name },
      destination: { name: "edge-1" },
      ...spec,
    },
  };
}

async function differing(pair: KubePair): Promise<string[]> {
  const { stdout } = await runCli(["ha", "diff", "-o", "json", "-a", pair.replica.admin]);
  return JSON.parse(stdout).differing.map(({ key }: { key: string }) => key);
}

/** An API server publishes its schemas some seconds after it serves the kinds. */
async function preflighted({ admin }: { admin: string }, expected: RegExp): Promise<void> {
  let last = "";
  await until(
    async () => expected.test(last = (await runCli(["ha", "preflight", "-a", admin])).stdout),
    30_000,
    () => `preflight does not say ${expected}:\n${last}`,
    500,
  );
}

function untilSame(pair: KubePair, timeoutMs = 20_000): Promise<void> {
  return until(
    async () => (await differing(pair)).length === 0,
    timeoutMs,
    () => `both sides differ\n${pair.replica.logEnd()}`,
    200,
  );
}

function story(name: string, options: KubePairOptions, run: (pair: KubePair) => Promise<void>): void {
  Deno.test({
    ...ON_CLUSTER,
    name: `kubernetes values: ${name}`,
    fn: () => withKubePair(strictDefinitions("project", "source", "destination", "info"), options, run),
  });
}

story(
  "a field that the standby's older CustomResourceDefinition drops is held, named by status and preflight, and applied once it is known",
  { replicaDefinitions: strictDefinitions("project", "source", "destination") },
  async (pair) => {
    const info = [{ name: "a", value: "b" }];
    await applyAll(pair.clusters.primary, [application("known", {}), application("dropped", { info })]);
    await pair.start();
    const status = (await runCli(["ha", "status", "-a", pair.replica.admin])).stdout;
    assertStringIncludes(status, "Application/edge-1/dropped: this cluster's API server keeps it otherwise");
    assertStringIncludes(status, "it drops spec.info (its CustomResourceDefinition does not know the field");
    await preflighted(pair.primary, /NOT OK +held peer/);
    await preflighted(pair.primary, /NOT OK +fields peer .*: Application spec\.info; install/);
    await preflighted(pair.replica, /NOT OK +fields here .*: Application spec\.info; install/);
    await preflighted(pair.replica, /ok +fields peer +all there/);
    const moved = await runCli(["ha", "switchover", "--yes", "-a", pair.primary.admin]);
    assertStringIncludes(moved.stderr, "holds 1 changes that it cannot write");
    await new Promise((resolve) => setTimeout(resolve, DRIFT_MS));
    assertEquals((await pair.replica.healthz()).state, "replicating");
    assert(!pair.replica.log.includes("comparing digests anew"), pair.replica.logEnd());
    const crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/applications.argoproj.io";
    const newer = strictDefinitions("project", "source", "destination", "info")[0];
    const { code } = await pair.clusters.replica.request("PATCH", crd, newer, MERGE_PATCH);
    assertEquals(code, 200);
    await untilSame(pair, 70_000);
    assertEquals((await get(pair.clusters.replica, argo("edge-1", "applications", "dropped")))?.["spec"], {
      ...application("dropped", {})["spec"] as object,
      info,
    });
    await preflighted(pair.primary, /ok +fields peer +all there/);
  },
);

story(
  "an empty status and an owner that is not replicated are no difference, and a switchover loses nothing",
  {},
  async (pair) => {
    const { primary, replica } = pair.clusters;
    const set = {
      ...application("mine", { generators: [] }),
      kind: "ApplicationSet",
      metadata: {
        name: "mine",
        namespace: "edge-1",
        labels: { "argocd-agent.argoproj-labs.io/ignore-sync": "true" },
      },
    };
    assertEquals((await primary.request("POST", argo("edge-1", "applicationsets"), set)).code, 201);
    const { metadata } = await get(primary, argo("edge-1", "applicationsets", "mine")) as StoredObject;
    const owner = {
      apiVersion: "argoproj.io/v1alpha1",
      kind: "ApplicationSet",
      name: "mine",
      uid: metadata.uid,
      controller: true,
    };
    const objects = [
      { ...application("empty", {}), status: {} },
      application("owned", {}, { ownerReferences: [owner] }),
    ];
    for (const object of objects) {
      assertEquals((await primary.request("POST", argo("edge-1", "applications"), object)).code, 201);
    }
    await pair.start();
    await untilSame(pair);
    assertEquals(
      (await get(replica, argo("edge-1", "applications", "owned")))?.metadata.ownerReferences,
      undefined,
    );
    const status = (await runCli(["ha", "status", "-a", pair.primary.admin])).stdout;
    assertStringIncludes(status, "1 resource has an owner that is not replicated");
    assertStringIncludes(status, "Application/edge-1/owned of ApplicationSet/edge-1/mine");
    // From now on the set is replicated: so is the reference.
    await primary.request(
      "PATCH",
      argo("edge-1", "applicationsets", "mine"),
      { metadata: { labels: null } },
      MERGE_PATCH,
    );
    await until(
      async () => {
        const owned = await get(replica, argo("edge-1", "applications", "owned"));
        const local = await get(replica, argo("edge-1", "applicationsets", "mine"));
        return local !== undefined && owned?.metadata.ownerReferences?.[0]?.uid === local.metadata.uid;
      },
      20_000,
      () => `the reference does not come\n${pair.replica.logEnd()}`,
      100,
    );
    await untilSame(pair);
    const moved = await runCli(["ha", "switchover", "--yes", "-a", pair.primary.admin]);
    assertEquals(moved.code, 0, moved.stdout + moved.stderr);
  },
);

story(
  "kubectl apply goes on where it stopped: what it applied last is known on the new active, of Secrets too, and shown of none",
  {},
  async (pair) => {
    const { primary, replica } = pair.clusters;
    const applied = (object: ApiObject): ApiObject => ({
      ...object,
      metadata: {
        ...object.metadata,
        annotations: { ...object.metadata.annotations, [LAST_APPLIED]: JSON.stringify(object) },
      },
    });
    const before = application("applied", { info: [{ name: "to be", value: "removed" }] });
    const secret: ApiObject = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name: "repo",
        namespace: "argocd",
        labels: { "argocd.argoproj.io/secret-type": "repository" },
      },
      type: "Opaque",
      data: { password: btoa("hidden") },
    };
    await applyAll(primary, [applied(before), applied(secret)]);
    await pair.start();
    await untilSame(pair);
    const path = "/api/v1/namespaces/argocd/secrets/repo";
    await replica.request("PATCH", path, { data: { password: btoa("other") } }, MERGE_PATCH);
    const shown = await runCli(["ha", "diff", "Secret/argocd/repo", "-o", "json", "-a", pair.replica.admin]);
    assert(!shown.stdout.includes(btoa("hidden")) && !shown.stdout.includes(btoa("other")), shown.stdout);
    await untilSame(pair, 70_000);
    const moved = await runCli(["ha", "switchover", "--yes", "-a", pair.primary.admin]);
    assertEquals(moved.code, 0, moved.stdout + moved.stderr);
    const copy = await get(replica, argo("edge-1", "applications", "applied")) as StoredObject;
    const last = JSON.parse(copy.metadata.annotations?.[LAST_APPLIED] ?? "null");
    assertEquals(last, JSON.parse(JSON.stringify(before)));
    assertEquals(
      JSON.parse((await get(replica, path))?.metadata.annotations?.[LAST_APPLIED] ?? "null"),
      JSON.parse(JSON.stringify(secret)),
    );
    // The three-way merge of kubectl: what was applied last and is not any more is removed.
    const after = application("applied", {});
    const removed = Object.keys(last.spec).filter((field) => !(field in (after["spec"] as object)));
    const patch = {
      metadata: { annotations: { [LAST_APPLIED]: JSON.stringify(after) } },
      spec: { ...after["spec"] as object, ...Object.fromEntries(removed.map((field) => [field, null])) },
    };
    assertEquals(removed, ["info"]);
    await replica.request("PATCH", argo("edge-1", "applications", "applied"), patch, MERGE_PATCH);
    await until(
      async () =>
        (await get(primary, argo("edge-1", "applications", "applied")))?.metadata.annotations
          ?.[LAST_APPLIED] ===
          JSON.stringify(after),
      20_000,
      () => "what was applied on the new active does not reach the old one",
    );
    assertEquals(
      (await get(primary, argo("edge-1", "applications", "applied")))?.["spec"],
      after["spec"],
    );
  },
);

story(
  "a Secret that is recreated with another type, or content that was immutable, takes the place of the copy",
  {},
  async (pair) => {
    const { primary, replica } = pair.clusters;
    const collection = "/api/v1/namespaces/argocd/secrets";
    const secret = (type: string, password: string, immutable = false): ApiObject => ({
      apiVersion: "v1",
      kind: "Secret",
      metadata: {
        name: "repo",
        namespace: "argocd",
        labels: { "argocd.argoproj.io/secret-type": "repository" },
      },
      type,
      immutable,
      data: { password: btoa(password) },
    });
    await applyAll(primary, [secret("Opaque", "first")]);
    await pair.start();
    const steps = [
      secret("example.com/other", "second"),
      secret("example.com/other", "third", true),
      secret("Opaque", "fourth", true),
      secret("Opaque", "fifth", true),
    ];
    for (const step of steps) {
      assertEquals((await primary.request("DELETE", `${collection}/repo`)).code, 200);
      assertEquals((await primary.request("POST", collection, step)).code, 201);
      const wanted = JSON.stringify([step["type"], step["data"]]);
      await until(
        async () => {
          const copy = await get(replica, `${collection}/repo`);
          return JSON.stringify([copy?.["type"], copy?.["data"]]) === wanted;
        },
        20_000,
        () => `the Secret does not become ${wanted}\n${pair.replica.logEnd()}`,
        50,
      );
      await untilSame(pair);
    }
  },
);

story(
  "server-side apply on the new active conflicts once with what replication wrote, and goes on after --force-conflicts",
  {},
  async (pair) => {
    const { primary, replica } = pair.clusters;
    const path = argo("edge-1", "applications", "served");
    const apply = (cluster: Cluster, spec: Record<string, unknown>, force = false) => {
      const { source: _, destination: __, ...rest } = application("served", spec)["spec"] as Record<
        string,
        unknown
      >;
      const { apiVersion, kind, metadata } = application("served", {});
      const query = `fieldManager=kubectl${force ? "&force=true" : ""}`;
      return cluster.request("PATCH", `${path}?${query}`, { apiVersion, kind, metadata, spec: rest }, {
        contentType: "application/apply-patch+yaml",
      });
    };
    assertEquals((await apply(primary, { project: "first", info: [{ name: "a", value: "b" }] })).code, 201);
    await pair.start();
    await untilSame(pair);
    const moved = await runCli(["ha", "switchover", "--yes", "-a", pair.primary.admin]);
    assertEquals(moved.code, 0, moved.stdout + moved.stderr);
    assertEquals((await apply(replica, { project: "first" })).code, 200, "what is the same is no conflict");
    const conflict = await apply(replica, { project: "second" });
    assertEquals(conflict.code, 409);
    assertStringIncludes(JSON.stringify(conflict.body), "argocd-agent-ha");
    assertEquals((await apply(replica, { project: "second" }, true)).code, 200);
    assertEquals((await apply(replica, { project: "third" })).code, 200, "the field is kubectl's again");
    // Nobody told the new active that kubectl had set it.
    assert("info" in ((await get(replica, path))?.["spec"] as object));
    await until(
      async () => ((await get(primary, path))?.["spec"] as { project: string }).project === "third",
      20_000,
      () => "what was applied on the new active does not reach the old one",
    );
  },
);

for (const [name, definitions] of definitionSets().slice(1)) {
  const older = structuredClone(definitions);
  const crd = older.find(({ metadata }) => (metadata as { name: string }).name.startsWith("applications."));
  const spec = crd && schemaOf(crd).properties["spec"];
  if (spec) delete spec.properties["info"];
  Deno.test({
    ...ON_CLUSTER,
    name: `kubernetes values: with ${name}, what an older release drops is held and named; the rest is not`,
    fn: () =>
      withKubePair(definitions, { replicaDefinitions: older }, async (pair) => {
        const info = [{ name: "a", value: "b" }];
        const objects = Array.from({ length: 10 }, (_, n) => application(`known-${n}`, {}));
        await applyAll(pair.clusters.primary, [...objects, application("dropped", { info })]);
        await pair.start();
        assertEquals(await differing(pair), ["Application/edge-1/dropped"]);
        await preflighted(pair.primary, /NOT OK +fields peer .*: Application spec\.info; install/);
        await preflighted(pair.primary, /NOT OK +held peer .*drops spec\.info/);
      }),
  });
}

interface Properties {
  properties: Record<string, Properties>;
}

function schemaOf(definition: Record<string, unknown>): Properties {
  const { versions } = definition["spec"] as { versions: { schema: { openAPIV3Schema: Properties } }[] };
  return versions[0]!.schema.openAPIV3Schema;
}
