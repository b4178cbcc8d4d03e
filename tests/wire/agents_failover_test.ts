/** Agents over a failover and a planned switchover: two principals, one address, agents that never learn that there are two. */
import { assert, assertEquals } from "@std/assert";
import { openSqlite } from "../../src/adapters/store/sqlite.ts";
import { type ApiObject, SOURCE_UID } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
import { PRINCIPAL_UID } from "../../src/simagents/managed.ts";
import { application, project, repository, startAgent, untilHolds, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilEqual, untilState, type Workshop } from "../support/principals.ts";

const KEYS = ["--insecure-jwt-generate"];
const GPG = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "argocd-gpg-keys-cm", namespace: "argocd" },
  data: { KEY: "armored" },
};

const put = (running: Running, object: ApiObject) => running.core.store.write({ op: "put", object });

/** A pair, and where agents are sent. */
async function pair(workshop: Workshop, flags: string[] = []) {
  const primary = await workshop.served(workshop.settings("primary", 1, [...KEYS, ...flags]));
  await untilState(primary, "active");
  const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, [...KEYS, ...flags]));
  await untilState(replica, "replicating");
  const front = { to: primary };
  return { primary, replica, address: () => `127.0.0.1:${front.to.ports.grpc}`, front };
}

Deno.test(
  "after a failover every agent converges, and nothing is made anew because UIDs differ (#831, #660, #813, #960)",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, address, front } = await pair(workshop);
      for (const object of [project("shop", "edge-*"), repository("repo", "shop"), GPG]) {
        await put(primary, object);
      }
      for (const name of ["a", "b", "gone"]) {
        await put(primary, application("edge-1", name));
      }
      const agent = await startAgent(workshop, address, { name: "edge-1" });
      const auto = await startAgent(workshop, address, {
        name: "auto-1",
        mode: "autonomous",
        firstVersion: 5_000,
      });
      auto.apply("AppProject", project("own", "*"));
      auto.apply("Application", application("x", "own-app"));
      await untilHolds(agent, "Application", ["a", "b", "gone"]);
      await until(
        async () => !!await primary.core.store.get("Application/auto-1/own-app"),
        20_000,
        () => "the autonomous Application is not here",
        5,
      );
      await untilEqual(primary, replica);
      await agent.stop();

      // What it never heard of, and what it never heard the end of.
      await put(primary, application("edge-1", "never-heard-of"));
      await primary.core.store.write({ op: "delete", key: "Application/edge-1/gone" });
      const seen = () =>
        replica.core.index.get("Application/edge-1/gone")?.deleted &&
        replica.core.index.get("Application/edge-1/never-heard-of");
      await until(() => !!seen(), 20_000, () => "not replicated", 5);
      auto.apply("Application", application("x", "made-while-dying"));
      await primary.stop();
      await untilState(replica, "disconnected");
      front.to = replica;
      await replica.operations.command("promote", false, "");
      agent.start();
      await untilHolds(agent, "Application", ["a", "b", "never-heard-of"], 15_000);
      await until(
        async () => !!await replica.core.store.get("Application/auto-1/made-while-dying"),
        15_000,
        () => `not adopted by the new active: ${JSON.stringify(auto.seen)}`,
        5,
      );
      const stamped = () => agent.cluster.get("Application", "a")?.metadata.annotations?.[PRINCIPAL_UID];
      await until(() => stamped() === replica.core.uid, 20_000, () => `stamped by ${stamped()}`, 5);
      await untilHolds(agent, "AppProject", ["shop"]);
      await untilHolds(agent, "Repository", ["repo"]);
      await untilHolds(agent, "GPGKey", ["argocd-gpg-keys-cm"]);
      assertEquals(
        [agent.cluster.recreated, agent.cluster.deleted],
        [0, 1],
        "only what was deleted is deleted",
      );
      assertEquals([auto.cluster.recreated, auto.cluster.deleted], [0, 0]);
      assert(!!await replica.core.store.get("AppProject/argocd/auto-1-own"));
    }),
);

Deno.test(
  "after a failover, who replaces an Application whole (kubectl replace, an ApplicationSet controller) does not make it another one",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, address, front } = await pair(workshop);
      for (const name of ["a", "b"]) await put(primary, application("edge-1", name));
      const agent = await startAgent(workshop, address, { name: "edge-1" });
      await untilHolds(agent, "Application", ["a", "b"]);
      await untilEqual(primary, replica);
      // One while it is a replica, which the promotion restores, one while it is ACTIVE.
      const replaced = (name: string, revision: string) => {
        const object = application("edge-1", name);
        Object.assign((object["spec"] as { source: object }).source, { targetRevision: revision });
        return object;
      };
      const uid = (name: string) =>
        agent.cluster.get("Application", name)?.metadata.annotations?.[SOURCE_UID];
      const first = { a: uid("a"), b: uid("b") };
      await primary.stop();
      await untilState(replica, "disconnected");
      await put(replica, replaced("a", "as a replica"));
      await until(
        () => replica.core.index.get("Application/edge-1/a")?.payload.includes("as a replica") ?? false,
        20_000,
        () => "not seen",
        5,
      );
      await replica.operations.command("promote", false, "");
      front.to = replica;
      await put(replica, replaced("b", "as the ACTIVE"));
      const revision = (name: string) =>
        (agent.cluster.get("Application", name)?.["spec"] as { source: { targetRevision: string } }).source
          .targetRevision;
      await until(
        () => revision("a") === "main" && revision("b") === "as the ACTIVE",
        15_000,
        () => `${revision("a")}, ${revision("b")}`,
        5,
      );
      const stored = openSqlite(`${workshop.dir}/replica.db`, { verify: false });
      workshop.onClose(() => stored.close());
      for (const name of ["a", "b"] as const) {
        await until(
          async () =>
            (await stored.get(`Application/edge-1/${name}`))?.metadata.annotations?.[SOURCE_UID] ===
              first[name],
          20_000,
          () => `the annotation of ${name} is not written back`,
          5,
        );
      }
      await replica.stop();
      front.to = await workshop.start(workshop.settings("replica", 1, KEYS));
      await untilServed(front.to, agent);
      await put(front.to, application("edge-1", "c"));
      await untilHolds(agent, "Application", ["a", "b", "c"]);
      assertEquals([agent.cluster.recreated, agent.cluster.deleted], [0, 0]);
      assertEquals({ a: uid("a"), b: uid("b") }, first);
    }),
);

Deno.test(
  "at a planned demotion, what agents were told is done is on the replica",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, address, front } = await pair(workshop);
      const agent = await startAgent(workshop, address, { name: "auto-1", mode: "autonomous" });
      await untilServed(primary, agent);
      let n = 0;
      const writing = setInterval(() => agent.apply("Application", application("x", `app-${n++}`)), 2);
      await until(() => primary.core.index.size > 50, 20_000, () => "nothing is adopted", 5);
      await primary.operations.command("demote", false, "");
      const acknowledged = n - agent.outbox.pending;
      clearInterval(writing);
      front.to = replica;
      await until(
        () => replica.core.model().state !== "replicating",
        20_000,
        () => `the replica is ${replica.core.model().state}`,
        5,
      ).catch(() => {});
      const there = (await replica.core.store.list("Application")).length;
      assert(there >= acknowledged, `${acknowledged} acknowledged, ${there} on the replica`);
      await replica.operations.command("promote", true, "");
      await until(
        async () => (await replica.core.store.list("Application")).length === n,
        15_000,
        () => "the new active does not get the rest",
        20,
      );
      assertEquals(agent.cluster.deleted, 0);
    }),
);
