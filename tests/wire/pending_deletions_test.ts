/**
 * Objects that are being deleted: on the ACTIVE an intention that replicates and survives a failover as one, on a standby drift that is
 * repaired and never promoted. Agents are created nothing that is being deleted.
 */
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { DELETION_REQUESTED } from "../../src/domain/resources/transform.ts";
import type { Running } from "../../src/serve.ts";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { Outbox } from "../../src/simagents/outbox.ts";
import { application, startAgent, untilHolds, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilEqual, untilState, type Workshop } from "../support/principals.ts";
import { runCli } from "../support/processes.ts";

const KEYS = ["--insecure-jwt-generate"];
const KEY = "Application/edge-1/a";

const leaving = (name: string): ApiObject => {
  const object = application("edge-1", name);
  object.metadata.finalizers = ["resources-finalizer.argocd.argoproj.io"];
  return object;
};
const put = (running: Running, object: ApiObject) => running.core.store.write({ op: "put", object });
const remove = (running: Running, key: string) =>
  running.core.store.write({ op: "delete", key, graceful: true });
const ha = async (side: Running, ...args: string[]) =>
  (await runCli(["ha", ...args, "-a", `127.0.0.1:${side.ports.admin}`])).stdout;

async function pair(workshop: Workshop) {
  const primary = await workshop.served(workshop.settings("primary", 1, KEYS));
  await untilState(primary, "active");
  const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, KEYS));
  await untilState(replica, "replicating");
  return { primary, replica };
}

const untilCopied = (replica: Running, key: string) =>
  until(() => replica.core.index.present(key) !== undefined, 20_000, () => `${key} is not copied`, 5);

/** The events about Applications that an agent is sent from now on. */
function eventsTo(agent: SimAgent): string[] {
  const events: string[] = [];
  agent.onWire = (way, { type, target }) => {
    if (way === "to agent" && target === "application") events.push(type);
  };
  return events;
}

Deno.test(
  "an Application that is deleted on the ACTIVE is told to its agent once, and nothing is created there",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      await put(primary, leaving("a"));
      const agent = await startAgent(workshop, primary, { name: "edge-1" });
      await untilHolds(agent, "Application", ["a"]);
      await untilServed(primary, agent);
      const events = eventsTo(agent);
      await remove(primary, KEY);
      await until(() => primary.core.index.get(KEY)?.deleted === true, 20_000, () => "it is still there");
      await untilEqual(primary, replica);
      await put(primary, application("edge-1", "later"));
      await untilHolds(agent, "Application", ["later"]);
      assertEquals(events, ["spec-update", "create"]);
      assertEquals(agent.cluster.deleted, 1);
    }),
);

Deno.test(
  "an agent whose stream breaks while it carries a deletion out is not told of it once more, and nothing is created there",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary } = await pair(workshop);
      await put(primary, leaving("a"));
      const agent = await startAgent(workshop, primary, { name: "edge-1" });
      await untilHolds(agent, "Application", ["a"]);
      await untilServed(primary, agent);
      const events = eventsTo(agent);
      agent.onEvent = ({ type }) => {
        if (type === "spec-update") agent.connection?.close();
      };
      const { outbox } = agent;
      const late: AgentEvent[] = [];
      outbox.add = (event) =>
        void (event.type === "delete" ? late.push(event) : Outbox.prototype.add.call(outbox, event));
      await remove(primary, KEY);
      await until(() => late.length === 1, 20_000, () => "the agent deletes nothing");
      await untilServed(primary, agent);
      await put(primary, application("edge-1", "meanwhile"));
      await untilHolds(agent, "Application", ["meanwhile"]);
      for (const event of late) Outbox.prototype.add.call(outbox, event);
      await until(() => primary.core.index.get(KEY)?.deleted === true, 20_000, () => "it is still there");
      await put(primary, application("edge-1", "later"));
      await untilHolds(agent, "Application", ["later", "meanwhile"]);
      assertEquals(events, ["spec-update", "create", "create"]);
      assertEquals(agent.cluster.deleted, 1);
    }),
);

Deno.test(
  "a deletion in flight when its ACTIVE dies is a request at the next one: told to no agent, listed, and over when the agent has deleted; at a failback it does not fire",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      for (const name of ["a", "b"]) await put(primary, leaving(name));
      const front = { to: primary };
      const agent = await startAgent(workshop, () => `127.0.0.1:${front.to.ports.grpc}`, { name: "edge-1" });
      await untilHolds(agent, "Application", ["a", "b"]);
      await untilEqual(primary, replica);
      await agent.stop();
      for (const key of [KEY, "Application/edge-1/b"]) await remove(primary, key);
      const requested = () => replica.core.index.requested().length;
      await until(() => requested() === 2, 20_000, () => "the requests do not replicate");
      const copy = await replica.core.store.get(KEY);
      assertEquals(copy?.metadata.deletionTimestamp, undefined);
      assertEquals(copy?.metadata.finalizers, ["resources-finalizer.argocd.argoproj.io"]);
      assertMatch(copy?.metadata.annotations?.[DELETION_REQUESTED] ?? "", /^\d{4}-.*Z$/);
      for (const side of [primary, replica]) {
        assertMatch(await ha(side, "status"), /2 deletions are requested/);
      }

      await primary.stop();
      await untilState(replica, "disconnected");
      await replica.operations.command("promote", false, "");
      front.to = replica;
      const events = eventsTo(agent);
      agent.start();
      await untilServed(replica, agent);
      await put(replica, application("edge-1", "later"));
      await untilHolds(agent, "Application", ["a", "b", "later"]);
      assertEquals(events, ["create"], "neither deleted nor sent");
      assertMatch(await ha(replica, "explain"), /here, 2 deletions are requested and not carried out/);

      // The agent had heard of one, and carries it out.
      agent.remove("Application", "b");
      const gone = () => replica.core.index.get("Application/edge-1/b")?.deleted === true;
      await until(gone, 20_000, () => "the agent has deleted it, and it is still here");

      const back = await workshop.start(workshop.settings("primary", replica.ports.grpc, KEYS));
      await untilState(back, "replicating");
      await untilEqual(back, replica);
      const restored = await back.core.store.get(KEY);
      assertEquals(restored?.metadata.deletionTimestamp, undefined, "what it had begun is ended");
      await replica.operations.command("demote", false, "");
      await untilState(back, "disconnected");
      await back.operations.command("promote", false, "");
      front.to = back;
      await untilServed(back, agent);
      await put(back, application("edge-1", "last"));
      await untilHolds(agent, "Application", ["a", "last", "later"]);
      assertEquals(agent.cluster.deleted, 1);
    }),
);

