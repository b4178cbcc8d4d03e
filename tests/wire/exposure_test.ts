/** The loss that an ACTIVE reports of itself, and concerns told on both sides; differing keys are named, and repaired before a switchover. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { generatedApplication } from "../../src/cli/examples.ts";
import { monotonicMs } from "../../src/base/clock.ts";
import { StoreError } from "../../src/principal/ports/store.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
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
const app = (n: number, project = "shop"): ApiObject => {
  const object = generatedApplication(n);
  return { ...object, spec: { ...object["spec"] as object, project } };
};
const ha = async (side: Running, ...args: string[]) =>
  (await runCli(["ha", ...args, "-a", `127.0.0.1:${side.ports.admin}`])).stdout;
const metric = (side: Running, name: string, label = ""): number | undefined => {
  const value = side.core.series.find((series) => series.name === name)?.read();
  return typeof value === "object"
    ? value.find(([labels]) => Object.values(labels).includes(label))?.[1]
    : value;
};

/** A pair in sync with three Applications, whose link can be cut. */
async function pair(workshop: Workshop) {
  const toReplica = new Proxy(0);
  const toPrimary = new Proxy(0);
  workshop.onClose(() => toReplica.close());
  workshop.onClose(() => toPrimary.close());
  const settings = (name: "primary" | "replica", port: number) =>
    workshop.settings(name, port, ["--insecure-jwt-generate"]);
  const primary = await workshop.served(settings("primary", toReplica.port));
  toPrimary.targetPort = primary.ports.grpc;
  await untilState(primary, "active");
  const alone = await ha(primary, "explain");
  const replica = await workshop.start(settings("replica", toPrimary.port));
  toReplica.targetPort = replica.ports.grpc;
  await put(primary, app(1), app(2), app(3));
  await untilState(replica, "replicating");
  await untilEqual(primary, replica);
  await until(
    () => primary.core.exposure.now().equalAgoMs !== undefined,
    20_000,
    () => "equality is not proved",
  );
  return { primary, replica, toPrimary, toReplica, alone };
}

/** The replica's copy of app-1 is another, as if somebody had written there too often for it to be repaired now. */
async function drifted(replica: Running): Promise<string> {
  replica.core.following.driftAtMs = monotonicMs();
  replica.core.copies.drift.due = () => [];
  const before = replica.core.index.digests.root();
  const copy = await replica.core.store.get("Application/edge-2/app-1") as ApiObject;
  await put(replica, { ...copy, spec: { ...copy["spec"] as object, project: "another" } });
  await until(() => replica.core.index.digests.root() !== before, 20_000, () => "the drift is not seen");
  return "Application/edge-2/app-1";
}

Deno.test({
  name:
    "an ACTIVE says what a loss of it would take along: nothing only where a replica has acknowledged everything",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, toPrimary, alone } = await pair(workshop);
      assertMatch(alone, /Possible loss: +everything: no replica has had a whole copy/);
      await until(
        async () => (await ha(primary, "status")).includes("Unacknowledged:    0 changes"),
        20_000,
        () => "not acknowledged",
      );
      const sound = await ha(primary, "status");
      assertMatch(
        sound,
        /Proved equal: +\d+s ago\nPossible loss: +nothing: the replica has acknowledged every change/,
      );
      toPrimary.mode = "refuse";
      toPrimary.cut();
      await until(() => primary.core.replicas.size === 0, 20_000, () => "the replica is still there");
      assertMatch(await ha(primary, "explain"), /Possible loss: +nothing so far: .*nobody replicates/);
      await put(primary, app(1, "new"), app(4));
      await until(() => primary.core.exposure.now().unacknowledged === 2, 20_000, () =>
        "the writes are not seen");
      for (const command of ["status", "explain", "preflight"]) {
        assertMatch(
          await ha(primary, command),
          /Possible loss: +everything since \S+Z, 2 changes \(nobody replicates\)/i,
          command,
        );
      }
      assertMatch(await ha(primary, "watch", "--once"), /unacknowledged +2 changes\n/);
      const { unacknowledged_changes, replica_equal_ms_ago } = JSON.parse(
        await ha(primary, "status", "-o", "json"),
      );
      assertEquals(unacknowledged_changes, 2);
      assert(replica_equal_ms_ago > 0);
      assertEquals(metric(primary, "argocd_agent_ha_unacknowledged_changes"), 2);
      assert((metric(primary, "argocd_agent_ha_possible_loss_seconds") ?? 0) > 0);
      toPrimary.mode = "pass";
      await untilState(replica, "replicating");
      await until(
        () =>
          primary.core.exposure.now().unacknowledged === 0,
        20_000,
        () =>
          "not acknowledged again",
      );
    }),
});

