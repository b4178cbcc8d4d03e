/** Two principals over real sockets with mTLS: what replicates, what breaks, what comes back. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exampleObjects, generatedApplication } from "../../src/cli/examples.ts";
import { parseManifests } from "../../src/cli/manifests.ts";
import { keyOfObject } from "../../src/domain/resources/keys.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import type { Running } from "../../src/serve.ts";
import {
  inWorkshop,
  LOOSE,
  Proxy,
  until,
  untilEqual,
  untilState,
  type Workshop,
} from "../support/principals.ts";

const put = (running: Running, objects: ApiObject[]) =>
  Promise.all(objects.map((object) => running.core.store.write({ op: "put", object })));
const apps = (from: number, to: number, change = "") =>
  Array.from({ length: to - from }, (_, n) => {
    const object = generatedApplication(from + n);
    object.metadata.labels = { change };
    return object;
  });

/** A primary, a proxy in front of it, and a replica that follows it through the proxy. */
async function pair(workshop: Workshop, flags: { primary?: string[]; replica?: string[] } = {}) {
  const placeholder = new Proxy(0);
  workshop.onClose(() => placeholder.close());
  const primary = await workshop.start(workshop.settings("primary", placeholder.port, flags.primary));
  const proxy = new Proxy(primary.ports.grpc);
  workshop.onClose(() => proxy.close());
  const replica = await workshop.start(workshop.settings("replica", proxy.port, flags.replica));
  placeholder.targetPort = replica.ports.grpc;
  await untilState(primary, "active");
  return { primary, replica, proxy, toReplica: placeholder };
}

/** A pair that holds the same `count` Applications. */
async function inSync(workshop: Workshop, count: number) {
  const both = await pair(workshop);
  await put(both.primary, apps(0, count));
  await untilState(both.replica, "replicating");
  await untilEqual(both.primary, both.replica);
  return both;
}

for (
  const [contract, flags] of [["our Link", []], ["the peer's plain contract", [
    "--ha-plain-contract",
  ]]] as const
) {
  Deno.test({
    name: `replication in ${contract}: snapshot, changes, deletions, acknowledgements`,
    ...LOOSE,
    fn: () =>
      inWorkshop(async (workshop) => {
        const { primary, replica } = await pair(workshop, { primary: [...flags], replica: [...flags] });
        const objects = exampleObjects();
        await put(primary, objects);
        await untilState(replica, "replicating");
        await until(() => replica.core.index.size === objects.length, 15_000, () =>
          `${replica.core.index.size} arrived`);
        await put(primary, apps(0, 300));
        await primary.core.store.write({ op: "delete", key: "Application/edge-1/shop" });
        await primary.core.store.write({ op: "delete", key: "AppProject/argocd/shop" });
        await untilEqual(primary, replica);
        assertEquals(replica.core.index.get("Application/edge-1/shop")?.deleted, true);
        const copy = await replica.core.store.get("Application/edge-1/ingress");
        const source = await primary.core.store.get("Application/edge-1/ingress");
        assertEquals(copy?.["spec"], source?.["spec"]);
        assertEquals(copy?.metadata.annotations?.["argocd.argoproj.io/source-uid"], source?.metadata.uid);
        assert(copy?.metadata.uid !== source?.metadata.uid);
        await until(
          () =>
            [...primary.core.replicas].some((one) =>
              one.appliedRevision >= primary.core.index.head
            ),
          20_000,
          () => "never acknowledged",
        );
      }),
  });
}

Deno.test({
  name: "a peer without our extension is followed in the plain contract",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop, { primary: ["--ha-plain-contract"] });
      await put(primary, apps(0, 20));
      await untilState(replica, "replicating");
      await until(() => replica.core.index.size === 20, 20_000, () => "not all arrived");
      assertEquals(replica.core.following.contract, "plain");
    }),
});

Deno.test({
  name: "a broken stream: DISCONNECTED, then resumed, and only what changed meanwhile travels",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, proxy } = await inSync(workshop, 500);
      proxy.mode = "refuse";
      proxy.cut();
      await untilState(replica, "disconnected");
      await put(primary, apps(0, 5, "meanwhile"));
      const before = replica.core.counters.total("eventsReceived");
      proxy.mode = "pass";
      await untilState(replica, "replicating");
      await untilEqual(primary, replica);
      assertEquals(replica.core.counters.total("eventsReceived") - before, 5);
      assertStringIncludes(workshop.logs.join("\n"), "replica resumed its stream");
    }),
});

