/** Many deletions at once wait, at agents and in a replica's copy, and an operator decides: `ha deletions`. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import type { Running } from "../../src/serve.ts";
import { application, serving, startAgent, untilHolds, untilServed } from "../support/agents.ts";
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

const NAMES = Array.from({ length: 30 }, (_, n) => `app-${n}`);
const keyOf = (name: string) => `Application/edge-1/${name}`;
const ha = (side: Running, ...args: string[]) =>
  runCli(["ha", ...args, "-a", `127.0.0.1:${side.ports.admin}`]);
const putAll = (side: Running, names: string[]) =>
  Promise.all(names.map((name) => side.core.store.write({ op: "put", object: application("edge-1", name) })));
const dropAll = (side: Running, keys: string[]) =>
  Promise.all(keys.map((key) => side.core.store.write({ op: "delete", key })));

function untilHeld(side: Running, count: number): Promise<void> {
  const held = () => side.core.heldDeletions.list().length;
  return until(() => held() === count, 15_000, () => `${held()} deletions wait, not ${count}`, 10);
}

Deno.test({
  name:
    "an ACTIVE whose store is lost deletes nothing at its agents: it says what waits, and an operator decides",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const before = await serving(workshop);
      await putAll(before, NAMES);
      let at = before;
      const agent = await startAgent(workshop, () => `127.0.0.1:${at.ports.grpc}`, { name: "edge-1" });
      await untilHolds(agent, "Application", NAMES);
      await before.stop();
      Deno.removeSync(`${workshop.dir}/primary.db`);

      const lost = at = await serving(workshop);
      await untilHeld(lost, NAMES.length);
      assertEquals([agent.cluster.deleted, agent.cluster.list("Application").length], [0, NAMES.length]);
      assertStringIncludes((await ha(lost, "status")).stdout, "30 deletions wait for a decision");
      const explained = (await ha(lost, "explain")).stdout;
      assertStringIncludes(explained, "ha deletions");
      assertStringIncludes((await ha(lost, "preflight")).stdout, "30 deletions wait for a decision");
      const listed = (await ha(lost, "deletions")).stdout;
      assertMatch(listed, /Application\/edge-1\/app-0 +agent edge-1 +\S+ +absence +not known: .* no\n/);
      const failed = await ha(lost, "deletions", "--restore", keyOf("app-0"), "--yes");
      assertEquals(failed.code, 1);
      assertStringIncludes(failed.stderr, `${keyOf("app-0")} still waits: no copy of it is kept here`);

      await putAll(lost, NAMES.slice(0, 10));
      await untilHeld(lost, 20);
      const released = await ha(lost, "deletions", "--release", "--agent", "edge-1", "--yes");
      assertEquals([released.code, released.stdout.trim().split("\n").length], [0, 20]);
      await untilHolds(agent, "Application", NAMES.slice(0, 10));
      assert(lost.core.chain().some(({ what, who }) => what.startsWith("deletions --release") && who !== ""));
      assertEquals((await ha(lost, "deletions")).stdout, "No deletion waits here.\n");
    }),
});

Deno.test({
  name:
    "soon after a start many deletions at once wait: others of the agent go on, and restored ones never reach it",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await putAll(running, NAMES);
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilHolds(agent, "Application", NAMES);
      await dropAll(running, NAMES.slice(0, 12).map(keyOf));
      await untilHeld(running, 12);
      await putAll(running, ["another"]);
      await untilHolds(agent, "Application", [...NAMES, "another"]);
      const unknown = await ha(running, "deletions", "--release", keyOf("app-20"), "--yes");
      assertStringIncludes(unknown.stderr, `no deletion of ${keyOf("app-20")} waits here; see: ha deletions`);

      const restored = await ha(running, "deletions", "--restore", "--all", "--yes");
      assertEquals([restored.code, restored.stderr], [0, ""]);
      await untilHeld(running, 0);
      assertEquals((await running.core.store.list("Application")).length, NAMES.length + 1);
      await untilHolds(agent, "Application", [...NAMES, "another"]);
      assertEquals([agent.cluster.deleted, agent.cluster.recreated], [0, 0]);
    }),
});

Deno.test({
  name: "in the steady state what people delete goes through at once, in whatever number",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ["--ha-deletion-guard-window=0s"]);
      await putAll(running, NAMES);
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilHolds(agent, "Application", NAMES);
      await untilServed(running, agent);
      await dropAll(running, NAMES.map(keyOf));
      await untilHolds(agent, "Application", []);
      assertEquals(running.core.heldDeletions.list(), []);
    }),
});

/** A pair in sync, and the keys of its 30 Applications. */
async function pair(workshop: Workshop) {
  const toReplica = new Proxy(0);
  workshop.onClose(() => toReplica.close());
  const primary = await workshop.start(workshop.settings("primary", toReplica.port));
  const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc));
  toReplica.targetPort = replica.ports.grpc;
  await untilState(primary, "active");
  const objects = NAMES.map((_, n) => generatedApplication(n));
  await Promise.all(objects.map((object) => primary.core.store.write({ op: "put", object })));
  await untilState(replica, "replicating");
  await untilEqual(primary, replica);
  const keys = objects.map(({ metadata }) => `Application/${metadata.namespace}/${metadata.name}`);
  return { primary, replica, keys };
}

