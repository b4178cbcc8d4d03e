/**
 * An installation on real API servers: what \`install clusters\` writes is built and applied, and the pair runs with the environment that
 * the Deployment gives it, its certificates in Secrets, and exactly the rights of its service account. The API server's audit log says
 * which verbs were used: one that is granted and not used fails the test.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { installClusters } from "../../src/cli/install.ts";
import { exampleObjects } from "../../src/cli/examples.ts";
import { until } from "../support/until.ts";
import { type ApiObject, isRecord } from "../../src/domain/resources/object.ts";
import { type Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { kustomize } from "../kube/kustomize.ts";
import { definitionSets } from "../kube/crds.ts";
import { application, project, startAgent, untilHolds } from "../support/agents.ts";
import { apply, environment } from "../support/deployment.ts";
import { runCli } from "../support/processes.ts";
import { applyAll, KubePair, removeAll, SIDES } from "../support/kube_pair.ts";

const ACCOUNT = "system:serviceaccount:argocd:argocd-agent-principal";
const root = new URL("../../deploy/", import.meta.url).pathname;

const ANSWERS = {
  namespace: "argocd",
  sides: { primary: { host: "127.0.0.1", port: 443 }, replica: { host: "127.0.0.1", port: 443 } },
  front: { host: "agents.example", port: 443 },
  agents: ["edge-3"],
  days: 1,
};
const IMAGE = { name: "registry.example/argocd-agent-ha", digest: `sha256:${"a".repeat(64)}` };

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
}

/** The image is chosen by its digest, and what is not named in the policy of the network does not leave. */
function assertPinned(objects: Record<string, unknown>[]): void {
  const text = (kind: string) => JSON.stringify(objects.find((object) => object["kind"] === kind));
  assertMatch(text("Deployment"), /"image":"[^"]+@sha256:[0-9a-f]{64}"/);
  assertMatch(text("NetworkPolicy"), /"policyTypes":\["Ingress","Egress"\]/);
  const policy = objects.find(({ kind }) => kind === "NetworkPolicy") as {
    spec: { egress: { ports?: unknown[] }[] };
  };
  assert(policy.spec.egress.every(({ ports = [] }) => ports.length > 0), "a rule of egress without ports");
}

/** A kubeconfig of the principal's service account, with its token in a file, as a pod has it. */
async function accountKubeconfig(cluster: Cluster): Promise<string> {
  const path = "/api/v1/namespaces/argocd/serviceaccounts/argocd-agent-principal/token";
  const { code, body } = await cluster.request("POST", path, {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { expirationSeconds: 3_600 },
  });
  assertEquals(code, 201, JSON.stringify(body));
  assert(isRecord(body["status"]));
  Deno.writeTextFileSync(`${cluster.dir}/token`, String(body["status"]["token"]));
  return await cluster.kubeconfigFile({ tokenFile: `${cluster.dir}/token` });
}

