/** Agents on a principal, over real mTLS. The agents are simulated (src/simagents), written from the peer's contract. */
import { assert, assertEquals } from "@std/assert";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import {
  application,
  project,
  repository,
  serving,
  startAgent,
  untilHolds,
  untilServed,
} from "../support/agents.ts";
import { inWorkshop, LOOSE, until } from "../support/principals.ts";

const put = (running: Running, object: ApiObject) => running.core.store.write({ op: "put", object });
const get = (running: Running, key: string) => running.core.store.get(key);
const drop = (running: Running, key: string) => running.core.store.write({ op: "delete", key });

/** The agent says something about an Application that it made up. */
function tell(agent: SimAgent, type: string, body: unknown): void {
  const id = crypto.randomUUID();
  agent.send({
    type,
    target: "application",
    extensions: { resourceid: id, eventid: id },
    payload: new TextEncoder().encode(JSON.stringify(body)),
  });
}

function untilStatus(running: Running, key: string, wanted: string): Promise<void> {
  let last = "";
  return until(
    async () => {
      const found = await get(running, key);
      last = JSON.stringify(found?.["status"] ?? null);
      return last.includes(wanted);
    },
    10_000,
    () => `the status of ${key} is ${last}`,
    5,
  );
}

/** Waits until nothing is on the way in either direction. */
function quiet(running: Running, agent: SimAgent): Promise<void> {
  return until(
    () => agent.outbox.pending === 0 && running.core.fleet.agent(agent.name)?.session.pending === 0,
    20_000,
    () => `something is still on the way: ${agent.outbox.pending} of the agent's`,
    5,
  );
}

Deno.test(
  "a managed agent gets what is its own, reports its status, and gets changes and deletions",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await put(running, project("shop", "edge-*"));
      await put(running, project("other", "elsewhere"));
      await put(running, repository("repo-shop", "shop"));
      await put(running, repository("repo-other", "other"));
      for (const name of ["a", "b"]) await put(running, application("edge-1", name));
      await put(running, application("edge-2", "not-mine"));
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilHolds(agent, "Application", ["a", "b"]);
      await untilHolds(agent, "AppProject", ["shop"]);
      await untilHolds(agent, "Repository", ["repo-shop"]);
      await untilStatus(running, "Application/edge-1/a", "Healthy");
      const given = agent.cluster.get("AppProject", "shop") as ApiObject & { spec: Record<string, unknown> };
      assertEquals(given.spec["destinations"], [{
        name: "in-cluster",
        server: "https://kubernetes.default.svc",
        namespace: "*",
      }]);
      assertEquals([given.spec["roles"], given.spec["sourceNamespaces"]], [undefined, undefined]);
      await quiet(running, agent);

      const before = agent.seen.events;
      await put(running, application("edge-1", "c"));
      await untilHolds(agent, "Application", ["a", "b", "c"]);
      await drop(running, "Application/edge-1/a");
      await untilHolds(agent, "Application", ["b", "c"]);
      await quiet(running, agent);
      assertEquals(
        agent.seen.events - before,
        2,
        "one event for each change, and none for the agent's own status",
      );
      assertEquals(running.core.fleet.connected, 1);
      assertEquals(agent.seen.errors, []);

      await put(running, project("shop", "nobody"));
      await untilHolds(agent, "AppProject", []);
      await untilHolds(agent, "Repository", []);
      assertEquals(agent.cluster.recreated, 0);
    }),
);

