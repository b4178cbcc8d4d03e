/** An agent that its operator takes away: its cluster Secret is deleted, or given to another agent. */
import { assert, assertEquals } from "@std/assert";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
import { application, serving, startAgent, untilHolds, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until } from "../support/principals.ts";

const AGENT_NAME = "argocd-agent.argoproj-labs.io/agent-name";

const clusterSecret = (name: string, agent: string): ApiObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: {
    name,
    namespace: "argocd",
    labels: { "argocd.argoproj.io/secret-type": "cluster", [AGENT_NAME]: agent },
  },
  data: { name: btoa(agent), server: btoa(`https://proxy:9090?agentName=${agent}`) },
});

const onRoster = (running: Running, agent: string) => running.core.roster.modeOf(agent) !== undefined;
const put = (running: Running, object: ApiObject) => running.core.store.write({ op: "put", object });
const remove = (running: Running, name: string) =>
  running.core.store.write({ op: "delete", key: `Secret/argocd/${name}` });
const clusterOf = (running: Running, agent: string, there: boolean) =>
  until(
    () => (running.core.clusters.of(agent) !== undefined) === there,
    20_000,
    () => `agent ${agent} ${there ? "has no" : "has a"} cluster`,
  );

Deno.test(
  "an agent whose cluster Secret is deleted is cut off, and comes back with what it had",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await put(running, application("edge-1", "a"));
      for (const name of ["cluster-edge-1", "of-hand"]) await put(running, clusterSecret(name, "edge-1"));
      await clusterOf(running, "edge-1", true);
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilHolds(agent, "Application", ["a"], 20_000);
      await remove(running, "cluster-edge-1");
      await until(() => running.core.clusters.of("edge-1") !== undefined, 20_000, () => "no Secret is left");
      const cutOff = () => workshop.logs.filter((line) => line.includes("agent left the roster"));
      assertEquals(cutOff(), [], "another Secret names the agent");
      await remove(running, "of-hand");
      await until(() => cutOff().length === 1, 20_000, () => workshop.logs.slice(-5).join("\n"));
      assert(cutOff()[0]?.includes('the cluster Secret of agent \\"edge-1\\" is gone'), cutOff()[0]);
      await until(() => agent.seen.ends.length > 0, 20_000, () => "the stream goes on");
      await untilServed(running, agent);
      await untilHolds(agent, "Application", ["a"], 20_000);
      assertEquals(agent.cluster.recreated, 0);
      await until(() => onRoster(running, "edge-1"), 20_000, () => "it is not on the roster again");
    }),
);

Deno.test(
  "an agent that is away leaves the roster with its cluster Secret, and the other agents stay",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const agents = ["edge-1", "edge-2"];
      for (const agent of agents) await put(running, clusterSecret(`cluster-${agent}`, agent));
      for (const name of agents) {
        const agent = await startAgent(workshop, running, { name });
        await untilServed(running, agent);
        await agent.stop();
        await until(() => running.core.fleet.agent(name)?.stream === undefined, 20_000, () => "still served");
      }
      await until(() => agents.every((name) => onRoster(running, name)), 20_000, () => "not on the roster");
      // Its label names another agent from now on.
      await put(running, clusterSecret("cluster-edge-1", "edge-9"));
      await until(() => !onRoster(running, "edge-1"), 20_000, () => "edge-1 is still on the roster");
      assertEquals(running.core.fleet.agent("edge-1"), undefined);
      assert(onRoster(running, "edge-2"));
    }),
);