Deno.test({
  name: "a replica that restarts with everything in sync writes nothing",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { replica, proxy } = await inSync(workshop, 500);
      await replica.stop();
      const again = await workshop.start(workshop.settings("replica", proxy.port));
      const version = (await again.core.store.get("Application/edge-1/app-0"))?.metadata.resourceVersion;
      await untilState(again, "replicating");
      assertEquals(again.core.counters.total("eventsReceived"), 0);
      assertEquals(
        (await again.core.store.get("Application/edge-1/app-0"))?.metadata.resourceVersion,
        version,
      );
    }),
});

for (
  const [contract, flags] of [["our Link", []], ["the plain contract", ["--ha-plain-contract"]]] as const
) {
  Deno.test({
    name: `a half-open link is noticed within 15 s on both sides, in ${contract}`,
    ...LOOSE,
    fn: () =>
      inWorkshop(async (workshop) => {
        const { primary, replica, proxy } = await pair(workshop, {
          primary: [...flags],
          replica: [...flags],
        });
        await untilState(replica, "replicating");
        const since = performance.now();
        proxy.mode = "swallow";
        await untilState(replica, "disconnected", 15_000);
        await until(() => primary.core.replicas.size === 0, 15_000, () =>
          "the primary still counts its replica");
        assert(performance.now() - since < 15_000);
      }),
  });
}

Deno.test({
  name: "a primary that refuses is not hammered",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const proxy = new Proxy(0);
      proxy.mode = "refuse";
      workshop.onClose(() => proxy.close());
      const replica = await workshop.start(workshop.settings("replica", proxy.port));
      const started = Date.now();
      await until(() => proxy.accepted >= 3, 20_000, () => "it does not redial at all");
      const perSecond = proxy.accepted / ((Date.now() - started) / 1000);
      assert(perSecond < 3, `${perSecond} dials a second`);
      assertEquals(replica.core.model().state, "syncing");
    }),
});

Deno.test({
  name: "a change that the store refuses is held, shown and not acknowledged; others go on",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      await untilState(replica, "replicating");
      const { store } = replica.core;
      const write = store.write.bind(store);
      let broken = true;
      store.write = (one) => {
        const bad = one.op === "put" && one.object.metadata.name === "app-7";
        return bad && broken ? Promise.reject(new Error('namespaces "edge-8" not found')) : write(one);
      };
      await put(primary, apps(0, 20));
      await until(() => replica.core.index.size === 19, 20_000, () => "the others do not go on");
      await until(() => replica.core.following.heldTotal === 1, 20_000, () => "not shown as held");
      assertEquals(replica.core.following.held[0]?.reason, 'namespaces "edge-8" not found');
      const [session] = primary.core.replicas;
      assert((session?.appliedRevision ?? 0) < primary.core.index.head, "acknowledged what is not durable");
      broken = false;
      await untilEqual(primary, replica);
      await until(() => (session?.appliedRevision ?? 0) >= primary.core.index.head, 20_000, () =>
        "never acknowledged");
    }),
});

Deno.test({
  name: "an Application that comes before its ApplicationSet gets its owner reference when that comes",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      await untilState(replica, "replicating");
      const [application, set] = parseManifests(
        `
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata:
  name: owned
  namespace: argocd
  ownerReferences: [{ apiVersion: argoproj.io/v1alpha1, kind: ApplicationSet, name: set, uid: there, controller: true }]
spec: { project: default, destination: {} }
---
apiVersion: argoproj.io/v1alpha1
kind: ApplicationSet
metadata: { name: set, namespace: argocd }
spec:
  generators: []
  template: { metadata: { name: a }, spec: { project: default, destination: {} } }`,
        "test",
        "argocd",
      ) as [ApiObject, ApiObject];
      await put(primary, [application]);
      await until(() => replica.core.index.size === 1, 20_000, () => "the application does not come");
      assertEquals(
        (await replica.core.store.get(keyOfObject(application)))?.metadata.ownerReferences,
        undefined,
      );
      await put(primary, [set]);
      await until(() => primary.core.index.size === 2, 20_000, () => "the set does not come");
      await untilEqual(primary, replica);
      const owner = (await replica.core.store.get(keyOfObject(application)))?.metadata.ownerReferences?.[0];
      assertEquals(owner?.uid, (await replica.core.store.get(keyOfObject(set)))?.metadata.uid);
      assertEquals(owner?.controller, true);
    }),
});

