/** Agents that claim another mode, another's resources, or rights beyond their own project. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { reasonOf } from "../../src/base/reason.ts";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import { OWNER } from "../../src/domain/agents/ownership.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Mode } from "../../src/domain/resources/roster.ts";
import type { Running } from "../../src/serve.ts";
import { application, serving, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";

const MAPPED = ["--destination-based-mapping"];

function says(type: string, kind: string, object: Record<string, unknown>): AgentEvent {
  const payload = new TextEncoder().encode(JSON.stringify(object));
  return { type, target: kind.toLowerCase(), extensions: {}, payload } as unknown as AgentEvent;
}

/** An agent's event; whether it was taken. */
function event({ core }: Running, name: string, mode: Mode, event: AgentEvent): Promise<boolean> {
  return core.fleet.process({ name, mode }, event);
}

const SPEC = {
  project: "default",
  source: { repoURL: "https://git.example.com/a.git", path: "theirs" },
  destination: {},
};
const app = (name: string, uid: string, rest: Record<string, unknown> = {}) => ({
  ...application("argocd", name, { spec: SPEC, ...rest }),
  metadata: { name, namespace: "argocd", uid, ...(rest["metadata"] ?? {}) },
});
const project = (name: string, uid: string, spec: Record<string, unknown> = {}) => ({
  apiVersion: "argoproj.io/v1alpha1",
  kind: "AppProject",
  metadata: { name, namespace: "argocd", uid },
  spec,
});
const claims = ({ core }: Running) =>
  core.readiness.condition(false, []).then(({ concerns }) => concerns.agentClaims);
const pathOf = (object: ApiObject | undefined) =>
  (object?.["spec"] as { source?: { path?: string } })?.source?.path;

Deno.test({
  name:
    "a managed agent that comes back as autonomous is refused, after a failover too, until an operator forgets it",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await running.core.store.write({ op: "put", object: application("edge-1", "a") });
      const managed = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, managed);
      const replica = await workshop.start(
        workshop.settings("replica", running.ports.grpc, ["--insecure-jwt-generate"]),
      );
      await untilState(replica, "replicating");
      await managed.stop();
      const come = ({ core }: Running, mode: string) =>
        core.admission.authenticate(
          { mode, version: "0.1.0", namespace: "argocd" },
          () => ({ identity: "edge-1", credential: "" }),
        );
      const refusal = (to: Running, mode: string) => come(to, mode).then(() => "", reasonOf);
      const refused = await refusal(running, "autonomous");
      assertStringIncludes(refused, "it is managed and says that it is autonomous");
      assertStringIncludes(refused, "ha forget-agent edge-1");
      assertEquals((await claims(running))?.count, 1);
      await until(
        () => replica.core.roster.modeOf("edge-1") === "managed",
        20_000,
        () => "the mode is not replicated",
      );
      await running.operations.command("demote", true, "");
      await replica.operations.command("promote", true, "");
      assertStringIncludes(await refusal(replica, "autonomous"), "it is managed");
      await replica.operations.forgetAgent("edge-1", "an operator");
      await until(
        () => replica.core.roster.modeOf("edge-1") === undefined,
        20_000,
        () => "it is not forgotten",
      );
      await come(replica, "autonomous");
      assertStringIncludes(await refusal(replica, "managed"), "it is autonomous");
      // Forgotten or not, it does not own what operators made in its namespace.
      await event(replica, "edge-1", "autonomous", says("spec-update", "Application", app("a", "forged")));
      assertEquals(pathOf(await replica.core.store.get("Application/edge-1/a")), "a");
    }),
});

