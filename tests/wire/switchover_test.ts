/** The planned move: from either side, with agents and writes going on, and everything that can go wrong before the step. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { call, dialPeer } from "../../src/adapters/grpc/dial.ts";
import { linkService } from "../../src/adapters/grpc/services.ts";
import type { Running } from "../../src/serve.ts";
import { application, startAgent, untilServed } from "../support/agents.ts";
import {
  inWorkshop,
  LOOSE,
  material,
  Proxy,
  until,
  untilState,
  type Workshop,
} from "../support/principals.ts";

const KEYS = ["--insecure-jwt-generate"];

/** A pair whose two directions go through proxies. */
async function pair(workshop: Workshop) {
  const toPrimary = new Proxy(0);
  const toReplica = new Proxy(0);
  workshop.onClose(() => {
    toPrimary.close();
    toReplica.close();
  });
  const primary = await workshop.served(workshop.settings("primary", toReplica.port, KEYS));
  toPrimary.targetPort = primary.ports.grpc;
  await untilState(primary, "active");
  const replica = await workshop.start(workshop.settings("replica", toPrimary.port, KEYS));
  toReplica.targetPort = replica.ports.grpc;
  await untilState(replica, "replicating");
  return { primary, replica, toPrimary, toReplica };
}

const OPTIONS = { who: "somebody", dryRun: false, timeoutMs: 10_000 };
const quiet = () => {};
/** Why a call was refused; empty: it was not. */
const refused = (answer: Promise<unknown>): Promise<string> =>
  answer.then(() => "", (error) => error.details ?? error.message);

Deno.test(
  "a switchover under load loses nothing, raises the epoch by one, and its receipt says so",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      const where = () => primary.core.activeScope() ? primary : replica;
      const agent = await startAgent(workshop, () => `127.0.0.1:${where().ports.grpc}`, {
        name: "auto-1",
        mode: "autonomous",
      });
      await untilServed(primary, agent);
      let n = 0;
      const writing = setInterval(() => agent.apply("Application", application("x", `app-${n++}`)), 5);
      await until(() => primary.core.index.size > 20, 20_000, () => "nothing is adopted", 5);
      const phases: string[] = [];
      const receipt = await primary.core.switchover.run(
        OPTIONS,
        ({ phase = "" }) => phases.push(phase),
      );
      clearInterval(writing);
      assertEquals([primary.core.model().state, replica.core.model().state], ["replicating", "active"]);
      assertEquals([receipt.epochBefore, receipt.epochAfter, receipt.lostAcknowledged], [1, 2, 0]);
      assertEquals(receipt.digestActive, receipt.digestReplica);
      assertEquals([receipt.agentsBefore, receipt.agentsBack], [1, 1]);
      assertEquals(phases, ["preflight", "freeze", "cut", "proof", "prepare", "step", "follow", "agents"]);
      await until(
        async () => (await replica.core.store.list("Application")).length === n && agent.outbox.pending === 0,
        20_000,
        () => "not everything arrives at the new active",
        20,
      );
      assertEquals(agent.cluster.deleted, 0);
      const asked = [primary, replica].map(({ core }) => core.chain().findLast(({ who }) => who !== ""));
      assertEquals(asked.map((link) => [link?.what, link?.who]), [
        ["outcome of switchover", "somebody"],
        ["switchover", "somebody, switchover"],
      ]);
      const outcome = primary.core.chain().findLast(({ what }) => what === "outcome of switchover");
      assertMatch(
        outcome?.text ?? "",
        /^done: "replica" is ACTIVE, epoch 1 -> 2, 0 .* lost, 1 of 1 agents are back$/,
      );
      assertEquals(primary.core.chain().some(({ what }) => what === "demote"), true);

      const back = await replica.core.switchover.run(OPTIONS, quiet);
      assertEquals([back.epochBefore, back.epochAfter], [2, 3]);
      assertEquals([primary.core.model().state, replica.core.model().state], ["active", "replicating"]);
    }),
);

Deno.test(
  "a switchover that cannot begin says why and what to do, and changes nothing",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, toReplica } = await pair(workshop);
      const refusal = ({ core }: Running) =>
        core.switchover.run(OPTIONS, quiet).then(() => "", (error) => error.message);
      assertStringIncludes(await refusal(replica), "not ACTIVE (state replicating)");
      toReplica.mode = "refuse";
      toReplica.cut();
      assertStringIncludes(await refusal(primary), "does not answer us");
      toReplica.mode = "pass";
      await replica.stop();
      assertStringIncludes(await refusal(primary), "does not answer us");
      const dry = await primary.core.switchover.run({ ...OPTIONS, dryRun: true }, quiet)
        .then(() => "", (error) => error.message);
      assertStringIncludes(dry, "cannot switch over");
      assertEquals([primary.core.model().state, primary.core.model().memory.epoch], ["active", 1]);
    }),
);

