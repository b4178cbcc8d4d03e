/** No agent fills the store or the memory of a principal: what exceeds its quota is refused, named once, and everything else goes on. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import type { Mode } from "../../src/domain/resources/roster.ts";
import type { Running } from "../../src/serve.ts";
import { Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { application, serving, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, type Workshop } from "../support/principals.ts";

const KB = 1_000;

function says(type: string, kind: string, object: unknown): AgentEvent {
  const payload = new TextEncoder().encode(JSON.stringify(object));
  return { type, target: kind.toLowerCase(), extensions: {}, payload } as unknown as AgentEvent;
}

/** Whether an agent's event is carried out. */
function carriedOut({ core }: Running, name: string, mode: Mode, event: AgentEvent): Promise<boolean> {
  return core.fleet.process({ name, mode }, event);
}

/** An Application of the agent's own, with a text of so many characters. */
const app = (name: string, length = 0, uid = `uid-${name}`) => ({
  ...application("argocd", name, {
    spec: {
      project: "default",
      source: { repoURL: "https://git.example.com/a.git", path: "x".repeat(length) },
      destination: {},
    },
  }),
  metadata: { name, namespace: "argocd", uid },
});
const project = (name: string) => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind: "AppProject",
  metadata: { name, namespace: "argocd", uid: `uid-${name}` },
  spec: { description: name },
});
const own = (running: Running, type: string, object: { kind: string }, name = "edge") =>
  carriedOut(running, name, "autonomous", says(type, object.kind, object));
const quotas = ({ core }: Running) =>
  core.readiness.condition(false, []).then(({ concerns }) => concerns.agentQuotas);
const usage = ({ core }: Running, name = "edge") => core.fleet.usage.find((one) => one.name === name);
const named = (workshop: Workshop) => workshop.logs.filter((line) => line.includes("exceeds its quota"));
const series = ({ core }: Running, name: string) => core.series.find((one) => one.name === name)?.read();
const pathLength = async ({ core }: Running, key: string) =>
  ((await core.store.get(key))?.["spec"] as { source: { path: string } } | undefined)?.source.path.length;

/** A principal on each kind of store, restarted with other flags by `again`. */
interface On {
  running: Running;
  again(flags: string[]): Promise<Running>;
}

async function onSqlite(workshop: Workshop, flags: string[]): Promise<On> {
  const running = await serving(workshop, flags);
  return {
    running,
    again: async (flags) => {
      await running.stop();
      return await serving(workshop, flags);
    },
  };
}

async function onKubernetes(workshop: Workshop, flags: string[]): Promise<On> {
  const cluster = await Cluster.start(definitionSets()[0]?.[1] ?? []);
  workshop.onClose(() => cluster.stop());
  for (const name of ["argocd", "edge", "other"]) await cluster.namespace(name);
  const store = ["--store=kubernetes", `--kubeconfig=${await cluster.kubeconfigFile("admin")}`];
  const start = (flags: string[]) => serving(workshop, [...store, "--ha-lease-duration=5s", ...flags]);
  const running = await start(flags);
  return {
    running,
    again: async (flags) => {
      await running.stop();
      return await start(flags);
    },
  };
}