for (const flags of [[] as string[], MAPPED]) {
  const mapping = flags.length > 0 ? "destination mapping" : "namespace mapping";
  Deno.test({
    name:
      `an autonomous agent neither overwrites nor deletes an operator's or another agent's Application under ${mapping}`,
    ...LOOSE,
    fn: () =>
      inWorkshop(async (workshop) => {
        const running = await serving(workshop, flags);
        const { store } = running.core;
        // In the namespace that is called as the agent is.
        await store.write({ op: "put", object: { ...application("team", "own") } });
        const another = application("team", "others");
        (another["spec"] as { destination: unknown }).destination = { name: "edge-1" };
        await store.write({ op: "put", object: another });
        for (const name of ["own", "others"]) {
          for (const type of ["create", "spec-update", "delete"]) {
            await event(running, "team", "autonomous", says(type, "Application", app(name, "forged")));
            await event(running, "team", "autonomous", says(type, "Application", app(name, "")));
          }
          assertEquals(pathOf(await store.get(`Application/team/${name}`)), name);
        }
        assertEquals((await claims(running))?.count, 2);
        assertEquals(
          await event(running, "team", "autonomous", says("create", "Application", app("mine", "u1"))),
          true,
        );
        const mine = await store.get("Application/team/mine");
        assertEquals(mine?.metadata.annotations?.[OWNER], "team");
        // Another agent that the destination names is not its owner, and a stamp of its own making counts for nothing.
        if (flags === MAPPED) {
          await event(running, "team", "managed", says("status-update", "Application", app("others", "")));
          assertEquals((await store.get("Application/team/others"))?.["status"], undefined);
        }
        const forged = app("mine", "u1", { metadata: { annotations: { [OWNER]: "edge-1" } } });
        await event(running, "team", "autonomous", says("spec-update", "Application", forged));
        assertEquals((await store.get("Application/team/mine"))?.metadata.annotations?.[OWNER], "team");
        assertEquals(
          await event(running, "team", "autonomous", says("delete", "Application", app("mine", "u1"))),
          true,
        );
        assertEquals(await store.get("Application/team/mine"), undefined);
      }),
  });
}

Deno.test({
  name:
    "agent edge with project a-default does not take edge-a-default from agent edge-a, nor an operator's project",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const { store } = running.core;
      const own = project("edge-team", "", { sourceNamespaces: ["edge"], description: "an operator's" });
      await store.write({ op: "put", object: own as ApiObject });
      const first = project("default", "u1", { description: "first" });
      assertEquals(await event(running, "edge-a", "autonomous", says("create", "AppProject", first)), true);
      const description = async (name: string) =>
        ((await store.get(`AppProject/argocd/${name}`))?.["spec"] as { description?: string }).description;
      for (const type of ["create", "spec-update", "delete"]) {
        const taking = project("a-default", "u1", { description: "taken" });
        await event(running, "edge", "autonomous", says(type, "AppProject", taking));
        await event(running, "edge", "autonomous", says(type, "AppProject", project("team", "u2")));
      }
      assertEquals([await description("edge-a-default"), await description("edge-team")], [
        "first",
        "an operator's",
      ]);
      const { count = 0, examples = [] } = await claims(running) ?? {};
      assertEquals(count, 2);
      assertStringIncludes(
        examples.join("\n"),
        'agent "edge": AppProject "edge-a-default" belongs to agent "edge-a"',
      );
      const said = workshop.logs.filter((line) => line.includes('belongs to agent \\"edge-a\\"'));
      assertEquals(said.length > 0, true);
    }),
});

Deno.test({
  name: "policy lines of an agent's project that speak of more than that project are left out, and named",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const policies = ["p, proj:default:r, applications, get, default/*, allow", "g, edge, role:admin"];
      const greedy = project("default", "u1", { roles: [{ name: "r", policies }] });
      await event(running, "edge", "autonomous", says("create", "AppProject", greedy));
      const stored = await running.core.store.get("AppProject/argocd/edge-default");
      const { roles } = stored?.["spec"] as { roles: { policies: string[] }[] };
      assertEquals(roles[0]?.policies, [
        "p, proj:edge-default:r, applications, get, edge-default/edge/*, allow",
      ]);
      assertStringIncludes((await claims(running))?.examples[0] ?? "", 'policy "g, edge, role:admin"');
    }),
});
