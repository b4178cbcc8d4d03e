/** `ha diff`: which resources differ and in which fields, never what Secrets hold, and the replica's copy repaired from either side. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { monotonicMs } from "../../src/base/clock.ts";
import type { Running } from "../../src/serve.ts";
import { runCli } from "../support/processes.ts";
import {
  inWorkshop,
  LOOSE,
  Proxy,
  until,
  untilEqual,
  untilState,
  type Workshop,
} from "../support/principals.ts";

const put = (running: Running, ...objects: ApiObject[]) =>
  Promise.all(objects.map((object) => running.core.store.write({ op: "put", object })));

const repository = (password: string): ApiObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: {
    name: "git",
    namespace: "argocd",
    labels: { "argocd.argoproj.io/secret-type": "repository" },
  },
  data: { password: btoa(password), url: btoa("https://git.example.com/a.git") },
});

const copyOf = async (running: Running, key: string) => (await running.core.store.get(key)) as ApiObject;

/** A pair in sync whose replica somebody wrote to: a changed Application and Secret, one Application gone, and one too many. */
async function drifted(workshop: Workshop) {
  const toReplica = new Proxy(0);
  workshop.onClose(() => toReplica.close());
  const primary = await workshop.start(workshop.settings("primary", toReplica.port));
  const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc));
  toReplica.targetPort = replica.ports.grpc;
  await untilState(primary, "active");
  await put(primary, ...[1, 2, 3].map(generatedApplication), repository("right"));
  await untilState(replica, "replicating");
  await untilEqual(primary, replica);
  // As if digests had just been compared because of a drift, and each key had drifted too often to be repaired now.
  replica.core.following.driftAtMs = monotonicMs();
  replica.core.copies.drift.due = () => [];
  const changed = await copyOf(replica, "Application/edge-2/app-1");
  Object.assign(changed["spec"] as object, { project: "another" });
  changed.metadata.labels = { ...changed.metadata.labels, "example.com/extra": "1" };
  const secret = await copyOf(replica, "Secret/argocd/git");
  await put(replica, changed, { ...secret, data: repository("wrong")["data"] }, generatedApplication(9));
  await replica.core.store.write({ op: "delete", key: "Application/edge-3/app-2" });
  await until(
    () => replica.core.index.get("Application/edge-3/app-2")?.deleted === true,
    20_000,
    () => "the replica does not see its own change",
  );
  const diff = (side: Running, ...args: string[]) =>
    runCli(["ha", "diff", "-a", `127.0.0.1:${side.ports.admin}`, ...args]);
  return { primary, replica, diff };
}

const DIFFERING = [
  "Application/edge-10/app-9",
  "Application/edge-2/app-1",
  "Application/edge-3/app-2",
  "Secret/argocd/git",
];

Deno.test({
  name:
    "ha diff names the resources that differ, and for chosen ones the fields; of Secrets only that they differ",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, diff } = await drifted(workshop);
      const { code, stdout } = await diff(primary, "-o", "json");
      assertEquals(code, 1);
      const { same, differing } = JSON.parse(stdout) as { same: boolean; differing: { key: string }[] };
      assertEquals([same, differing.map(({ key }) => key)], [false, DIFFERING]);
      const fields = await diff(
        primary,
        "Application/edge-2/app-1",
        "Secret/argocd/git",
        "Application/edge-4/app-3",
      );
      assertEquals(fields.code, 1);
      assertStringIncludes(fields.stdout, '  spec.project: "shop" here, "another" at the peer\n');
      assertStringIncludes(
        fields.stdout,
        '  metadata.labels["example.com/extra"]: "1" at the peer, nothing here\n',
      );
      assertStringIncludes(fields.stdout, "Application/edge-4/app-3: the same on both sides");
      assert(
        / {2}data\.password: "digest \w{12}" here, "digest \w{12}" at the peer\n/.test(fields.stdout),
        fields.stdout,
      );
      assert(!fields.stdout.includes("data.url"), "a field that is the same is named");
      for (const secret of ["right", "wrong"]) {
        assert(!fields.stdout.includes(btoa(secret)), "a Secret is shown");
      }
    }),
});

Deno.test({
  name:
    "ha diff --repair makes the replica's copy what the ACTIVE has: the resources named, from either side, and no others",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, diff } = await drifted(workshop);
      const one = await diff(primary, "--repair", "--yes", "Application/edge-2/app-1");
      assertEquals([one.code, one.stdout], [0, "Repaired: Application/edge-2/app-1\n"], one.stderr);
      const { spec } = await copyOf(replica, "Application/edge-2/app-1") as unknown as {
        spec: { project: string };
      };
      assertEquals(spec.project, "shop");
      assert(await copyOf(replica, "Application/edge-10/app-9"), "what was not named was repaired too");
      const rest = await diff(replica, "--repair", "--all", "--yes");
      const left = DIFFERING.filter((key) => !key.endsWith("app-1"));
      assertEquals([rest.code, rest.stdout], [
        0,
        left.map((key) => `Repaired: ${key}\n`).join(""),
      ], rest.stderr);
      await untilEqual(primary, replica);
      assertEquals(await copyOf(replica, "Application/edge-10/app-9"), undefined);
      assertStringIncludes((await diff(replica)).stdout, "The two sides hold the same.");
      const asked = replica.core.chain().filter(({ what }) => what.startsWith("diff --repair"));
      assertEquals(asked.map(({ what }) => what), ["diff --repair of 1 keys", "diff --repair of 3 keys"]);
      assert(asked[0]?.who.endsWith("at primary"), `the primary's operator is not told: ${asked[0]?.who}`);
    }),
});

Deno.test({
  name: "ha diff --repair is refused where nothing is followed",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, diff } = await drifted(workshop);
      const wrong = await diff(replica, "--repair", "--yes");
      assertEquals(wrong.code, 2);
      assertStringIncludes(wrong.stderr, "name the keys to repair, or give --all");
      await primary.stop();
      await untilState(replica, "disconnected");
      const refused = await diff(replica, "--repair", "--all", "--yes");
      assertEquals(refused.code, 1);
      assertStringIncludes(refused.stderr, "cannot compare with the peer");
    }),
});
