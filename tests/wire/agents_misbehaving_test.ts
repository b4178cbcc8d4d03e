/** Agents that do not read, never acknowledge, or come back again and again: they hurt nobody but themselves. */
import { assert, assertEquals } from "@std/assert";
import { call, dialPeer } from "../../src/adapters/grpc/dial.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { application, certificateFor, serving, startAgent, untilHolds } from "../support/agents.ts";
import { inWorkshop, LOOSE, until } from "../support/principals.ts";

Deno.test(
  "slow, silent and restless agents: others are served at once, and all converge when they mend their ways",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const { store } = running.core;
      const names = Array.from({ length: 400 }, (_, n) => `app-${n}`);
      const agents = ["deaf", "silent", "restless", "good"];
      for (const agent of agents) {
        await Promise.all(
          names.map((name) =>
            store.write({ op: "put", object: application(agent, name, { filler: "x".repeat(5_000) }) })
          ),
        );
      }
      const deaf = await startAgent(workshop, running, { name: "deaf", misbehaviour: { deaf: true } });
      const silent = await startAgent(workshop, running, {
        name: "silent",
        misbehaviour: { neverAcks: true },
      });
      const restless = await startAgent(workshop, running, {
        name: "restless",
        misbehaviour: { restless: true },
      });
      await until(() => deaf.connected && restless.seen.connects > 2, 20_000, () => "not connected", 5);
      await until(() => silent.cluster.list("Application").length > 100, 20_000, () => "nothing comes", 5);
      const good = await startAgent(workshop, running, { name: "good" });
      await untilHolds(good, "Application", names);
      for (let round = 0; round < 50; round++) {
        await store.write({ op: "put", object: application("silent", "app-0", { round }) });
      }
      const session = (name: string) => running.core.fleet.agent(name)?.session;
      for (const name of agents) {
        const pending = session(name)?.pending ?? 0;
        assert(pending <= 2 * names.length + 2, `${pending} keys and messages about keys wait for ${name}`);
      }
      deaf.misbehaviour.deaf = false;
      silent.misbehaviour.neverAcks = false;
      restless.misbehaviour.restless = false;
      await Promise.all([deaf, silent, restless].map((agent) => agent.restart()));
      for (const agent of [deaf, silent, restless]) await untilHolds(agent, "Application", names, 20_000);
      await until(
        () => silent.cluster.get("Application", "app-0")?.["round"] === 49,
        20_000,
        () => "stale",
        5,
      );
      const unsent = running.core.counters.rows("agentSendErrors").map(([{ agent_name }]) => agent_name);
      assert(unsent.includes("deaf"), `streams that ended with something unsent: ${unsent}`);
      assertEquals([deaf, silent, restless].map(({ cluster }) => cluster.recreated), [0, 0, 0]);
    }),
);

Deno.test(
  "Push carries events out without a stream; Ping answers whoever is let in",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await running.core.store.write({ op: "put", object: application("edge-1", "a") });
      const material = await certificateFor(`${workshop.dir}/pki`, "edge-1");
      const agent = await startAgent(workshop, running, { name: "edge-1", material });
      await untilHolds(agent, "Application", ["a"]);
      const token = agent.connection?.accessToken ?? "";
      const client = dialPeer(`127.0.0.1:${running.ports.grpc}`, material, 1 << 20);
      workshop.onClose(() => client.close());
      const { default: grpc } = await import("@grpc/grpc-js");
      const metadata = new grpc.Metadata();
      metadata.set("authorization", token);
      assert(await call(client, services.eventStreamService.Ping, {}, 5_000, metadata));
      const { encodeEvent } = await import("../../src/domain/events/cloudevent.ts");
      const { path, requestSerialize, responseDeserialize } = services.eventStreamService.Push;
      const summary = await new Promise((resolve, reject) => {
        const stream = client.makeClientStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          metadata,
          (error, answer) => error ? reject(error) : resolve(answer),
        );
        for (
          const [type, payload] of [["status-update", { metadata: { name: "a" }, status: { pushed: 1 } }], [
            "bad",
            {},
          ]]
        ) {
          const encoded = new TextEncoder().encode(JSON.stringify(payload));
          stream.write({
            event: encodeEvent({
              type: String(type),
              target: "application",
              extensions: {},
              payload: encoded,
            }),
          });
        }
        stream.end();
      });
      const { result, received, processed } = summary as Record<string, unknown>;
      assertEquals({ result, received, processed }, { result: "ok", received: 2, processed: 1 });
      assertEquals((await running.core.store.get("Application/edge-1/a"))?.["status"], { pushed: 1 });
    }),
);