Deno.test(
  "operations reach a managed agent once, and end when it has carried them out",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await put(running, application("edge-1", "a"));
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilStatus(running, "Application/edge-1/a", "Healthy");
      const existing = await get(running, "Application/edge-1/a") as ApiObject;
      await put(running, { ...existing, operation: { sync: { revision: "main" } } });
      await untilStatus(running, "Application/edge-1/a", "Succeeded");
      await quiet(running, agent);
      assertEquals(agent.seen.operations, 1);
      assertEquals((await get(running, "Application/edge-1/a"))?.["operation"], undefined);
      const again = await get(running, "Application/edge-1/a") as ApiObject;
      await put(running, { ...again, operation: { sync: { revision: "main" } } });
      await until(() => agent.seen.operations === 2, 20_000, () => `${agent.seen.operations} operations`, 5);
      await quiet(running, agent);

      const annotations = { ...again.metadata.annotations, "argocd.argoproj.io/refresh": "normal" };
      const { operation: _, ...rest } = await get(running, "Application/edge-1/a") as ApiObject;
      await put(running, { ...rest, metadata: { ...rest.metadata, annotations } } as ApiObject);
      await until(
        async () =>
          (await get(running, "Application/edge-1/a"))?.metadata.annotations
            ?.["argocd.argoproj.io/refresh"] ===
            undefined,
        20_000,
        () => "the refresh stays",
        5,
      );
      await quiet(running, agent);
      const state = {
        operationState: { phase: "Terminating", operation: {}, startedAt: "2026-01-02T03:04:05Z" },
      };
      const types: string[] = [];
      agent.onEvent = ({ type }) => types.push(type);
      const terminated = await get(running, "Application/edge-1/a") as ApiObject;
      await put(running, { ...terminated, status: state });
      await until(() => types.includes("terminate-operation"), 20_000, () => types.join(), 5);
      assertEquals(agent.seen.errors, []);
    }),
);

Deno.test(
  "an autonomous agent's resources are kept here, and its word stands against changes made here",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const agent = await startAgent(workshop, running, { name: "auto-1", mode: "autonomous" });
      agent.apply("AppProject", project("own", "*"));
      const source = (path: string) => ({ repoURL: "https://git.example.com/a.git", path });
      agent.apply("Application", application("x", "a", { spec: { project: "own", source: source("1") } }));
      await until(async () => !!await get(running, "Application/auto-1/a"), 20_000, () => "not adopted", 5);
      await until(
        async () => !!await get(running, "AppProject/argocd/auto-1-own"),
        20_000,
        () => "not adopted",
        5,
      );
      const kept = await get(running, "Application/auto-1/a") as ApiObject & {
        spec: Record<string, unknown>;
      };
      assertEquals([kept.spec["project"], kept.spec["destination"]], ["auto-1-own", { name: "auto-1" }]);
      const { spec } = await get(running, "AppProject/argocd/auto-1-own") as ApiObject & {
        spec: { roles: { policies: string[] }[]; sourceNamespaces: string[] };
      };
      assertEquals(spec.sourceNamespaces, ["auto-1"]);
      assertEquals(spec.roles[0]?.policies, [
        "p, proj:auto-1-own:admin, applications, *, auto-1-own/auto-1/*, allow",
      ]);
      await quiet(running, agent);

      await put(running, { ...kept, spec: { ...kept.spec, source: source("changed here") } });
      const path = async () => JSON.stringify((await get(running, "Application/auto-1/a"))?.["spec"]);
      await until(
        async () => (await path())?.includes('"path":"1"') ?? false,
        20_000,
        () => "not reverted",
        5,
      );
      await drop(running, "Application/auto-1/a");
      await until(async () => !!await get(running, "Application/auto-1/a"), 20_000, () => "not made anew", 5);
      await quiet(running, agent);

      const now = await get(running, "Application/auto-1/a") as ApiObject;
      await put(running, { ...now, operation: { sync: {} } });
      await untilStatus(running, "Application/auto-1/a", "Succeeded");
      await quiet(running, agent);
      assertEquals(agent.seen.operations, 1);

      agent.remove("Application", "a");
      await until(async () => !await get(running, "Application/auto-1/a"), 20_000, () => "not deleted", 5);
      await quiet(running, agent);
      assertEquals(agent.cluster.list("Application").length, 0);
      assertEquals(agent.seen.errors, []);
    }),
);

