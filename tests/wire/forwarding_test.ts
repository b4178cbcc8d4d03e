/** A replica's requests reach the agents of the ACTIVE over the link, and its own agents once it is promoted. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { reasonOf } from "../../src/base/reason.ts";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import { RequestFailed } from "../../src/principal/ports/requests.ts";
import type { Running } from "../../src/serve.ts";
import { startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState, type Workshop } from "../support/principals.ts";

const BOUND_MS = 30_000;

async function pairOf(workshop: Workshop) {
  const flags = ["--insecure-jwt-generate"];
  const primary = await workshop.start(workshop.settings("primary", 0, flags));
  const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, flags));
  await untilState(primary, "active");
  await untilState(replica, "replicating");
  return { primary, replica };
}

interface Asked {
  name?: string;
  timeoutMs?: number;
  signal?: AbortSignal;
}

async function ask({ core }: Running, agent: string, asked: Asked = {}): Promise<number> {
  const { name = "web", timeoutMs = BOUND_MS, signal } = asked;
  const id = crypto.randomUUID();
  const place = { group: "apps", version: "v1", resource: "deployments", namespace: "shop", name };
  const payload = new TextEncoder().encode(JSON.stringify({ uuid: id, method: "GET", ...place }));
  const request = { target: "resource" as const, type: "GET", id, payload };
  const answer = await core.requests.ask(agent, request, { timeoutMs, ...(signal ? { signal } : {}) });
  return JSON.parse(new TextDecoder().decode(answer.payload)).status;
}

async function failure(asked: Promise<unknown>): Promise<RequestFailed> {
  const error = await assertRejects(() => asked);
  assert(error instanceof RequestFailed, reasonOf(error));
  return error;
}

const untilKnown = (side: Running, agent: string, mode: string | undefined) =>
  until(
    () => side.core.requests.connected(agent) === mode,
    BOUND_MS,
    () => `${agent} is ${side.core.requests.connected(agent)}, not ${mode}`,
    5,
  );

Deno.test(
  "a replica asks the ACTIVE's agents over the link, knows which are connected, and passes later events on",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pairOf(workshop);
      const agent = await startAgent(workshop, primary, { name: "edge-1" });
      await untilServed(primary, agent);
      await untilKnown(replica, "edge-1", "managed");
      assertEquals([...replica.core.requests.agents()], [["edge-1", "managed"]]);
      agent.resources.put("deployments", { metadata: { name: "web", namespace: "shop" } });
      assertEquals(await ask(replica, "edge-1"), 200);
      assertEquals(await ask(replica, "edge-1", { name: "other" }), 404);
      const many = await Promise.all(Array.from({ length: 60 }, () => ask(replica, "edge-1")));
      assertEquals(new Set(many), new Set([200]));
      const unknown = await failure(ask(replica, "edge-2"));
      assertEquals([unknown.kind, unknown.sent], ["not connected", false]);

      const later: string[] = [];
      let asked: AgentEvent | undefined;
      agent.onEvent = (event) => event.target === "resource" && (asked = event);
      replica.core.requests.listen("resource", (name, { extensions }) =>
        later.push(`${name} ${extensions.eventid}`));
      assertEquals(await ask(replica, "edge-1"), 200);
      const { eventid = "" } = asked?.extensions ?? {};
      const again = (id: string) =>
        agent.send({ type: "response", target: "resource", extensions: { resourceid: "x", eventid: id } });
      again("of nobody");
      again(eventid);
      await until(
        () =>
          later.length > 0,
        BOUND_MS,
        () => "the later event does not come",
        5,
      );
      assertEquals(later, [`edge-1 ${eventid}`], "and no event of a request that was not made here");

      await agent.stop();
      await untilKnown(replica, "edge-1", undefined);
    }),
);

Deno.test(
  "forwarded requests end when their asker leaves, the ACTIVE steps down, or the link breaks; after a promotion agents are asked here",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { primary, replica } = await pairOf(workshop);
      const agent = await startAgent(workshop, () => `127.0.0.1:${to.ports.grpc}`, {
        name: "edge-1",
        misbehaviour: { requests: "ignored" },
      });
      let to = primary;
      await untilServed(primary, agent);
      await untilKnown(replica, "edge-1", "managed");
      const asked: AgentEvent[] = [];
      agent.onEvent = (event) => event.target === "resource" && asked.push(event);

      const timed = await failure(ask(replica, "edge-1", { timeoutMs: 50 }));
      assertEquals(timed.kind, "no answer");
      const gone = new AbortController();
      const left = assertRejects(() => ask(replica, "edge-1", { signal: gone.signal }));
      await until(() => asked.length > 1, BOUND_MS, () => "the request does not come", 5);
      gone.abort(new Error("the browser is closed"));
      assertEquals(reasonOf(await left), "the browser is closed");

      const told: string[] = [];
      replica.core.requests.onStream((name, open) => told.push(`${name} ${open}`));
      const waiting = failure(ask(replica, "edge-1"));
      await until(() => asked.length > 2, BOUND_MS, () => "the request does not come", 5);
      await primary.operations.command("demote", true, "");
      assert((await waiting).sent, "it may have been carried out");
      await untilKnown(replica, "edge-1", undefined);
      const alone = await failure(ask(replica, "edge-1"));
      assertEquals(alone.kind, "not active");

      to = replica;
      agent.misbehaviour.requests = undefined as never;
      agent.resources.put("deployments", { metadata: { name: "web", namespace: "shop" } });
      await replica.operations.command("promote", true, "");
      await untilState(replica, "active");
      await untilServed(replica, agent);
      assertEquals(told, ["edge-1 false", "edge-1 true"]);
      assertEquals(await ask(replica, "edge-1"), 200, "its own agent now");
    }),
);