for (
  const [store, on, cluster] of [["embedded", onSqlite, {}], [
    "Kubernetes",
    onKubernetes,
    ON_CLUSTER,
  ]] as const
) {
  Deno.test({
    ...cluster,
    name: `${store} store: an autonomous agent brings no more objects than its quota, after a restart too`,
    ...LOOSE,
    fn: () =>
      inWorkshop(async (workshop) => {
        const { running, again } = await on(workshop, ["--agent-max-objects=3"]);
        assertEquals(await own(running, "create", app("a")), true);
        assertEquals(await own(running, "create", app("b")), true);
        assertEquals(await own(running, "create", project("team")), true);
        for (const more of [app("c"), project("more"), app("d")]) {
          assertEquals(await own(running, "create", more), false);
          assertEquals(await own(running, "spec-update", more), false);
        }
        assertEquals(await running.core.store.get("Application/edge/c"), undefined);
        assertEquals(await running.core.store.get("AppProject/argocd/edge-more"), undefined);
        // Its own are changed freely, and another agent has a quota of its own.
        assertEquals(await own(running, "spec-update", app("a", 500)), true);
        assertEquals(await own(running, "create", app("a"), "other"), true);
        const { count, examples: [line = ""] = [] } = await quotas(running) ?? {};
        assertEquals(count, 1);
        assertMatch(line, /^agent "edge": Application\/edge\/c and 2 more: it has 3 objects here/);
        assertStringIncludes(line, "--agent-max-objects is 3");
        assertEquals(named(workshop).length, 1);

        const restarted = await again(["--agent-max-objects=3"]);
        await until(() => usage(restarted)?.objects === 3, 20_000, () => JSON.stringify(usage(restarted)));
        assertEquals(await own(restarted, "create", app("c")), false);
        assertEquals(await own(restarted, "delete", app("b")), true);
        assertEquals(await own(restarted, "create", app("c")), true);
        assertEquals(await own(restarted, "create", app("d")), false);
        assertEquals(await own(restarted, "delete", app("d")), true);
        assertEquals((await quotas(restarted))?.count, 0);
      }),
  });

  Deno.test({
    ...cluster,
    name: `${store} store: an agent's objects have no more bytes than its quota; what makes them less passes`,
    ...LOOSE,
    fn: () =>
      inWorkshop(async (workshop) => {
        const { running, again } = await on(workshop, [`--agent-max-bytes=${100 * KB}`]);
        const many = Array.from({ length: 16 }, (_, i) => app(`a${i}`, 20 * KB));
        const taken = await Promise.all(many.map((one) => own(running, "create", one)));
        assertEquals(taken.filter(Boolean).length, 4, "also of those that come at once");
        const first = many[taken.indexOf(true)]?.metadata.name ?? "";
        const key = `Application/edge/${first}`;
        assertEquals(await own(running, "spec-update", app(first, 60 * KB)), false);
        assertEquals(await pathLength(running, key), 20 * KB);
        assertEquals(await own(running, "spec-update", app(first, 30 * KB)), true);
        assertEquals(await pathLength(running, key), 30 * KB);
        const { bytes = 0, objects = 0 } = usage(running) ?? {};
        assert(bytes > 90 * KB && bytes <= 100 * KB && objects === 4, `${objects} of ${bytes}`);

        const restarted = await again([`--agent-max-bytes=${10 * KB}`]);
        await until(() => usage(restarted)?.bytes === bytes, 20_000, () => JSON.stringify(usage(restarted)));
        assertEquals(await own(restarted, "spec-update", app(first, 31 * KB)), false);
        assertEquals(await own(restarted, "create", app("z")), false);
        assertEquals(
          await own(restarted, "spec-update", app(first, 25 * KB)),
          true,
          "less, and still beyond it",
        );
        assertEquals(await pathLength(restarted, key), 25 * KB);
        assertEquals(await own(restarted, "delete", app(first)), true);
        assertStringIncludes((await quotas(restarted))?.examples[0] ?? "", "--agent-max-bytes is 10,000");
      }),
  });
}

Deno.test({
  name:
    "all agents together have no more bytes than their bound, after a restart too; the one that has most is named",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const flags = [`--agents-max-total-bytes=${100 * KB}`];
      const { running, again } = await onSqlite(workshop, flags);
      const many = Array.from({ length: 8 }, (_, i) =>
        [i < 5 ? "large" : "small", app(`a${i}`, 20 * KB)] as const);
      const taken = await Promise.all(many.map(([agent, one]) =>
        own(running, "create", one, agent)
      ));
      assertEquals(taken.filter(Boolean).length, 4, "also of those that come at once");
      await until(
        () => running.core.fleet.usage.reduce((sum, { objects }) => sum + objects, 0) === 4,
        20_000,
        () => JSON.stringify(running.core.fleet.usage),
      );
      const more = app("more", 20 * KB);
      for (const agent of ["other", "small"]) assertEquals(await own(running, "create", more, agent), false);
      const { count, examples: [line = ""] = [] } = await quotas(running) ?? {};
      assert(count !== undefined && count >= 2);
      assertStringIncludes(line, `--agents-max-total-bytes is ${(100 * KB).toLocaleString("en-US")}`);
      assertMatch(line, /that all agents have here, most of them agent "(large|small)" \(/);
      const bytes = running.core.fleet.usage.reduce((sum, one) => sum + one.bytes, 0);
      assertEquals(series(running, "argocd_agent_ha_agents_bytes"), bytes);

      const restarted = await again(flags);
      await until(() => series(restarted, "argocd_agent_ha_agents_bytes") === bytes, 20_000, () =>
        "not counted");
      assertEquals(await own(restarted, "create", more, "other"), false);
      const holder = restarted.core.fleet.usage[0]?.name ?? "";
      const first = many[
        taken.findIndex((done, i) =>
          done && many[i]?.[0] === holder
        )
      ]?.[1] ?? app("");
      assertEquals(await own(restarted, "spec-update", app(first.metadata.name, 10), holder), true, "less");
      assertEquals(await own(restarted, "delete", first, holder), true);
      assertEquals(await own(restarted, "create", more, "other"), true);
    }),
});

