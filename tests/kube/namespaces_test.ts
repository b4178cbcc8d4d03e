/** An agent whose namespace is deleted on a real API server leaves the roster; one that has merely no Application stays. */
import { parseSettings } from "../../src/config/settings.ts";
import { application, startAgent, untilHolds } from "../support/agents.ts";
import { inWorkshop, until, untilState } from "../support/principals.ts";
import { AgentCleanup } from "../../src/principal/active/agent_cleanup.ts";
import { assert, assertEquals } from "@std/assert";
import { Cluster, ON_CLUSTER } from "./cluster.ts";
import { definitionSets } from "./crds.ts";

const [[, definitions] = ["", []]] = definitionSets();

Deno.test({
  ...ON_CLUSTER,
  name: "an agent whose namespace is deleted leaves the roster; one whose Applications are deleted stays",
  fn: () =>
    inWorkshop(async (workshop) => {
      const cluster = await Cluster.start(definitions);
      workshop.onClose(() => cluster.stop());
      for (const namespace of ["argocd", "edge-1", "edge-2"]) await cluster.namespace(namespace);
      const { settings: { store } } = parseSettings([
        ...["--namespace=argocd", "--auth=mtls:CN=([^,]+)", `--kubeconfig=${await cluster.kubeconfigFile()}`],
        "--redis-server-address=off",
      ], () => undefined);
      const own = workshop.settings("primary", 0, ["--insecure-jwt-generate"]);
      const running = await workshop.start({ ...own, store });
      await untilState(running, "active", 30_000);
      const objects = await cluster.whole();
      for (const name of ["edge-1", "edge-2"]) {
        await objects.write({ op: "put", object: application(name, "a") });
        const agent = await startAgent(workshop, running, { name });
        await untilHolds(agent, "Application", ["a"], 30_000);
        await agent.stop();
      }
      const { index, roster, fleet, activeScope } = running.core;
      const cleanup = new AgentCleanup({
        ...{ settings: { ...own, store }, store: running.core.store, index, roster, fleet, activeScope },
        log: { trace() {}, debug() {}, info() {}, warn() {}, error() {} },
      }, [200, 200, 500, 1_000, 3_000, 10_000, 30_000]);
      workshop.onClose(() => cleanup.stop());
      for (const name of ["edge-1", "edge-2"]) {
        await until(() => roster.modeOf(name) !== undefined, 30_000, () => "not on the roster");
        await cluster.request("DELETE", `/apis/argoproj.io/v1alpha1/namespaces/${name}/applications/a`);
        await until(
          () => index.present(`Application/${name}/a`) === undefined,
          30_000,
          () => "the Application stays",
        );
        cleanup.objectGone({ key: `Application/${name}/a` }, false);
      }
      await cluster.request("DELETE", "/api/v1/namespaces/edge-1");
      await until(() => roster.modeOf("edge-1") === undefined, 60_000, () => "edge-1 stays on the roster");
      assertEquals(fleet.agent("edge-1"), undefined);
      assert(roster.modeOf("edge-2") !== undefined, "edge-2 left the roster");
    }),
});
