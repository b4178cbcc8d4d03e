/** The loss manifest: kept before anything is overwritten, adopted or discarded by an operator, never by itself. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
import { runCli } from "../support/processes.ts";
import { inWorkshop, LOOSE, Proxy, untilEqual, untilState, type Workshop } from "../support/principals.ts";

const app = (n: number, change: string): ApiObject => {
  const object = generatedApplication(n);
  object.metadata.labels = { change };
  return object;
};
const put = (running: Running, objects: ApiObject[]) =>
  Promise.all(objects.map((object) => running.core.store.write({ op: "put", object })));
const credential: ApiObject = {
  apiVersion: "v1",
  kind: "Secret",
  metadata: {
    name: "git",
    namespace: "argocd",
    labels: { "argocd.argoproj.io/secret-type": "repository" },
  },
  data: { password: btoa("a secret") },
};

/** A former ACTIVE that follows, and what it held alone: app-1 in another state, app-50 and a Secret at all. */
async function superseded(workshop: Workshop, rest: Record<string, unknown> = {}) {
  const toReplica = new Proxy(0);
  workshop.onClose(() => toReplica.close());
  const primary = await workshop.start(workshop.settings("primary", toReplica.port));
  const toPrimary = new Proxy(primary.ports.grpc);
  workshop.onClose(() => toPrimary.close());
  const replica = await workshop.start(workshop.settings("replica", toPrimary.port));
  toReplica.targetPort = replica.ports.grpc;
  await untilState(primary, "active");
  await put(primary, [app(1, "both"), app(2, "both")]);
  await untilState(replica, "replicating");
  await untilEqual(primary, replica);
  toPrimary.mode = "refuse";
  toPrimary.cut();
  await untilState(replica, "disconnected");
  // Of another state that differs in its status alone nothing is kept: it is no loss.
  const observed = { ...app(2, "both"), status: { sync: { status: "OutOfSync" } } };
  await put(primary, [{ ...app(1, "only here"), ...rest }, observed, app(50, "only here"), credential]);
  await replica.operations.command("promote", true, "");
  await untilState(primary, "replicating", 20_000);
  await untilEqual(primary, replica);
  toPrimary.mode = "pass";
  const admin = (side: Running) => `127.0.0.1:${side.ports.admin}`;
  const ha = (side: Running, ...args: string[]) => runCli(["ha", "reconcile", "-a", admin(side), ...args]);
  return { old: primary, active: replica, ha };
}

const labelOf = async (side: Running, key: string) =>
  (await side.core.store.get(key))?.metadata.labels?.["change"];

Deno.test({
  name:
    "ha reconcile: lists what only the old active held, adopts one at the new active, and discards the rest",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { old, active, ha } = await superseded(workshop);
      const listed = (await ha(old)).stdout;
      assertMatch(listed, /Application\/edge-2\/app-1 +here +2 +another state +\S+ +another state\n/);
      assertMatch(listed, /Secret\/argocd\/git +here +2 +nothing +\S+ +nothing\n/);
      assertStringIncludes(listed, "3 saved.");
      const json = (await ha(old, "-o", "json")).stdout;
      assert(!json.includes("a secret") && !json.includes(btoa("a secret")), "a Secret's data is shown");
      const atActive = await ha(active);
      assertMatch(
        atActive.stdout,
        /Application\/edge-2\/app-1 +at the peer +2 +another state +\S+ +another state\n/,
      );
      assert(!(await ha(active, "-o", "json")).stdout.includes(btoa("a secret")), "a Secret's data is shown");

      const here = await ha(old, "--adopt", "Application/edge-2/app-1", "--yes");
      assertStringIncludes(
        here.stderr,
        "not ACTIVE (state replicating): the ACTIVE adopts what this side keeps",
      );
      const adopted = await ha(active, "--adopt", "Application/edge-2/app-1", "--yes");
      assertEquals(adopted.stdout, "Adopted: Application/edge-2/app-1\n");
      assertEquals(await labelOf(active, "Application/edge-2/app-1"), "only here");
      await untilEqual(old, active);
      assertEquals(await labelOf(old, "Application/edge-2/app-1"), "only here");

      const unknown = await ha(old, "--discard", "Application/edge-2/app-1", "--yes");
      assertEquals(unknown.code, 1);
      assertStringIncludes(unknown.stderr, "the loss manifest has no Application/edge-2/app-1");
      const discarded = await ha(old, "--discard", "--all", "--yes");
      assertEquals(
        discarded.stdout.trim().split("\n").sort(),
        [
          "Discarded: Application/edge-1/app-50",
          "Discarded: Secret/argocd/git",
        ].sort(),
      );
      assertEquals(old.core.kept.waiting, []);
      assertEquals(await old.core.store.get("Secret/argocd/argocd-agent-ha-loss-1"), undefined);
      assertEquals(await active.core.store.get("Application/edge-1/app-50"), undefined);
      for (const side of [old, active]) {
        assert(side.core.chain().some(({ what, who }) => what.startsWith("reconcile --adopt") && who !== ""));
      }
    }),
});

Deno.test({
  name:
    "ha reconcile: what the active does not take stays in the manifest, also over a restart of the old one",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { old, active, ha } = await superseded(workshop);
      await active.stop();
      const failed = await ha(old, "--adopt", "--all", "--yes");
      assertEquals([failed.code, failed.stdout], [1, ""]);
      assertStringIncludes(failed.stderr, "not ACTIVE");
      await old.stop();
      const again = await workshop.start(workshop.settings("primary", 1));
      assertEquals(again.core.kept.waiting.length, 3);
    }),
});

Deno.test({
  name:
    "ha reconcile --adopt asks for no operation again, keeps the newer status, and writes over a newer spec only where the key is named",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { old, active, ha } = await superseded(workshop, {
        operation: { sync: {} },
        status: { seen: "old" },
      });
      const key = "Application/edge-2/app-1";
      const present = await active.core.store.get(key) as ApiObject;
      await put(active, [{ ...present, status: { seen: "new" } }]);
      await untilEqual(old, active);
      assertEquals((await ha(active, "--adopt", key, "--yes")).stdout, `Adopted: ${key}\n`);
      const adopted = await active.core.store.get(key) as ApiObject;
      assertEquals([adopted["operation"], adopted["status"]], [undefined, { seen: "new" }]);
      assertEquals(adopted.metadata.labels?.["change"], "only here");

      await put(active, [app(50, "made anew")]);
      await untilEqual(old, active);
      const all = await ha(active, "--adopt", "--all", "--yes");
      assertEquals([all.code, all.stdout], [1, "Adopted: Secret/argocd/git\n"], all.stderr);
      assertMatch(
        all.stderr,
        /app-50 stays in the manifest: .*the ACTIVE's state may be newer \(changed \S+; .*to write over it: ha reconcile --adopt Application\/edge-1\/app-50$/m,
      );
      assertEquals(await labelOf(active, "Application/edge-1/app-50"), "made anew");
      const named = await ha(active, "--adopt", "Application/edge-1/app-50", "--yes");
      assertMatch(
        named.stdout,
        /^Adopted: Application\/edge-1\/app-50: wrote over a state that may be newer/,
      );
      assertEquals(await labelOf(active, "Application/edge-1/app-50"), "only here");
    }),
});