for (const flags of [[], ["--destination-based-mapping"]]) {
  const mapping = flags.length > 0 ? "destination" : "namespace";
  Deno.test({
    name:
      `a managed agent's statuses grow no further than its quota under ${mapping} mapping; an operator's writes do`,
    ...LOOSE,
    fn: () =>
      inWorkshop(async (workshop) => {
        const running = await serving(workshop, [
          `--agent-max-bytes=${100 * KB}`,
          "--agent-max-objects=1",
          ...flags,
        ]);
        const { store, fleet } = running.core;
        for (const name of ["a", "b"]) await store.write({ op: "put", object: application("edge", name) });
        await until(
          () => usage(running)?.objects === 2,
          20_000,
          () => "operators' Applications are not there",
        );
        const reports = (name: string, length: number) => {
          const status = { health: { status: "Healthy", message: "x".repeat(length) } };
          const object = { ...application("edge", name), status };
          return carriedOut(running, "edge", "managed", says("status-update", "Application", object));
        };
        assertEquals(await reports("a", 60 * KB), true);
        assertEquals(await reports("b", 60 * KB), false);
        assertEquals(await reports("b", 10 * KB), true);
        assertEquals(await reports("a", 95 * KB), false);
        // An operator's write passes beyond the quota, and then the agent may still report less.
        await store.write({
          op: "put",
          object: application("edge", "c", { status: { summary: { images: ["y".repeat(60 * KB)] } } }),
        });
        await until(() => (usage(running)?.bytes ?? 0) > 130 * KB, 20_000, () => JSON.stringify(fleet.usage));
        assertEquals(await reports("a", 61 * KB), false);
        assertEquals((await quotas(running))?.count, 1);
        assertEquals(await reports("a", 59 * KB), true);
        assertEquals((await quotas(running))?.count, 0);
        assertEquals(named(workshop).length, 1);
      }),
  });
}

Deno.test({
  name:
    "an agent whose objects are refused resends none of them, and they come with its next connection once there is room",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ["--agent-max-objects=2"]);
      const agent = await startAgent(workshop, running, { name: "edge", mode: "autonomous" });
      await untilServed(running, agent);
      for (let i = 0; i < 6; i++) agent.apply("Application", application("argocd", `a${i}`));
      const quiet = () => agent.outbox.pending === 0;
      await until(quiet, 20_000, () => `${agent.outbox.pending} events are not acknowledged`);
      const before = running.core.counters.total("agentEventsReceived");
      await new Promise((resolve) => setTimeout(resolve, 1_500));
      assertEquals(running.core.counters.total("agentEventsReceived"), before, "nothing more is said");
      assertEquals(usage(running)?.objects, 2);
      const labels = { agent_name: "edge", mode: "autonomous" };
      assertEquals(series(running, "argocd_agent_ha_agent_objects"), [[labels, 2]]);
      assertEquals(series(running, "argocd_agent_ha_agent_bytes"), [[labels, usage(running)?.bytes ?? 0]]);
      assertEquals(series(running, "argocd_agent_ha_agents_over_quota"), 1);

      const kept = (await running.core.store.list()).filter(({ kind }) => kind === "Application");
      for (const { metadata: { name } } of kept) agent.remove("Application", name);
      await until(() => usage(running) === undefined, 20_000, () => JSON.stringify(usage(running)));
      await agent.restart();
      await until(() => usage(running)?.objects === 2, 20_000, () => JSON.stringify(usage(running)));
      assertEquals(named(workshop).length, 1);
    }),
});
