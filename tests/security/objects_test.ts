/** No object is fatal, whoever sends it and wherever it is already: it is refused or withheld, named, and everything else goes on. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { DatabaseSync } from "node:sqlite";
import { sha256 } from "../../src/base/sha256.ts";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import type { Running } from "../../src/serve.ts";
import {
  application,
  nested,
  project,
  serving,
  startAgent,
  untilHolds,
  untilServed,
} from "../support/agents.ts";
import { freePorts } from "../../src/cli/processes.ts";
import { runCli } from "../support/processes.ts";
import { inWorkshop, LOOSE, until, untilState, type Workshop } from "../support/principals.ts";

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
  const [one = 0, other = 0] = freePorts(2);
  const settings = workshop.settings("primary", 0, ["--insecure-jwt-generate"]);
  const active = await workshop.start({ ...settings, metricsPort: one });
  await untilState(active, "active");
  const follower = workshop.settings("replica", active.ports.grpc);
  const replica = await workshop.start({ ...follower, metricsPort: other });
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
    "INSERT OR REPLACE INTO objects (kind, namespace, name, revision, deleted, body, sum) VALUES (?, ?, ?, ?, 0, ?, ?)",
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
      agent.send(event(nested("half", 1).replace('"repoURL":', '"unknown":'), "half"));
      agent.send(event(nested("flat", 100), "flat"));
      const has = (side: Running) =>
        [...side.core.index.live()].map(({ key }) => key).filter((key) => key.startsWith("Application/"));
      await until(() => has(replica).length > 0, 20_000, () => workshop.logs.slice(-5).join("\n"), 5);
      assertEquals(has(active), ["Application/auto-1/flat"]);
      await until(
        () => agent.outbox.pending === 0,
        20_000,
        () => `${agent.outbox.pending} events are not acknowledged`,
        5,
      );
      assert(
        refusals(workshop, "nested deeper than 500 levels").length > 0,
        workshop.logs.slice(-9).join("\n"),
      );
      assert(
        refusals(workshop, "spec.source.repoURL is missing").length > 0,
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
        20_000,
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

Deno.test(
  "a withheld object of which the other side has an older copy differs, and it is said why no repair helps",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const first = await pair(workshop);
      await first.active.core.store.write({ op: "put", object: application("edge-1", "a") });
      const copied = (side: Running) => side.core.index.present("Application/edge-1/a") !== undefined;
      await until(() => copied(first.replica), 20_000, () => "not replicated", 5);
      await first.replica.stop();
      await first.active.stop();
      plant(`${workshop.dir}/primary.db`, "a", nested("a", 600, "edge-1"), "edge-1");
      const { replica } = await pair(workshop);
      assert(copied(replica), "the older copy is gone");
      await runCli(["ha", "preflight", "-a", `127.0.0.1:${replica.ports.admin}`]);
      const { differing } = replica.core.operations.report().concerns;
      assertEquals(differing?.examples, [
        "Application/edge-1/a: the other side's state of it cannot be used",
      ]);
      assert(copied(replica), "the older copy is gone");
    }),
);

Deno.test(
  "an agent, its labels and its resources may be named like what every object has: all is shown and served",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { active, replica } = await pair(workshop);
      const names = ["constructor", "tostring", "valueof", "hasownproperty"];
      for (const name of names) {
        const agent = await startAgent(workshop, active, { name, mode: "autonomous" });
        await untilServed(active, agent);
        const text = JSON.stringify({
          ...application(name, name),
          metadata: {
            name,
            namespace: name,
            labels: { constructor: "a", toString: "b" },
            annotations: { constructor: "a", hasOwnProperty: "b" },
          },
          status: { constructor: { prototype: 1 } },
        });
        agent.send(
          event(
            text.replace('"labels":{', '"labels":{"__proto__":"c",').replace(
              '"status":{',
              '"status":{"__proto__":{"x":1},',
            ),
            name,
          ),
        );
      }
      for (const target of ["constructor", "__proto__", "toString"]) {
        const agent = await startAgent(workshop, active, { name: "other", mode: "managed" });
        agent.send({ ...event("{}", target), target, type: target });
        agent.send({
          ...event(
            JSON.stringify({ kind: target, name: "a", namespace: "b", uid: "", checksum: "" }),
            `r${target}`,
          ),
          target: "resourceResync",
          type: "request-update",
        });
        await until(() => agent.outbox.pending === 0, 20_000, () => "not acknowledged", 5);
        await agent.stop();
      }
      const keys = names.map((name) => `Application/${name}/${name}`);
      await until(
        () => keys.every((key) => replica.core.index.present(key)),
        20_000,
        () => workshop.logs.slice(-9).join("\n"),
        5,
      );
      const payload = replica.core.index.present("Application/constructor/constructor")?.payload ?? "";
      assertStringIncludes(payload, '"labels":{"__proto__":"c","constructor":"a","toString":"b"}');
      assertStringIncludes(payload, '"status":{"__proto__":{"x":1},"constructor":{"prototype":1}}');
      for (const side of [active, replica]) {
        const metrics = await fetch(`http://127.0.0.1:${side.ports.metrics}/metrics`);
        const text = await metrics.text();
        assertEquals(metrics.status, 200, text);
        if (side === active) assertStringIncludes(text, 'agent_name="constructor"');
        for (const query of ["maxLagMs=constructor", "__proto__=1", "constructor"]) {
          const ready = await fetch(`http://127.0.0.1:${side.ports.healthz}/readyz?${query}`);
          await ready.body?.cancel();
          assert([200, 400, 503].includes(ready.status), String(ready.status));
        }
      }
      const status = await runCli(["ha", "status", "-a", `127.0.0.1:${active.ports.admin}`, "-o", "json"]);
      assertEquals(status.code, 0, status.stderr);
    }),
);

Deno.test(
  "store apply of a Pod, of an Application without a spec and of one too deep is refused in a line, and the rest is applied",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const file = `${workshop.dir}/objects.json`;
      const apply = async (...objects: string[]) => {
        Deno.writeTextFileSync(file, `{"apiVersion":"v1","kind":"List","items":[${objects.join()}]}`);
        return await runCli(["store", "apply", "-f", file, "--store", `sqlite:${workshop.dir}/primary.db`]);
      };
      const text = (object: Record<string, unknown>) => JSON.stringify(object);
      const good = application("edge-1", "good");
      const done = await apply(
        text({ apiVersion: "v1", kind: "Pod", metadata: { name: "pod", namespace: "argocd" }, spec: {} }),
        text({
          apiVersion: "argoproj.io/v1alpha1",
          kind: "Application",
          metadata: { name: "bare", namespace: "edge-1" },
        }),
        text({
          ...good,
          metadata: { name: "wrong", namespace: "edge-1" },
          spec: { project: 1, destination: {} },
        }),
        text({
          ...good,
          metadata: { name: "half", namespace: "edge-1" },
          spec: { project: "default", destination: {}, sources: [{ path: "a" }] },
        }),
        nested("deep", 600, "edge-1"),
        text(good),
      );
      assertEquals(done.code, 1);
      assertStringIncludes(
        done.stderr,
        "pod/pod: cannot store this object: Pod (v1) is no kind that is kept here; kept are AppProject",
      );
      assertStringIncludes(
        done.stderr,
        "application.argoproj.io/bare: cannot store this object: spec is missing",
      );
      assertStringIncludes(
        done.stderr,
        "application.argoproj.io/wrong: cannot store this object: spec.project must be of type string",
      );
      assertStringIncludes(
        done.stderr,
        "application.argoproj.io/half: cannot store this object: spec.sources[0].repoURL is missing",
      );
      assertStringIncludes(
        done.stderr,
        "application.argoproj.io/deep: cannot store this object: the object is nested deeper than 500 levels",
      );
      assertStringIncludes(done.stdout, "application.argoproj.io/good created");
      const yaml = await apply(
        text({ ...good, spec: { deep: "HERE" } }).replace('"HERE"', "[".repeat(20_000) + "]".repeat(20_000)),
      );
      assertEquals(yaml.code, 1);
      assertStringIncludes(yaml.stderr, "nested too deep");
      const deleted = await runCli([
        "store",
        "get",
        "applications",
        "-A",
        "-o",
        "yaml",
        "--store",
        `sqlite:${workshop.dir}/primary.db`,
      ]);
      assertEquals(deleted.code, 0, deleted.stderr);
      await running.stop();
    }),
);

Deno.test(
  "what is withheld can be listed, printed and deleted with the store commands, beside a running principal",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const first = await serving(workshop);
      await first.stop();
      plant(`${workshop.dir}/primary.db`, "deep", nested("deep", 10_000, "edge-1"), "edge-1");
      const running = await serving(workshop);
      const store = ["--store", `sqlite:${workshop.dir}/primary.db`];
      for (const output of ["table", "json", "yaml"]) {
        const shown = await runCli([
          "store",
          "get",
          "applications",
          "deep",
          "-n",
          "edge-1",
          "-o",
          output,
          ...store,
        ]);
        assertEquals(shown.code, 0, shown.stderr);
        assertStringIncludes(shown.stdout, "deep");
      }
      const status = await runCli(["ha", "status", "-a", `127.0.0.1:${running.ports.admin}`]);
      assertStringIncludes(status.stdout, "1 object of this store cannot be used");
      const deleted = await runCli(["store", "delete", "application", "deep", "-n", "edge-1", ...store]);
      assertEquals(deleted.code, 0, deleted.stderr);
      await until(() => running.core.index.withheld.size === 0, 20_000, () => "still withheld", 5);
    }),
);

Deno.test(
  "ha drill names an Application without a spec that an older release stored, and shows no internal error",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const first = await pair(workshop);
      await first.active.core.store.write({ op: "put", object: application("edge-1", "good") });
      await until(
        () => first.replica.core.index.present("Application/edge-1/good") !== undefined,
        20_000,
        () => "not replicated",
        5,
      );
      await first.replica.stop();
      await first.active.stop();
      const bare = {
        apiVersion: "argoproj.io/v1alpha1",
        kind: "Application",
        metadata: { name: "bare", namespace: "edge-1", uid: "u" },
      };
      for (const side of ["primary", "replica"]) {
        plant(`${workshop.dir}/${side}.db`, "bare", JSON.stringify(bare), "edge-1");
      }
      const { replica } = await pair(workshop);
      const done = await runCli(["ha", "drill", "-a", `127.0.0.1:${replica.ports.admin}`]);
      const text = done.stdout + done.stderr;
      assertStringIncludes(text, "Application/edge-1/bare: cannot store this object: spec is missing");
      assert(!text.includes("TypeError") && !text.includes("undefined"), text);
    }),
);
