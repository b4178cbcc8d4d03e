/** Agents of a pair on two real API servers: what users do with kubectl and Argo CD's UI, and a failover, end to end. */
import { assert, assertEquals } from "@std/assert";
import { until } from "../support/until.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { Front } from "../../src/simagents/front.ts";
import { type Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { application, project, repository, startAgent, untilHolds } from "../support/agents.ts";
import { applyAll, type KubePair, withKubePair } from "../support/kube_pair.ts";
import { runCli } from "../support/processes.ts";

const path = (namespace: string, name: string) =>
  `/apis/argoproj.io/v1alpha1/namespaces/${namespace}/applications/${name}`;

async function get(cluster: Cluster, namespace: string, name: string): Promise<ApiObject | undefined> {
  const { code, body } = await cluster.request("GET", path(namespace, name));
  return code === 200 ? body as ApiObject : undefined;
}

/** Waits until a resource of a cluster satisfies a condition. */
function untilThere(
  cluster: Cluster,
  namespace: string,
  name: string,
  holds: (found: ApiObject | undefined) => boolean,
  pair: KubePair,
): Promise<void> {
  let last: ApiObject | undefined;
  return until(
    async () => holds(last = await get(cluster, namespace, name)),
    20_000,
    () =>
      `${namespace}/${name} is ${JSON.stringify(last)}\n${pair.primary.logEnd()}\n${pair.replica.logEnd()}`,
  );
}

const has = (text: string) => (found: ApiObject | undefined) =>
  JSON.stringify(found?.["status"] ?? "").includes(text);

for (const [name, definitions] of definitionSets()) {
  Deno.test({
    ...ON_CLUSTER,
    name:
      `kubernetes with ${name}: agents get, report, operate and delete; after a failover nothing is made anew`,
    fn: () =>
      withKubePair(
        definitions,
        { flags: ["--namespace-create-enable", "--namespace-create-pattern=^auto-"] },
        async (pair) => {
          const cleanups: (() => Promise<void>)[] = [];
          const workshop = {
            dir: pair.dir,
            onClose: (cleanup: () => Promise<void>) => cleanups.push(cleanup),
          };
          try {
            await pair.start();
            const front = new Front(() => [pair.primary.side.ports, pair.replica.side.ports]);
            cleanups.push(() => front.close());
            await story(pair, await startAgent(workshop, () => front.address, { name: "edge-1" }), {
              auto: await startAgent(workshop, () => front.address, { name: "auto-1", mode: "autonomous" }),
            });
          } finally {
            for (const cleanup of cleanups.reverse()) await cleanup();
          }
        },
      ),
  });
}

async function story(pair: KubePair, agent: SimAgent, { auto }: { auto: SimAgent }): Promise<void> {
  const { primary, replica } = pair.clusters;
  const finalizers = ["resources-finalizer.argocd.argoproj.io"];
  const leaving = application("edge-1", "leaving");
  leaving.metadata.finalizers = finalizers;
  await applyAll(primary, [
    project("shop", "edge-*"),
    repository("repo", "shop"),
    application("edge-1", "a"),
    leaving,
  ]);
  await untilHolds(agent, "Application", ["a", "leaving"]);
  await untilHolds(agent, "Repository", ["repo"]);
  await untilThere(primary, "edge-1", "a", has("Healthy"), pair);

  // A sync from the UI is one operation, carried out once.
  const patch = [{ op: "add", path: "/operation", value: { sync: { revision: "main" } } }];
  await primary.request("PATCH", path("edge-1", "a"), patch, { contentType: "application/json-patch+json" });
  await untilThere(primary, "edge-1", "a", (found) => has("Succeeded")(found) && !found?.["operation"], pair);
  assertEquals(agent.seen.operations, 1);

  // A deletion waits for the agent, and is not hurried by its reports.
  const reporting = setInterval(
    () =>
      agent.report("leaving", (one) => ({
        ...one,
        status: { health: { status: "Progressing", message: String(Date.now()) } },
      })),
    20,
  );
  await primary.request("DELETE", path("edge-1", "leaving"));
  await untilThere(primary, "edge-1", "leaving", (found) => found === undefined, pair);
  clearInterval(reporting);
  await untilHolds(agent, "Application", ["a"]);

  // An autonomous agent's namespace is made, and its word stands.
  auto.apply("AppProject", project("own", "*"));
  auto.apply("Application", application("x", "own-app"));
  await untilThere(primary, "auto-1", "own-app", (found) => found !== undefined, pair);
  const spoil = [{ op: "replace", path: "/spec/source/path", value: "spoiled" }];
  await primary.request("PATCH", path("auto-1", "own-app"), spoil, {
    contentType: "application/json-patch+json",
  });
  await untilThere(
    primary,
    "auto-1",
    "own-app",
    (found) => JSON.stringify(found).includes('"path":"own-app"'),
    pair,
  );
  await untilThere(replica, "auto-1", "own-app", (found) => found !== undefined, pair);
  await pair.untilEqual();

  await agent.stop();
  await applyAll(primary, [application("edge-1", "unheard-of")]);
  await untilThere(replica, "edge-1", "unheard-of", (found) => found !== undefined, pair);
  const deleted = [agent.cluster.deleted, auto.cluster.deleted];
  await pair.primary.kill("SIGKILL");
  await pair.replica.untilState("disconnected");
  const promoted = await runCli(["ha", "promote", "--yes", "--force", "-a", pair.replica.admin]);
  assertEquals(promoted.code, 0, promoted.stderr);
  agent.start();
  await untilHolds(agent, "Application", ["a", "unheard-of"], 20_000);
  await until(() => auto.connected, 20_000, () => `not connected: ${auto.seen.ends.slice(-3)}`);
  auto.report("own-app", (one) => ({ ...one, status: { health: { status: "Progressing" } } }));
  await untilThere(replica, "auto-1", "own-app", has("Progressing"), pair);
  await untilThere(replica, "edge-1", "unheard-of", has("Healthy"), pair);
  assertEquals([agent.cluster.recreated, auto.cluster.recreated], [0, 0]);
  assertEquals([agent.cluster.deleted, auto.cluster.deleted], deleted);
  assert(agent.seen.errors.every((error) => error.includes("not managed")), agent.seen.errors.join("\n"));
}