Deno.test({
  name: "held keys and waiting losses are told on both sides, with the next command",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      const { store } = replica.core;
      const write = store.write.bind(store);
      store.write = (one) =>
        one.op === "put" && one.object.metadata.name === "app-7"
          ? Promise.reject(new StoreError("invalid", "refused by the test"))
          : write(one);
      await put(primary, app(7));
      const told = async (side: Running) =>
        /1 change cannot be written/.test(await ha(side, "status")) &&
        /1 change cannot be written/.test(await ha(side, "explain")) &&
        /NOT OK +held/.test(await ha(side, "preflight"));
      for (const side of [replica, primary]) {
        await until(() => told(side), 15_000, () => "the held key is not told");
      }
      assertEquals(metric(replica, "argocd_agent_ha_held_keys"), 1);
      assertEquals(metric(primary, "argocd_agent_ha_peer_concerns", "held"), 1);
      assertEquals(primary.core.exposure.now().unacknowledged, 1);
    }),
});

Deno.test({
  name:
    "preflight, explain and switchover --dry-run name the keys that differ; the switchover repairs them first",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      const key = await drifted(replica);
      assertMatch(
        await ha(primary, "preflight"),
        new RegExp(`NOT OK +digests +1 key differs .*: ${key}; ha diff`),
      );
      assertMatch(
        await ha(replica, "preflight"),
        new RegExp(`NOT OK +digests +1 key differs .*: ${key}; ha diff`),
      );
      const explained = await ha(primary, "explain");
      assertMatch(explained, /here, 1 key differs from the other side's: ha diff/);
      assertMatch(explained, /Possible loss: .*what differs at the replica: 1 key/);
      assertMatch(await ha(replica, "explain"), /Possible loss: .*1 key differs from the active's/);
      const forecast = await ha(replica, "switchover", "--dry-run");
      assertStringIncludes(forecast, `differing      1 key, repaired first: ${key}`);
      const receipt = await ha(replica, "switchover", "--yes");
      assertStringIncludes(receipt, "Switchover done.");
      assertStringIncludes(receipt, `repaired       1 key, which differed: ${key}`);
      assertEquals(
        (await replica.core.store.get(key) as { spec?: { project: string } }).spec?.project,
        "shop",
      );
      assertEquals(replica.core.exposure.now().unacknowledged, 0);
    }),
});

Deno.test({
  name: "a switchover names the keys that it cannot repair, and changes nothing",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      const key = await drifted(replica);
      const { store } = replica.core;
      const write = store.write.bind(store);
      store.write = (one) =>
        one.op === "put" && one.object.kind === "Application"
          ? Promise.reject(new StoreError("invalid", "refused by the test"))
          : write(one);
      const { code, stderr } = await runCli([
        "ha",
        "switchover",
        "--yes",
        "-a",
        `127.0.0.1:${primary.ports.admin}`,
      ]);
      assertEquals(code, 1);
      assertMatch(
        stderr,
        new RegExp(`1 key differs at the replica and cannot be repaired: ${key}: .*refused by the test`),
      );
      assertEquals([primary.core.model().state, replica.core.model().state], ["active", "replicating"]);
    }),
});

Deno.test({
  name: "an ACTIVE that restarts alone still knows until when a replica had everything",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      await until(() => primary.core.exposure.now().unacknowledged === 0, 20_000, () => "not acknowledged");
      await replica.stop();
      await until(() => primary.core.replicas.size === 0, 20_000, () => "the replica is still there");
      await primary.stop();
      const again = await workshop.start(workshop.settings("primary", 1));
      await untilState(again, "active");
      const loss = async () => /Possible loss: +(.*)/.exec(await ha(again, "status"))?.[1] ?? "";
      assertMatch(await loss(), /^nothing so far: .*nobody replicates/);
      await put(again, app(1, "new"));
      await until(
        () => again.core.exposure.now().unacknowledged === 1,
        20_000,
        () => "the write is not seen",
      );
      await again.stop();
      const third = await workshop.start(workshop.settings("primary", 1));
      await untilState(third, "active");
      const said = /Possible loss: +(.*)/.exec(await ha(third, "status"))?.[1] ?? "";
      assertMatch(said, /^everything since \S+Z \(nobody replicates\)/);
      assert((third.core.exposure.now().heldAgoMs ?? Infinity) < 60_000);
    }),
});
