/** Every number arrives as it was: through both contracts of replication, agents, repairs, the loss manifest and the command line. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { canonicalJson, parseJson } from "../../src/base/json.ts";
import { specChecksum } from "../../src/domain/agents/checksum.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
import { Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { application, serving, startAgent, untilHolds } from "../support/agents.ts";
import { KEPT_JSON, NUMBERS_JSON } from "../support/numbers.ts";
import {
  inWorkshop,
  LOOSE,
  Proxy,
  until,
  untilEqual,
  untilState,
  type Workshop,
} from "../support/principals.ts";
import { runCli } from "../support/processes.ts";

const SORTED = canonicalJson(parseJson(NUMBERS_JSON));

/** An Application whose Helm values are this JSON. */
function valued(values: string, name = "a", agent = "edge-1"): ApiObject {
  const source = { repoURL: "https://git.example.com/a.git", helm: { valuesObject: parseJson(values) } };
  return application(agent, name, { spec: { project: "default", destination: { name: agent }, source } });
}

function valuesOf(object: ApiObject | undefined): string {
  const spec = object?.["spec"] as { source?: { helm?: { valuesObject?: unknown } } } | undefined;
  return canonicalJson(spec?.source?.helm?.valuesObject ?? null);
}

const KEY = "Application/edge-1/a";
const put = (running: Running, object: ApiObject) => running.core.store.write({ op: "put", object });
const held = async (running: Running, key = KEY) => valuesOf(await running.core.store.get(key));

function untilHeld(running: Running, wanted: string): Promise<void> {
  let last = "";
  return until(async () => (last = await held(running)) === wanted, 20_000, () => last, 5);
}

async function pair(workshop: Workshop, flags: string[] = [], replicaFlags: string[] = []) {
  const toReplica = new Proxy(0);
  workshop.onClose(() => toReplica.close());
  const primary = await workshop.start(workshop.settings("primary", toReplica.port, flags));
  const toPrimary = new Proxy(primary.ports.grpc);
  workshop.onClose(() => toPrimary.close());
  const replica = await workshop.start(
    workshop.settings("replica", toPrimary.port, [...flags, ...replicaFlags]),
  );
  toReplica.targetPort = replica.ports.grpc;
  await untilState(primary, "active");
  await put(primary, valued(NUMBERS_JSON));
  await untilState(replica, "replicating");
  await untilEqual(primary, replica);
  return { primary, replica, toPrimary };
}

for (const flags of [[], ["--ha-plain-contract"]]) {
  Deno.test({
    name: `numbers arrive at a replica as they were${flags.length > 0 ? " in the plain contract" : ""}, ` +
      "and so does a change of one digit, or of the form alone",
    ...LOOSE,
    fn: () =>
      inWorkshop(async (workshop) => {
        const { primary, replica } = await pair(workshop, flags);
        assertEquals(await held(replica), SORTED);
        for (
          const values of [
            '{"id":1098765432109876543}',
            '{"id":1098765432109876544}',
            '{"id":1.1}',
            '{"id":1.10}',
          ]
        ) {
          await put(primary, valued(values));
          await untilHeld(replica, values);
          await untilEqual(primary, replica);
        }
      }),
  });
}

Deno.test({
  name:
    "a replica whose API server keeps numbers in another form has the digest of its primary, and writes nothing twice",
  ...ON_CLUSTER,
  fn: () =>
    inWorkshop(async (workshop) => {
      const cluster = await Cluster.start(definitionSets()[0]?.[1] ?? []);
      try {
        for (const namespace of ["argocd", "edge-1"]) await cluster.namespace(namespace);
        const { replica } = await pair(workshop, [], [
          "--store=kubernetes",
          `--kubeconfig=${await cluster.kubeconfigFile()}`,
          "--allowed-namespaces=edge-1",
          "--insecure-jwt-generate",
        ]);
        assertEquals(await held(replica), canonicalJson(parseJson(KEPT_JSON)));
        const version = (await replica.core.store.get(KEY))?.metadata.resourceVersion;
        const copy = valued(NUMBERS_JSON);
        copy.metadata = (await replica.core.store.get(KEY))?.metadata ?? copy.metadata;
        const again = await replica.core.store.write({ op: "put", object: copy });
        assertEquals([again.changed, again.object?.metadata.resourceVersion], [false, version]);
      } finally {
        await cluster.stop();
      }
    }),
});