Deno.test(
  "a deletion begun on a standby is drift: named, ended and repaired at once, and shown where it is not",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      await put(primary, leaving("a"));
      await untilCopied(replica, KEY);
      const { uid } = (await replica.core.store.get(KEY))!.metadata;
      await remove(replica, KEY);
      const repaired = async () => {
        const now = await replica.core.store.get(KEY);
        return now !== undefined && now.metadata.uid !== uid && now.metadata.deletionTimestamp === undefined;
      };
      await until(repaired, 20_000, () => "it is not repaired at once");
      assert(workshop.logs.some((line) => line.includes(KEY) && line.includes("being deleted")), "not named");
      await untilEqual(primary, replica);
      assertEquals(replica.core.index.requested(), []);

      replica.core.copies.drift.due = () => [];
      await remove(replica, KEY);
      await until(() => replica.core.index.terminating().length === 1, 20_000, () => "not seen");
      assertMatch(await ha(replica, "diff", KEY), /ha-deletion-requested/);
      assertMatch(
        await ha(replica, "preflight"),
        /drift .*1 copy was changed by another writer: .*being deleted/,
      );
      assertMatch(await ha(replica, "status"), /1 copy was changed by another writer/);
    }),
);

const foreignHands: [string, (replica: Running) => Promise<unknown>][] = [
  ["a deletion", (replica) => remove(replica, "Application/edge-1/plain")],
  ["a deletion that waits", (replica) => remove(replica, KEY)],
  ["a change", async (replica) => {
    const object = await replica.core.store.get(KEY) as ApiObject;
    await put(replica, { ...object, spec: { ...object["spec"] as object, project: "another" } });
  }],
  ["an object too many", (replica) => put(replica, application("edge-1", "stray"))],
];

for (const [what, hand] of foreignHands) {
  Deno.test(
    `${what} on a standby whose ACTIVE is dead is undone by the promotion, and no agent hears of it`,
    LOOSE,
    () =>
      inWorkshop(async (workshop) => {
        const { primary, replica } = await pair(workshop);
        for (const object of [leaving("a"), application("edge-1", "plain")]) await put(primary, object);
        const front = { to: primary };
        const agent = await startAgent(workshop, () => `127.0.0.1:${front.to.ports.grpc}`, {
          name: "edge-1",
        });
        await untilHolds(agent, "Application", ["a", "plain"]);
        await untilEqual(primary, replica);
        await primary.stop();
        await untilState(replica, "disconnected");
        await hand(replica);
        await replica.operations.command("promote", false, "");
        front.to = replica;
        await untilServed(replica, agent);
        await put(replica, application("edge-1", "later"));
        await untilHolds(agent, "Application", ["a", "later", "plain"]);
        assertEquals([agent.cluster.deleted, agent.cluster.recreated], [0, 0]);
        assertEquals(
          (agent.cluster.get("Application", "a")?.["spec"] as { project: string }).project,
          "default",
        );
        assertEquals(replica.core.index.terminating(), []);
      }),
  );
}

/** A replica without a leader, one copy of which another writer is deleting and cannot be restored. */
async function unrestorable(workshop: Workshop) {
  const { primary, replica } = await pair(workshop);
  await put(primary, leaving("a"));
  await untilCopied(replica, KEY);
  await primary.stop();
  await untilState(replica, "disconnected");
  await remove(replica, KEY);
  await until(() => replica.core.copies.copies.length === 1, 20_000, () => "not seen");
  const { store } = replica.core;
  const write = store.write.bind(store);
  store.write = (one) =>
    one.op === "put" && one.object.metadata.name === "a"
      ? Promise.reject(new Error("refused by the test"))
      : write(one);
  return { replica, restorable: () => void (store.write = write) };
}

Deno.test(
  "a copy that cannot be restored is named, and the promotion refused without --force",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { replica, restorable } = await unrestorable(workshop);
      const refused = await runCli(["ha", "promote", "--yes", "-a", `127.0.0.1:${replica.ports.admin}`]);
      assertMatch(
        refused.stderr,
        /cannot promote: another writer changed copies here.*Application\/edge-1\/a \(refused by the test\)/,
      );
      restorable();
      await replica.operations.command("promote", false, "");
      assertEquals((await replica.core.store.get(KEY))?.metadata.deletionTimestamp, undefined);
    }),
);

Deno.test(
  "a forced promotion names the copy that it serves as another writer left it",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { replica } = await unrestorable(workshop);
      await replica.operations.command("promote", true, "");
      await untilState(replica, "active");
      const named =
        /FORCED: another writer changed copies here.*Application\/edge-1\/a \(refused by the test\)/;
      assert(workshop.logs.some((line) => named.test(line)));
    }),
);