Deno.test(
  "an agent that was away, or whose cluster lost something, converges when it comes back",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ["--ha-deletion-guard=off"]);
      const names = Array.from({ length: 1_500 }, (_, n) => `app-${n}`);
      await Promise.all(names.map((name) => put(running, application("edge-1", name))));
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilHolds(agent, "Application", names, 60_000);
      await agent.stop();
      const kept = names.slice(0, 700);
      await Promise.all(names.slice(700).map((name) => drop(running, `Application/edge-1/${name}`)));
      await put(running, application("edge-1", "new"));
      agent.cluster.delete("Application", "app-0");
      await agent.restart();
      await untilHolds(agent, "Application", [...kept, "new"], 60_000);
      await quiet(running, agent);
      assert(
        !agent.seen.errors.some((error) => !error.includes("not managed")),
        agent.seen.errors.join("\n"),
      );
    }),
);

Deno.test(
  "with destination mapping an Application is its destination's, in its own namespace, and moves with it",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ["--destination-based-mapping"]);
      const at = (name: string, destination: string, namespace = "team") => {
        const object = application(namespace, name);
        return {
          ...object,
          spec: { ...object["spec"] as object, destination: { name: destination, namespace: "x" } },
        };
      };
      await put(running, at("a", "edge-1"));
      await put(running, at("here", "in-cluster"));
      await put(running, project("shop", "edge-*"));
      const first = await startAgent(workshop, running, { name: "edge-1", namespace: "team" });
      const second = await startAgent(workshop, running, { name: "edge-2", namespace: "team" });
      await untilHolds(first, "Application", ["a"]);
      await untilStatus(running, "Application/team/a", "Healthy");
      const given = first.cluster.get("AppProject", "shop") as ApiObject & { spec: Record<string, unknown> };
      assertEquals(given.spec["sourceNamespaces"], ["edge-*"]);
      await put(running, at("a", "edge-2"));
      await untilHolds(first, "Application", []);
      await untilHolds(second, "Application", ["a"]);
      await quiet(running, second);
      tell(first, "status-update", { metadata: { name: "a", namespace: "team" }, status: { forged: true } });
      await quiet(running, first);
      assert(
        !JSON.stringify(await get(running, "Application/team/a")).includes("forged"),
        "it is the other agent's now",
      );
    }),
);

Deno.test(
  "resources are told apart from what the agent cannot apply: an error of its cluster shows in the status",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await put(running, application("edge-1", "a"));
      const agent = await startAgent(workshop, running, { name: "edge-1", controller: false });
      await untilHolds(agent, "Application", ["a"]);
      tell(agent, "error", { resourceName: "a", resourceNamespace: "argocd", message: "no such namespace" });
      await untilStatus(running, "Application/edge-1/a", "managed by agent edge-1: no such namespace");
      await quiet(running, agent);
    }),
);

Deno.test(
  "an older state of the agent's, sent again, does not come back; a cluster restored from a backup counts anew (29, 30)",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await put(running, application("edge-1", "a"));
      const agent = await startAgent(workshop, running, { name: "edge-1", controller: false });
      await untilHolds(agent, "Application", ["a"]);
      const report = async (resourceVersion: string, message: string) => {
        const metadata = { name: "a", namespace: "argocd", uid: "on the agent's cluster", resourceVersion };
        tell(agent, "status-update", { metadata, status: { health: { message } } });
        await quiet(running, agent);
        const found = await get(running, "Application/edge-1/a");
        return (found?.["status"] as { health: { message: string } }).health.message;
      };
      assertEquals(await report("100", "newer"), "newer");
      assertEquals(await report("99", "older"), "newer");
      assertEquals(await report("100", "the same again"), "the same again");
      await agent.restart();
      await untilServed(running, agent);
      assertEquals(await report("7", "restored"), "restored");
    }),
);