Deno.test(
  "a replica that misses the cut, or dies before the step: all is undone and agents are served on",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, toPrimary } = await pair(workshop);
      const agent = await startAgent(workshop, primary, { name: "auto-1", mode: "autonomous" });
      await untilServed(primary, agent);
      toPrimary.freeze();
      await primary.core.store.write({ op: "put", object: application("edge-1", "unseen") });
      await until(
        () => primary.core.index.get("Application/edge-1/unseen") !== undefined,
        20_000,
        () => "",
        5,
      );
      const message = await primary.core.switchover.run({ ...OPTIONS, timeoutMs: 700 }, quiet)
        .then(() => "", (error) => error.message);
      assertStringIncludes(message, "nothing was changed, this principal serves on");
      assertEquals([primary.core.model().state, primary.core.model().memory.epoch], ["active", 1]);
      agent.apply("Application", application("x", "after"));
      await until(() => agent.outbox.pending === 0, 20_000, () => "events of agents stay frozen", 5);
      assert(await primary.core.store.get("Application/auto-1/after"));
    }),
);

Deno.test(
  "a replica whose stream breaks at the cut is waited for, and takes over with everything",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, toPrimary } = await pair(workshop);
      toPrimary.freeze();
      await primary.core.store.write({ op: "put", object: application("edge-1", "unseen") });
      const unseen = () => primary.core.index.get("Application/edge-1/unseen");
      await until(() => unseen() !== undefined, 20_000, () => "the write is not seen", 5);
      const { epochAfter, lostAcknowledged } = await primary.core.switchover.run(OPTIONS, ({ phase }) => {
        if (phase === "cut") toPrimary.cut();
      });
      assertEquals([epochAfter, lostAcknowledged, replica.core.model().state], [2, 0, "active"]);
      assert(await replica.core.store.get("Application/edge-1/unseen"));
    }),
);

Deno.test(
  "a handover whose answer is lost is finished by what the peer says; one that was refused is undone",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      const { switchover } = replica.core;
      const takeOver = switchover.takeOver.bind(switchover);
      const { Refusal } = await import("../../src/domain/ha/refusal.ts");
      switchover.takeOver = () => Promise.reject(new Refusal("the moon is full"));
      const message = await primary.core.switchover.run(OPTIONS, quiet)
        .then(() => "", (error) => error.message);
      assertStringIncludes(message, "the moon is full; this principal is ACTIVE again");
      assertEquals([primary.core.model().state, primary.core.model().memory.epoch], ["active", 3]);
      await untilState(replica, "replicating");

      switchover.takeOver = async (active, epoch) => {
        await takeOver(active, epoch);
        throw new Error("the answer is lost");
      };
      const receipt = await primary.core.switchover.run(OPTIONS, quiet);
      assertEquals([receipt.epochAfter, replica.core.model().state], [4, "active"]);
      await untilState(primary, "replicating");
    }),
);

Deno.test(
  "a word that may not have arrived is given again over a new connection; the epoch was durable before the old one gave up",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica, toReplica } = await pair(workshop);
      const record = replica.core.store.write.bind(replica.core.store);
      const failing = replica.core.store as { write: typeof record };
      failing.write = () => Promise.reject(new Error("the disk is full"));
      const undone = await refused(primary.core.switchover.run(OPTIONS, quiet));
      assertStringIncludes(undone, "the next epoch could not be recorded in the store: the disk is full");
      assertStringIncludes(undone, "nothing was changed, this principal serves on");
      assertEquals([primary.core.model().state, primary.core.model().memory.epoch], ["active", 1]);
      failing.write = record;

      const states: (string | undefined)[] = [];
      const receipt = await primary.core.switchover.run(OPTIONS, ({ phase }) => {
        if (phase !== "step") return;
        states.push(replica.core.model().state);
        toReplica.cut();
      });
      assertEquals([states, replica.core.model().memory.epoch], [["replicating"], 2]);
      assertEquals([receipt.epochAfter, replica.core.model().state], [2, "active"]);
    }),
);

Deno.test(
  "TakeOver and Prepare are refused to whoever is not followed, and to an active that has not given up",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pair(workshop);
      const client = dialPeer(`127.0.0.1:${replica.ports.grpc}`, material(workshop, "primary"), 1 << 20);
      workshop.onClose(() => client.close());
      const { TakeOver, Prepare } = linkService;
      const take = (standing: object | undefined, epoch = 2) =>
        refused(call(client, TakeOver, standing ? { standing, epoch } : {}, 5_000));
      const prepare = (standing: object | undefined) =>
        refused(call(client, Prepare, standing ? { standing } : {}, 5_000));
      const own = primary.core.standing();
      for (const ask of [take, prepare]) {
        assertStringIncludes(await ask({ ...own, uid: "somebody" }), "not the one that is followed here");
        assertStringIncludes(await ask({ ...own, epoch: 7 }), "not the one that is followed here");
        assertStringIncludes(await ask(undefined), "does not say what it is");
      }
      assertStringIncludes(await take(own), "still ACTIVE");
      const demoted = { ...own, state: "syncing" };
      assertStringIncludes(await take(demoted), "has not got ready");
      assertEquals(await prepare(own), "");
      assertStringIncludes(await take(demoted, 4), "has not got ready");
      assertEquals(replica.core.model().state, "replicating");
    }),
);
