/** No object is fatal, whoever sends it and wherever it is already: it is refused or withheld, named, and everything else goes on. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { sha256 } from "../../src/base/sha256.ts";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import type { Running } from "../../src/serve.ts";
import { application, project, serving, startAgent, untilHolds, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState, type Workshop } from "../support/principals.ts";

/** An Application's text whose Helm values are arrays in arrays. */
function nested(name: string, depth: number, namespace = "auto-1"): string {
  const object = application(namespace, name, {
    spec: {
      project: "default",
      source: {
        repoURL: "https://git.example.com/a.git",
        path: "a",
        helm: { valuesObject: { deep: "HERE" } },
      },
      destination: { name: namespace, namespace: "default" },
    },
  });
  return JSON.stringify(object).replace('"HERE"', "[".repeat(depth) + "]".repeat(depth));
}

function event(payload: string, id: string): AgentEvent {
  return {
    type: "create",
    target: "application",
    extensions: { eventid: id, resourceid: id },
    payload: new TextEncoder().encode(payload),
  };
}

const refusals = (workshop: Workshop, reason: string) =>
  workshop.logs.filter((line) => line.includes("refused") && line.includes(reason));

async function pair(workshop: Workshop): Promise<{ active: Running; replica: Running }> {
  const active = await serving(workshop);
  const replica = await workshop.start(workshop.settings("replica", active.ports.grpc));
  await untilState(replica, "replicating");
  return { active, replica };
}

/** Puts an object into a closed store, as a release without bounds did. */
function plant(path: string, name: string, body: string, namespace = "auto-1"): void {
  const database = new DatabaseSync(path);
  const { value } = database.prepare(
    "UPDATE counters SET value = value + 1 WHERE name = 'revision' RETURNING value",
  ).get() as { value: number };
  database.prepare(
    "INSERT INTO objects (kind, namespace, name, revision, deleted, body, sum) VALUES (?, ?, ?, ?, 0, ?, ?)",
  ).run("Application", namespace, name, value, body, sha256(body).slice(0, 32));
  database.close();
}

Deno.test(
  "an Application nested 5,000 and 10,000 deep from an agent is refused and acknowledged, and both sides start again",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { active, replica } = await pair(workshop);
      const agent = await startAgent(workshop, active, { name: "auto-1", mode: "autonomous" });
      await untilServed(active, agent);
      for (const depth of [501, 5_000, 10_000, 200_000]) {
        agent.send(event(nested(`deep-${depth}`, depth), `d${depth}`));
      }
      agent.send(event(nested("flat", 100), "flat"));
      const has = (side: Running) =>
        [...side.core.index.live()].map(({ key }) => key).filter((key) => key.startsWith("Application/"));
      await until(() => has(replica).length > 0, 10_000, () => workshop.logs.slice(-5).join("\n"), 5);
      assertEquals(has(active), ["Application/auto-1/flat"]);
      await until(
        () => agent.outbox.pending === 0,
        10_000,
        () => `${agent.outbox.pending} events are not acknowledged`,
        5,
      );
      assert(
        refusals(workshop, "nested deeper than 500 levels").length > 0,
        workshop.logs.slice(-9).join("\n"),
      );
      for (const side of [replica, active]) await side.stop();
      const again = await serving(workshop);
      assertEquals(has(again), ["Application/auto-1/flat"]);
    }),
);

Deno.test(
  "what a store has beyond the bounds is withheld and named: both sides run, serve the rest and delete nothing",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const first = await pair(workshop);
      await first.active.core.store.write({ op: "put", object: project("default", "*") });
      await first.active.core.store.write({ op: "put", object: application("edge-1", "good") });
      await until(
        () => first.replica.core.index.size === first.active.core.index.size,
        10_000,
        () => "not replicated",
        5,
      );
      await first.replica.stop();
      await first.active.stop();
      for (const side of ["primary", "replica"]) {
        const path = `${workshop.dir}/${side}.db`;
        for (const depth of [5_000, 10_000]) {
          plant(path, `deep-${depth}`, nested(`deep-${depth}`, depth, "edge-1"), "edge-1");
        }
        plant(path, "deep-number", nested("deep-number", 5_000, "edge-1").replace("[]", "[1.10]"), "edge-1");
      }
      const { active, replica } = await pair(workshop);
      for (const side of [active, replica]) {
        const { unusable } = side.core.operations.report().concerns;
        assertEquals(unusable?.count, 3);
        assertStringIncludes(
          unusable?.examples.join() ?? "",
          "Application/edge-1/deep-5000: the object is nested deeper",
        );
      }
      const agent = await startAgent(workshop, active, { name: "edge-1" });
      await untilHolds(agent, "Application", ["good"]);
      await active.core.store.write({ op: "put", object: application("edge-1", "later") });
      await untilHolds(agent, "Application", ["good", "later"]);
      // It is corrected like any other object.
      await active.core.store.write({ op: "put", object: application("edge-1", "deep-5000") });
      await active.core.store.write({ op: "delete", key: "Application/edge-1/deep-10000" });
      await active.core.store.write({ op: "delete", key: "Application/edge-1/deep-number" });
      await untilHolds(agent, "Application", ["good", "later", "deep-5000"]);
      assertEquals(active.core.operations.report().concerns.unusable?.count ?? 0, 0);
    }),
);
