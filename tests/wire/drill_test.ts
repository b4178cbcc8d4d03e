/** `ha drill`: a failover that does not happen, and what it says that a real one would take and miss. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { monotonicMs } from "../../src/base/clock.ts";
import type { Running } from "../../src/serve.ts";
import { application, project, repository, startAgent, untilHolds } from "../support/agents.ts";
import { runCli } from "../support/processes.ts";
import { inWorkshop, LOOSE, until, untilEqual, untilState, type Workshop } from "../support/principals.ts";

const put = (running: Running, ...objects: ApiObject[]) =>
  Promise.all(objects.map((object) => running.core.store.write({ op: "put", object })));
const drill = (side: Running, ...args: string[]) =>
  runCli(["ha", "drill", "-a", `127.0.0.1:${side.ports.admin}`, ...args]);

async function pairOf(workshop: Workshop, objects: ApiObject[]) {
  const primary = await workshop.start(workshop.settings("primary", 0, ["--insecure-jwt-generate"]));
  const replica = await workshop.start(
    workshop.settings("replica", primary.ports.grpc, ["--insecure-jwt-generate"]),
  );
  await untilState(primary, "active");
  await put(primary, ...objects);
  await untilState(replica, "replicating");
  await untilEqual(primary, replica);
  return { primary, replica };
}

const objects = [
  project("shop", "edge-*"),
  repository("git", "shop"),
  ...["a", "b", "c"].map((name) => {
    const object = application("edge-1", name);
    Object.assign(object["spec"] as object, { project: "shop" });
    return object;
  }),
  application("edge-2", "d"),
];

Deno.test({
  name:
    "ha drill serves one agent everything from this side's copy, writes nothing, and leaves /healthz and replication as they are",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pairOf(workshop, objects);
      // A mark may be left on the store at any minute, and the outcome stays in the history.
      const own = ["argocd-agent-ha-marks", "argocd-agent-ha-history"];
      const stored = async () =>
        (await replica.core.store.list()).filter(({ metadata }) => !own.includes(metadata.name));
      const before = await stored();
      const asked: number[] = [];
      const asking = (async () => {
        while (asked.at(-1) !== 0) {
          const response = await fetch(`http://127.0.0.1:${replica.ports.healthz}/healthz`);
          await response.body?.cancel();
          asked.push(asked.at(-1) === -1 ? 0 : response.status);
        }
      })();
      const done = await drill(replica, "-o", "json");
      asked.push(-1);
      await asking;
      assertEquals(done.code, 0, done.stdout + done.stderr);
      const report = JSON.parse(done.stdout);
      assertEquals([report.agent, report.mode, report.well], ["edge-1", "managed", true]);
      assertEquals(report.took, { Application: 3, AppProject: 1, Repository: 1 });
      assertEquals([report.missing, report.problems], [[], []]);
      assertEquals([report.again.deleted, report.again.madeAnew], [0, 0]);
      assert(report.writesNotMade >= 3, "the agent's statuses were not taken");
      assertEquals([...new Set(asked.filter((code) => code > 0))], [503]);
      assertEquals(await stored(), before);
      assertMatch(replica.core.chain().at(-1)?.text ?? "", /^passed: agent "edge-1" was played$/);
      assertEquals([replica.core.model().state, primary.core.fleet.connected], ["replicating", 0]);
      await put(primary, application("edge-1", "later"));
      await untilEqual(primary, replica);
      const again = await drill(replica, "--agent", "edge-2");
      assertEquals(again.code, 0, again.stdout + again.stderr);
      assertMatch(again.stdout, /Took: +1 Application, 1 AppProject, 1 Repository, in \d+ ms\n/);
      assertStringIncludes(again.stdout, "Missed:           nothing that the ACTIVE has for it");
    }),
});

Deno.test({
  name:
    "ha drill says what the ACTIVE has and the copy has not, and what an agent would get that it cannot use",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { replica } = await pairOf(workshop, objects);
      // As if digests had just been compared, and each key had drifted too often to be repaired now.
      replica.core.following.driftAtMs = monotonicMs();
      replica.core.copies.drift.due = () => [];
      const gone = ["Application/edge-1/a", "AppProject/argocd/shop"];
      for (const key of gone) await replica.core.store.write({ op: "delete", key });
      await until(
        () => gone.every((key) => replica.core.index.get(key)?.deleted),
        20_000,
        () => "the replica does not see its own deletions",
      );
      const { code, stdout } = await drill(replica, "--agent=edge-1");
      assertEquals(code, 1);
      assertMatch(
        replica.core.chain().at(-1)?.text ?? "",
        /^failed: agent "edge-1" was played; 2 missed, 2 problems$/,
      );
      assertMatch(stdout, /Missed: +2 resources\n {2}AppProject\/argocd\/shop\n {2}Application\/edge-1\/a\n/);
      for (const name of ["b", "c"]) {
        const problem =
          `Application ${name} names project "shop", which no AppProject here gives to this agent`;
        assertStringIncludes(stdout, problem);
      }
    }),
});

Deno.test({
  name: "ha drill of an autonomous agent finds that both have the same, and asks nothing of it",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pairOf(workshop, objects);
      const agent = await startAgent(workshop, primary, { name: "own", mode: "autonomous" });
      agent.apply("AppProject", project("team", "*"));
      const mine = application("x", "mine");
      Object.assign(mine["spec"] as object, { project: "team" });
      agent.apply("Application", mine);
      await until(
        () => agent.outbox.pending === 0 && primary.core.index.get("Application/own/mine") !== undefined,
        20_000,
        () => `not taken: ${agent.outbox.pending} ${agent.seen.ends}`,
      );
      await untilEqual(primary, replica);
      const { code, stdout, stderr } = await drill(replica, "--agent", "own", "-o", "json");
      assertEquals(code, 0, stdout + stderr);
      const report = JSON.parse(stdout);
      assertEquals([report.mode, report.took], ["autonomous", { Application: 1, AppProject: 1 }]);
      assertEquals([report.problems, report.again.deleted], [[], 0]);
    }),
});

Deno.test({
  name:
    "ha drill is refused where nothing follows and for an unknown agent, and ends when this side is promoted in earnest",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pairOf(workshop, objects);
      assertStringIncludes((await drill(primary)).stderr, "cannot drill: this side is ACTIVE");
      const unknown = await drill(replica, "--agent", "nobody");
      assertEquals(unknown.code, 1);
      assertStringIncludes(unknown.stderr, 'nothing of agent "nobody"; it knows: edge-1, edge-2');
      const [drilled] = await Promise.all([
        drill(replica),
        (async () => {
          const agent = await startAgent(workshop, replica, { name: "edge-1" });
          await replica.operations.command("promote", true, "");
          await untilHolds(agent, "Application", ["a", "b", "c"]);
        })(),
      ]);
      // Whichever was first: a drill that had begun is ended, one that came later is refused.
      assertEquals(drilled.code, 1);
      assertMatch(
        drilled.stderr,
        /drill aborted: this side is being promoted or is already ACTIVE|cannot drill: (this side is ACTIVE|a promote)/,
      );
      assertEquals(replica.core.model().state, "active");
    }),
});