function granted(objects: Record<string, unknown>[]): string[] {
  const rules = objects.filter(({ kind }) => kind === "Role" || kind === "ClusterRole")
    .flatMap((object) => object["rules"] as Rule[]);
  return rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`))
    )
  ).sort();
}

function used(pair: KubePair): { allowed: string[]; forbidden: string[] } {
  const requests = SIDES.flatMap((side) => pair.clusters[side].requests())
    .filter(({ user, objectRef }) => user.username === ACCOUNT && objectRef);
  const names = (forbidden: boolean) =>
    [
      ...new Set(
        requests.filter(({ responseStatus }) => (responseStatus?.code === 403) === forbidden).map(
          ({ verb, objectRef }) => {
            const { resource = "", subresource, apiGroup = "" } = objectRef ?? {};
            return `${verb} ${apiGroup}/${resource}${subresource ? `/${subresource}` : ""}`;
          },
        ),
      ),
    ].sort();
  return { allowed: names(false), forbidden: names(true) };
}

/** Every kind is created, changed and deleted, its status by itself as well, finalizers and all. */
async function everything(pair: KubePair): Promise<void> {
  const { primary } = pair.clusters;
  const keys: ApiObject = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "argocd-gpg-keys-cm", namespace: "argocd" },
    data: { key: "1" },
  };
  const objects = [...exampleObjects(), keys].map((object) => {
    if (object.kind === "Application") {
      object.metadata.finalizers = ["resources-finalizer.argocd.argoproj.io"];
    }
    return object;
  });
  await applyAll(primary, objects);
  await pair.untilEqual(30_000);
  const labelled = objects.map((object) => ({
    ...object,
    metadata: { ...object.metadata, labels: { ...object.metadata.labels, changed: "yes" } },
  }));
  await applyAll(primary, labelled);
  await pair.untilEqual(30_000);
  const status = labelled.map((object) =>
    object.kind === "Application"
      ? { ...object, status: { reconciledAt: "2026-01-02T03:04:05Z" } }
      : object.kind === "ApplicationSet"
      ? { ...object, status: { conditions: [], resourcesCount: 1 } }
      : object
  );
  await applyAll(primary, status);
  await pair.untilEqual(30_000);
  await removeAll(primary, objects.slice(1));
  // What is left: one of the objects, and Argo CD's cluster of the agent.
  await pair.untilEqual(60_000, 2);
}

/** Agents of both modes are served under the same rights. */
async function agents(pair: KubePair): Promise<void> {
  const cleanups: (() => Promise<void>)[] = [];
  const workshop = { dir: pair.dir, onClose: (cleanup: () => Promise<void>) => cleanups.push(cleanup) };
  const address = () => `127.0.0.1:${pair.primary.side.ports.grpc}`;
  try {
    await applyAll(pair.clusters.primary, [application("edge-1", "of-an-agent")]);
    const managed = await startAgent(workshop, address, { name: "edge-1" });
    const own = await startAgent(workshop, address, { name: "edge-2", mode: "autonomous" });
    own.apply("AppProject", project("own", "*"));
    own.apply("Application", application("x", "own"));
    await untilHolds(managed, "Application", ["of-an-agent"]);
    await until(
      () => managed.outbox.pending + own.outbox.pending === 0,
      20_000,
      () => `not acknowledged: ${managed.outbox.pending} and ${own.outbox.pending}\n${pair.primary.logEnd()}`,
    );
    own.remove("Application", "own");
    await until(() => own.outbox.pending === 0, 20_000, () => `not acknowledged\n${pair.primary.logEnd()}`);
  } finally {
    for (const cleanup of cleanups) await cleanup();
  }
}

/** The faults that `ha preflight` at the primary finds around either store. */
async function surroundings(pair: KubePair): Promise<string[]> {
  const { stdout } = await runCli(["ha", "preflight", "-o", "json", "-a", pair.primary.admin]);
  const { checks } = JSON.parse(stdout) as {
    checks: { name: string; ok: boolean; found: string; fix: string }[];
  };
  const about = checks.filter(({ name }) => /^(rights|definitions|namespaces) /.test(name));
  assertEquals(about.length, 6, stdout);
  return about.filter(({ ok }) => !ok).map(({ name, found, fix }) => `${name}: ${found}; ${fix}`);
}

/** Rights and definitions that the replica would need as ACTIVE, and loses. */
async function looked(pair: KubePair): Promise<void> {
  const { replica } = pair.clusters;
  assertEquals(await surroundings(pair), []);
  const role = "/apis/rbac.authorization.k8s.io/v1/namespaces/argocd/roles/argocd-agent-principal";
  const patch = [{
    op: "replace",
    path: "/rules/1/verbs",
    value: ["get", "list", "watch", "create", "delete"],
  }];
  const contentType = "application/json-patch+json";
  assertEquals((await replica.request("PATCH", role, patch, { contentType })).code, 200);
  const untilFound = async (expected: string[]) => {
    let found: string[] = [];
    await until(
      async () => (found = await surroundings(pair)).length === expected.length,
      20_000,
      () => `preflight finds ${JSON.stringify(found)}`,
    );
    assertEquals(found, expected);
  };
  const rights =
    "rights peer: may not patch secrets in argocd; kubectl apply -k deploy/overlays/… there, or " +
    "grant what deploy/base/rbac.yaml grants";
  const metric = (check: string) => pair.primary.metric(`argocd_agent_ha_preflight_ok{check="${check}"}`);
  assertEquals(await metric("rights peer"), 1);
  await untilFound([rights]);
  assertEquals(await metric("rights peer"), 0);
  const refused = await runCli(["ha", "switchover", "--yes", "-a", pair.primary.admin]);
  assertEquals(refused.code, 1);
  assertMatch(
    refused.stderr,
    /cannot switch over: replica "[^"]+" could not serve as ACTIVE: it lacks patch secrets/,
  );
  const crd = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/appprojects.argoproj.io";
  assertEquals((await replica.request("DELETE", crd)).code, 200);
  await untilFound([
    rights,
    "definitions peer: not served: AppProject (argoproj.io/v1alpha1); install Argo CD's CustomResourceDefinitions there",
  ]);
}

/** As the principal's account: what RBAC and the policy refuse, whatever a program in the pod would like. */
async function narrow(cluster: Cluster): Promise<void> {
  const attempt = async (method: string, path: string, body?: unknown) =>
    (await cluster.request(method, `/api/v1/namespaces/argocd/${path}`, body, {
      as: ACCOUNT,
      ...(method === "PATCH" ? { contentType: "application/merge-patch+json" } : {}),
    })).code;
  const configMap = (name: string) => ({ apiVersion: "v1", kind: "ConfigMap", metadata: { name } });
  const rbac = "configmaps/argocd-rbac-cm";
  const made = await cluster.request(
    "POST",
    "/api/v1/namespaces/argocd/configmaps",
    configMap("argocd-rbac-cm"),
  );
  assertEquals(made.code, 201);
  assertEquals(await attempt("GET", rbac), 403);
  assertEquals(await attempt("PATCH", rbac, { data: { "policy.csv": "g, all, role:admin" } }), 403);
  assertEquals(await attempt("DELETE", rbac), 403);
  assertEquals(await attempt("GET", "configmaps/argocd-agent-ha-state"), 200);

  for (const object of await kustomize(`${root}components/secret-guard`)) await apply(cluster, object);
  const secret = (name: string, type?: string) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, ...(type ? { labels: { "argocd.argoproj.io/secret-type": type } } : {}) },
  });
  await until(
    async () => await attempt("POST", "secrets?dryRun=All", secret("argocd-secret")) === 422,
    20_000,
    () => "the policy is not in force",
  );
  assertEquals(await attempt("PATCH", "secrets/argocd-agent-jwt", { data: { "jwt.key": "" } }), 422);
  assertEquals(await attempt("DELETE", "secrets/argocd-agent-jwt"), 422);
  const relabel = { metadata: { labels: { "argocd.argoproj.io/secret-type": "cluster" } } };
  assertEquals(await attempt("PATCH", "secrets/argocd-agent-jwt", relabel), 422);
  assertEquals(await attempt("POST", "secrets", secret("a-repository", "repository")), 201);
  assertEquals(await attempt("PATCH", "secrets/a-repository", { data: { url: "" } }), 200);
  assertEquals(await attempt("DELETE", "secrets/a-repository"), 200);
  assertEquals(await attempt("POST", "secrets?dryRun=All", secret("argocd-agent-ha-loss-1")), 201);
}

Deno.test({
  name: "install clusters: what it writes applies, and the pair runs under exactly the rights that it grants",
  ...ON_CLUSTER,
  fn: async () => {
    const folder = Deno.makeTempDirSync({ prefix: "aaha-install-" });
    await installClusters(folder, ANSWERS, IMAGE);
    const built = {
      primary: await kustomize(`${folder}/primary`),
      replica: await kustomize(`${folder}/replica`),
    };
    for (const objects of Object.values(built)) assertPinned(objects);
    for (const side of SIDES) {
      const own = await kustomize(`${root}overlays/${side}`);
      assertPinned(own);
      assertEquals(granted(own), granted(built[side]));
    }
    const pair = await KubePair.open(definitionSets().at(-1)![1], {
      cluster: { audit: true },
      prepare: async (side, cluster, dir) => {
        for (const object of built[side]) await apply(cluster, object);
        // Agents of this test are the installation's.
        for (const name of ["ca.crt", "ca.key"]) {
          Deno.copyFileSync(`${folder}/ca/${name}`, `${dir}/pki/${name}`);
        }
        const kubeconfig = await accountKubeconfig(cluster);
        // Beyond the loopback, and to a Redis, a test does not go.
        const own = {
          ARGOCD_PRINCIPAL_SERVICES_LISTEN_HOST: "",
          ARGOCD_PRINCIPAL_REDIS_SERVER_ADDRESS: "off",
        };
        const env = { ...environment(built[side]), ...own };
        // Both ways to name a cluster: the environment chooses the kubernetes store as the flag does.
        return side === "primary"
          ? { store: [], credentials: [], env: { ...env, KUBECONFIG: kubeconfig } }
          : { store: [`--kubeconfig=${kubeconfig}`], credentials: [], env };
      },
    });
    try {
      await pair.start();
      await everything(pair);
      await agents(pair);
      const rights = granted(built.primary);
      await until(
        () => rights.every((right) => used(pair).allowed.includes(right)),
        20_000,
        () =>
          `granted and not used: ${rights.filter((right) => !used(pair).allowed.includes(right)).join(", ")}`,
      );
      assertEquals(used(pair).forbidden, []);
      await narrow(pair.clusters.primary);
      await looked(pair);
    } finally {
      await pair.close();
      Deno.removeSync(folder, { recursive: true });
    }
  },
});
