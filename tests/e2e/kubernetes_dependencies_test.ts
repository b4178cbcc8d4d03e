/** Two real API servers: an ApplicationSet's cluster Secret that is on one side only, and a controller that writes on the standby. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import { until } from "../support/until.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { applyAll, type KubePair, withKubePair } from "../support/kube_pair.ts";
import { runCli } from "../support/processes.ts";

const MERGE_PATCH = { contentType: "application/merge-patch+json" };
const CONTROLLER = "argocd-application-controller";
const FLAP_MS = 700;

const argo = (kind: string, name: string, spec: unknown, namespace = "argocd"): ApiObject => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind,
  metadata: { name, namespace },
  spec,
});

function secret(name: string, type: string, data: Record<string, string>, labels = {}): ApiObject {
  const fields = Object.entries(data).map(([field, value]) => [field, btoa(value)]);
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "argocd", labels: { "argocd.argoproj.io/secret-type": type, ...labels } },
    type: "Opaque",
    data: Object.fromEntries(fields),
  };
}

const cluster = (name: string, address: string, labels = {}) =>
  secret(`cluster-${name}`, "cluster", { name, server: `https://${address}` }, { region: "eu", ...labels });

const STAYS = { "argocd-agent.argoproj-labs.io/ignore-sync": "true" };
const source = { repoURL: "https://git.example.com/fleet.git", path: "agent", targetRevision: "main" };
const fleet = argo("ApplicationSet", "fleet", {
  generators: [{ clusters: { selector: { matchLabels: { region: "eu" } } } }],
  template: {
    metadata: { name: "fleet-{{name}}" },
    spec: { project: "default", source, destination: { name: "{{name}}", namespace: "fleet" } },
  },
});
const inCluster = { server: "https://kubernetes.default.svc", namespace: "argocd" };
const root = argo("Application", "root", { project: "default", source, destination: inCluster });

async function named(pair: KubePair): Promise<void> {
  const { primary, replica } = pair.clusters;
  const there = async (name: string) =>
    (await replica.request("GET", `/api/v1/namespaces/argocd/secrets/${name}`)).code === 200;
  for (const name of ["cluster-west", "push"]) assert(await there(name), `${name} is not replicated`);
  assert(!await there("cluster-east"), "what is labelled stays");
  const path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/root";
  assertEquals((await replica.request("GET", path)).code, 404, "the hub's own Application is copied");
  const preflight = await runCli(["ha", "preflight", "-a", pair.primary.admin]);
  assertEquals(preflight.code, 1);
  const line = 'Secret/argocd/cluster-east: ApplicationSet/argocd/fleet generates from it as cluster "east"';
  assertStringIncludes(preflight.stdout, line);
  assertStringIncludes(preflight.stdout, "1 Application of Argo CD's own cluster is not replicated");
  const dry = await runCli(["ha", "switchover", "--dry-run", "-a", pair.primary.admin]);
  assertEquals(dry.code, 1);
  assertStringIncludes(dry.stderr, line);
  await applyAll(replica, [cluster("east", "proxy-b.example.com", STAYS)]);
  await until(
    async () =>
      !(await runCli(["ha", "preflight", "-a", pair.primary.admin])).stdout.includes("dependencies peer"),
    15_000,
    () => "it is missing still",
    500,
  );
  assert(await there("cluster-east"));
  const { body } = await primary.request("GET", "/api/v1/namespaces/argocd/secrets/cluster-east");
  assertEquals(atob((body["data"] as Record<string, string>)["server"] ?? ""), "https://proxy-a.example.com");
}

/** An application controller runs on the standby, and sets the status of each copy all the time. */
async function flapping(pair: KubePair, names: string[]): Promise<void> {
  const { replica } = pair.clusters;
  let n = 0;
  const flap = () =>
    Promise.all(names.map((path) =>
      replica.request(
        "PATCH",
        `/apis/argoproj.io/v1alpha1/namespaces/${path}?fieldManager=${CONTROLLER}`,
        { status: { reconciledAt: new Date(1_700_000_000_000 + 1_000 * n++).toISOString() } },
        MERGE_PATCH,
      )
    ));
  const timer = setInterval(() => void flap().catch(() => {}), FLAP_MS);
  try {
    const command = `kubectl -n argocd scale statefulset ${CONTROLLER} --replicas=0`;
    await until(
      async () => (await runCli(["ha", "preflight", "-a", pair.primary.admin])).stdout.includes(command),
      30_000,
      () => `the controller is not named:\n${pair.replica.logEnd(30)}`,
      500,
    );
    assertStringIncludes((await runCli(["ha", "status", "-a", pair.replica.admin])).stdout, command);
    const moved = await runCli(["ha", "switchover", "--yes", "-a", pair.primary.admin]);
    assertEquals(moved.code, 0, `${moved.stdout}${moved.stderr}`);
    assertStringIncludes(moved.stdout, "lost           0 acknowledged changes");
  } finally {
    clearInterval(timer);
  }
}

for (const [name, definitions] of definitionSets()) {
  Deno.test({
    ...ON_CLUSTER,
    name:
      `kubernetes with ${name}: what resources name and the standby lacks, and a controller that writes there`,
    fn: () =>
      withKubePair(definitions, {}, async (pair) => {
        const applications = [0, 1, 2].map(generatedApplication);
        const copied = [
          cluster("west", "west.example.com"),
          secret("push", "repository-write", { url: source.repoURL }),
        ];
        const staying = [cluster("east", "proxy-a.example.com", STAYS), root];
        await applyAll(pair.clusters.primary, [fleet, ...copied, ...staying, ...applications]);
        await pair.start();
        await pair.untilEqual(30_000, 1 + copied.length + applications.length);
        await named(pair);
        const paths = applications.map(({ metadata }) =>
          `${metadata.namespace}/applications/${metadata.name}`
        );
        await flapping(pair, paths);
      }),
  });
}