Deno.test({
  name:
    "a replica holds many deletions at once: nothing else waits, no switchover passes them, and each stands in the history",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, keys } = await pair(workshop);
      await dropAll(primary, keys.slice(0, 20));
      await untilHeld(replica, 20);
      await primary.core.store.write({ op: "put", object: generatedApplication(99) });
      const added = "Application/edge-50/app-99";
      await until(() => replica.core.index.present(added) !== undefined, 20_000, () =>
        `${added} does not come`, 10);
      assertEquals(replica.core.index.size, keys.length + 1);
      const status = (await ha(replica, "status")).stdout;
      assertStringIncludes(status, "20 deletions wait for a decision");
      assert(!status.includes("cannot be written"), status);
      const listed = (await ha(replica, "deletions")).stdout;
      assertMatch(
        listed,
        /Application\/edge-1\/app-0 +this copy +\S+ +tombstone +the ACTIVE ".*" in epoch 1 +yes\n/,
      );
      const refused = await ha(primary, "switchover", "--yes");
      assertEquals(refused.code, 1);

      const [kept = "", ...others] = keys.slice(0, 20);
      const here = await ha(replica, "deletions", "--restore", kept, "--yes");
      assertStringIncludes(here.stderr, "only the ACTIVE gives objects back");
      const one = await ha(primary, "reconcile", "--adopt", kept, "--yes");
      assertEquals([one.stdout, one.stderr], [`Adopted: ${kept}\n`, ""]);
      await until(
        () =>
          primary.core.index.present(kept) !== undefined,
        20_000,
        () =>
          `${kept} is not back`,
        10,
      );
      await untilHeld(replica, others.length);
      const released = await ha(replica, "deletions", "--release", "--all", "--yes");
      assertEquals(released.code, 0);
      await untilEqual(primary, replica);
      const told = () =>
        replica.core.chain().find(({ what }) => what === "deleted")?.text ?? "";
      await until(() => told() !== "", 20_000, () => "the history does not tell", 10);
      assertMatch(told(), /^19 deleted at the ACTIVE in epoch 1: Application\/edge-\d+\/app-\d+, /);

      const gone = others[0] as string;
      assertStringIncludes((await ha(replica, "reconcile")).stdout, gone);
      const adopted = await ha(primary, "reconcile", "--adopt", gone, "--yes");
      assertEquals(adopted.stdout, `Adopted: ${gone}\n`);
      await untilEqual(primary, replica);
      assert(replica.core.index.present(gone));
      const rest = await ha(replica, "reconcile", "--discard", "--all", "--yes");
      assertEquals(rest.stdout, "", "deleted objects are not among all");
    }),
});

Deno.test({
  name:
    "what a replica holds stays held over a broken stream and a restart of its leader, and is gone where the leader has it again",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, keys } = await pair(workshop);
      await dropAll(primary, keys.slice(0, 20));
      await untilHeld(replica, 20);
      await primary.stop();
      const again = await workshop.start({
        ...workshop.settings("primary", replica.ports.grpc),
        listenPort: primary.ports.grpc,
      });
      await untilState(replica, "replicating", 30_000);
      await untilHeld(replica, 20);
      assertEquals(replica.core.index.size, keys.length);
      await Promise.all(
        NAMES.slice(0, 19).map((_, n) =>
          again.core.store.write({ op: "put", object: generatedApplication(n) })
        ),
      );
      await untilHeld(replica, 1);
      await ha(replica, "deletions", "--release", "--all", "--yes");
      await untilEqual(again, replica);
    }),
});