Deno.test({
  name: "numbers arrive at a managed agent as they were, and checksums are of what its cluster keeps",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await put(running, valued(NUMBERS_JSON));
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilHolds(agent, "Application", ["a"]);
      const has = () => valuesOf(agent.cluster.get("Application", "a"));
      assertEquals(has(), SORTED);
      for (const values of ['{"id":1098765432109876543}', '{"id":1098765432109876544}']) {
        await put(running, valued(values));
        await until(() => has() === values, 20_000, has, 5);
      }
      const text = (json: string) => specChecksum(valued(json), (hashed) => hashed);
      assertEquals(text(NUMBERS_JSON), text(KEPT_JSON), "the agent's cluster keeps them in its own form");
      assertStringIncludes(text(NUMBERS_JSON), '"n0":1098765432109876543');
    }),
});

Deno.test({
  name: "numbers arrive from an autonomous agent as they were",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const agent = await startAgent(workshop, running, { name: "edge-1", mode: "autonomous" });
      agent.apply("Application", valued(NUMBERS_JSON));
      await untilHeld(running, SORTED);
      for (const values of ['{"id":1098765432109876543}', '{"id":1098765432109876544}']) {
        agent.apply("Application", valued(values));
        await untilHeld(running, values);
      }
    }),
});

Deno.test({
  name: "a copy that differs in the last digit of a number is named by ha diff, and repaired",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      replica.core.following.driftAtMs = performance.now();
      replica.core.copies.drift.due = () => [];
      const copy = await replica.core.store.get(KEY) as ApiObject;
      await put(replica, { ...copy, spec: valued(NUMBERS_JSON.replace("2109876543", "2109876544"))["spec"] });
      const admin = `127.0.0.1:${replica.ports.admin}`;
      const fields = await runCli(["ha", "diff", "-a", admin, KEY]);
      assertStringIncludes(
        fields.stdout,
        "spec.source.helm.valuesObject.n0: 1098765432109876544 here, 1098765432109876543 at the peer",
      );
      assert(!fields.stdout.includes("valuesObject.n1"), fields.stdout);
      const repaired = await runCli(["ha", "diff", "-a", admin, "--repair", "--yes", KEY]);
      assertEquals(repaired.stdout, `Repaired: ${KEY}\n`, repaired.stderr);
      await untilEqual(primary, replica);
      assertEquals(await held(replica), SORTED);
    }),
});

Deno.test({
  name: "what waits in the loss manifest is adopted with its numbers as they were",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, toPrimary } = await pair(workshop);
      await put(primary, valued("{}"));
      await untilHeld(replica, "{}");
      toPrimary.mode = "refuse";
      toPrimary.cut();
      await untilState(replica, "disconnected");
      await put(primary, valued(NUMBERS_JSON));
      await replica.operations.command("promote", true, "");
      await untilState(primary, "replicating", 20_000);
      await untilEqual(primary, replica);
      assertEquals(await held(primary), "{}");
      toPrimary.mode = "pass";
      const ha = (...args: string[]) =>
        runCli(["ha", "reconcile", "-a", `127.0.0.1:${replica.ports.admin}`, ...args]);
      assertStringIncludes((await ha("-o", "json")).stdout, "1098765432109876543");
      assertEquals((await ha("--adopt", KEY, "--yes")).stdout, `Adopted: ${KEY}\n`);
      assertEquals(await held(replica), SORTED);
    }),
});

Deno.test(
  "store apply and store get carry numbers as they were, in JSON and in YAML",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const store = `--store=sqlite:${workshop.dir}/cli.db`;
      const get = async (output: string) => {
        const { stdout, stderr } = await runCli([
          "store",
          "get",
          "app",
          "a",
          "-n",
          "edge-1",
          "-o",
          output,
          store,
        ]);
        assertEquals(stderr, "");
        return stdout;
      };
      const apply = (file: string) => runCli(["store", "apply", "-f", `${workshop.dir}/${file}`, store]);
      Deno.writeTextFileSync(`${workshop.dir}/a.json`, JSON.stringify(valued(NUMBERS_JSON)));
      const created = await apply("a.json");
      assertEquals(created.code, 0, created.stderr);
      const json = await get("json");
      assertEquals(valuesOf(parseJson(json) as ApiObject), SORTED);
      Deno.writeTextFileSync(`${workshop.dir}/b.yaml`, await get("yaml"));
      assertStringIncludes((await apply("b.yaml")).stdout, "unchanged");
      assertEquals(await get("json"), json);
    }),
);
