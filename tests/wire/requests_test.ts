/** The lane of requests between a principal and an agent over real gRPC. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { reasonOf } from "../../src/base/reason.ts";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import { RequestFailed } from "../../src/principal/ports/requests.ts";
import type { Running } from "../../src/serve.ts";
import { application, serving, startAgent, untilHolds, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until } from "../support/principals.ts";

const BOUND_MS = 30_000;

interface Asked {
  method?: string;
  name?: string;
  timeoutMs?: number;
  afterAckMs?: number;
  signal?: AbortSignal;
}

/** Asks an agent for a deployment. */
async function ask(running: Running, agent: string, asked: Asked = {}) {
  const { method = "GET", name = "web", timeoutMs = BOUND_MS, afterAckMs = BOUND_MS, signal } = asked;
  const id = crypto.randomUUID();
  const place = { group: "apps", version: "v1", resource: "deployments", namespace: "shop", name };
  const payload = new TextEncoder().encode(JSON.stringify({ uuid: id, method, ...place }));
  const options = { timeoutMs, afterAckMs, ...(signal ? { signal } : {}) };
  const request = { target: "resource" as const, type: method, id, payload };
  const answer = await running.core.fleet.requests.ask(agent, request, options);
  return JSON.parse(new TextDecoder().decode(answer.payload)) as Record<string, unknown>;
}

async function failure(asked: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => asked);
  assert(error instanceof RequestFailed, reasonOf(error));
  return `${error.kind}${error.sent ? ", sent" : ""}`;
}

Deno.test(
  "an agent answers requests; nothing of them stays, and its own events go on",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const types: string[] = [];
      const agent = await startAgent(workshop, running, {
        name: "edge-1",
        prepare: (one) => {
          one.onEvent = ({ target, type }) => target === "resource" && types.push(type);
        },
      });
      await untilServed(running, agent);
      agent.resources.put("deployments", {
        metadata: { name: "web", namespace: "shop" },
        filler: "x".repeat(6_000_000),
      });
      const { status, resource } = await ask(running, "edge-1");
      assertEquals(status, 200);
      assert(String(resource).length > 6_000_000, "an answer may be larger than an event");
      assertEquals((await ask(running, "edge-1", { name: "other" }))["status"], 404);
      const many = Array.from({ length: 50 }, () => ask(running, "edge-1", { name: "other" }));
      await running.core.store.write({ op: "put", object: application("edge-1", "a") });
      await untilHolds(agent, "Application", ["a"], BOUND_MS);
      assertEquals(new Set((await Promise.all(many)).map((one) => one["status"])), new Set([404]));
      assertEquals(types.length, 52, "each request is sent once");
      assertEquals(new Set(types), new Set(["GET"]));
      await until(() => agent.outbox.pending === 0, BOUND_MS, () => "answers are not acknowledged", 5);
      const { session } = running.core.fleet.agent("edge-1") ?? {};
      await until(() => session?.pending === 0, BOUND_MS, () => `${session?.pending} keys are pending`, 5);
    }),
);

Deno.test(
  "requests end when their agent does not answer, leaves, comes back, or is left alone",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      assertEquals(await failure(ask(running, "edge-1")), "not connected");
      const agent = await startAgent(workshop, running, {
        name: "edge-1",
        misbehaviour: { requests: "unanswered" },
      });
      await untilServed(running, agent);
      assertEquals(await failure(ask(running, "edge-1", { afterAckMs: 10 })), "unanswered, sent");
      agent.misbehaviour.requests = "ignored";
      let asked: AgentEvent[] = [];
      agent.onEvent = (event) => event.target === "resource" && asked.push(event);
      assertEquals(await failure(ask(running, "edge-1", { timeoutMs: 100 })), "no answer, sent");
      const late = asked.at(-1)?.extensions.eventid ?? "";
      agent.send({ type: "response", target: "resource", extensions: { resourceid: "late", eventid: late } });
      agent.send({
        type: "response",
        target: "resource",
        extensions: { resourceid: "x", eventid: "unknown" },
      });
      await until(() => agent.outbox.pending === 0, BOUND_MS, () => "not acknowledged", 5);
      const gone = new AbortController();
      const dropped = assertRejects(() => ask(running, "edge-1", { signal: gone.signal }));
      gone.abort(new Error("the browser is closed"));
      assertEquals(reasonOf(await dropped), "the browser is closed");
      asked = [];
      const left = failure(ask(running, "edge-1"));
      await until(() => asked.length > 0, BOUND_MS, () => "the request does not come", 5);
      agent.connection?.close();
      assertEquals(await left, "left, sent");
      await untilServed(running, agent);
      const told: string[] = [];
      running.core.fleet.requests.onStream((name, open) => told.push(`${name} ${open}`));
      const replaced = failure(ask(running, "edge-1"));
      await until(() => asked.length > 1, BOUND_MS, () => "the request does not come", 5);
      const twin = await startAgent(workshop, running, { name: "edge-1" });
      assertEquals(await replaced, "left, sent");
      assert(asked.length === 2, "no request is sent over another stream");
      await agent.stop();
      await untilServed(running, twin);
      assertEquals(told.slice(0, 2), ["edge-1 false", "edge-1 true"]);
    }),
);

Deno.test(
  "a principal that steps down ends its requests at once, and takes none",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ["--ha-enabled"]);
      const agent = await startAgent(workshop, running, {
        name: "edge-1",
        misbehaviour: { requests: "ignored" },
      });
      await untilServed(running, agent);
      const ended = failure(ask(running, "edge-1"));
      await until(() => agent.seen.events > 0, BOUND_MS, () => "the request does not come", 5);
      await running.operations.command("demote", true, "");
      assertEquals((await ended).split(",")[0], "not active");
      assertEquals(await failure(ask(running, "edge-1")), "not active");
    }),
);