Deno.test({
  name: "drift on the replica is repaired at once, a key at a time, once and once more",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await inSync(workshop, 50);
      const received = () => replica.core.counters.total("eventsReceived");
      const before = received();
      for (const [first, last] of [[900, 902], [910, 912]] as const) {
        await replica.core.store.write({ op: "delete", key: "Application/edge-1/app-0" });
        await put(replica, apps(first, last));
        const wanted = before + (first === 900 ? 3 : 6);
        await until(
          () => received() >= wanted,
          20_000,
          () => `${wanted - received()} keys are not asked for`,
        );
        await untilEqual(primary, replica);
        await until(() => replica.core.copies.copies.length === 0, 20_000, () => "the copies still drift");
      }
      assertEquals(received() - before, 6, "only what drifted travelled");
      assertEquals(replica.core.following.driftAtMs, 0, "the stream went on");
      await untilState(replica, "replicating");
    }),
});

Deno.test({
  name:
    "planned move as the Go principal documents it: demote A, promote B without force; nothing is lost or deleted",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      await put(primary, [...exampleObjects(), ...apps(0, 200)]);
      await untilState(replica, "replicating");
      await put(primary, apps(0, 200, "just before"));
      const demoted = await primary.operations.command("demote", false, "");
      assertEquals(demoted.state, "syncing");
      await untilState(replica, "disconnected");
      assertEquals(
        replica.core.index.digests.root(),
        primary.core.index.digests.root(),
        "demotion let the replica catch up",
      );
      const promoted = await replica.operations.command("promote", false, "");
      assertEquals([promoted.state, promoted.memory.epoch], ["active", 2]);
      await untilState(primary, "replicating");
      assertEquals(primary.core.index.size, 210);
      await put(replica, apps(300, 310));
      await untilEqual(primary, replica);
      for (const { core } of [primary, replica]) assertEquals(core.kept.waiting, []);
      await replica.operations.command("demote", false, "");
      await untilState(primary, "disconnected");
      assertEquals((await primary.operations.command("promote", false, "")).memory.epoch, 3);
      await untilState(replica, "replicating");
      const uid = (at: Running) =>
        JSON.parse(at.core.index.get("Application/edge-1/shop")?.payload ?? "{}").metadata.annotations;
      assertEquals(uid(primary), uid(replica), "the source uid is stable over failovers");
    }),
});

Deno.test({
  name:
    "a forced promotion beside a living ACTIVE: the old one hears of it, steps down, and keeps what only it has",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, proxy } = await inSync(workshop, 20);
      proxy.mode = "refuse";
      proxy.cut();
      await untilState(replica, "disconnected");
      await put(primary, apps(100, 103, "only here"));
      await primary.core.store.write({ op: "put", object: apps(5, 6, "only here")[0] as ApiObject });
      const promoted = await replica.operations.command("promote", true, "");
      assertEquals(promoted.memory.epoch, 2);
      await untilState(primary, "replicating", 20_000);
      await untilEqual(primary, replica);
      assertEquals([...[primary, replica]].filter((one) => one.core.model().state === "active").length, 1);
      const entries = primary.core.kept.waiting;
      assertEquals(entries.map((entry) => [entry.key, entry.newActiveHas]).sort(), [
        ["Application/edge-1/app-100", "nothing"],
        ["Application/edge-2/app-101", "nothing"],
        ["Application/edge-3/app-102", "nothing"],
        ["Application/edge-6/app-5", "another state"],
      ]);
    }),
});

Deno.test({
  name: "a promotion is refused with the peer's epoch while the peer is ACTIVE",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, proxy } = await pair(workshop);
      await untilState(replica, "replicating");
      const refusal = await replica.operations.command("promote", false, "").then(() => "", (error) =>
        error.message);
      assertMatch(
        refusal,
        /^still replicating from peer "\S+": run ha switchover, or override .*: ha promote --force$/,
      );
      proxy.cut();
      await untilState(replica, "disconnected");
      const asked = await replica.operations.command("promote", false, "").then(() =>
        "", (error) =>
        error.message);
      assertStringIncludes(asked, "is ACTIVE in epoch 1 since");
      assertStringIncludes(
        asked,
        "with 0 agents; once this side follows it run ha switchover, or override it with: ha promote --force",
      );
      assertEquals(primary.core.model().state, "active");
    }),
});
