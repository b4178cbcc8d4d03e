import { assert, assertEquals, assertRejects } from "@std/assert";
import { reasonOf } from "../../base/reason.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import { type Answering, RequestFailed, type RequestTarget } from "../ports/requests.ts";
import { NO_TRACING } from "../ports/tracing.ts";
import { RequestLane } from "./request_lane.ts";

const LONG: Answering = { timeoutMs: 60_000 };

/** A lane, and what it does to its agent. */
function laneOf({ open = true } = {}) {
  const seen = {
    acknowledged: [] as AgentEvent[],
    unsolicited: [] as AgentEvent[],
    unasked: 0,
    congested: false,
  };
  const lane = new RequestLane({
    tracing: NO_TRACING,
    agent: "edge-1",
    schedule: () => {},
    congested: () => seen.congested,
    acknowledge: (event) => seen.acknowledged.push(event),
    unasked: () => seen.unasked++,
    unsolicited: (event) => seen.unsolicited.push(event),
  });
  if (open) lane.open();
  let ids = 0;
  const request = (bytes = 2, target: RequestTarget = "resource") => ({
    target,
    type: "GET",
    id: `id-${++ids}`,
    payload: new Uint8Array(bytes),
  });
  return { lane, seen, request };
}

const ack = (id: string): AgentEvent => ({
  type: "processed",
  target: "eventProcessed",
  extensions: { resourceid: id, eventid: id },
});
const answer = (id: string, target = "resource", type = "response"): AgentEvent => ({
  type,
  target,
  extensions: { resourceid: `answer to ${id}`, eventid: id },
});

/** The ids of what the lane sends now. */
function sent(lane: RequestLane): string[] {
  const ids: string[] = [];
  for (let event = lane.next(); event; event = lane.next()) ids.push(event.extensions.eventid ?? "");
  return ids;
}

/** How a request failed. */
async function failure(asked: Promise<unknown>): Promise<string> {
  const error = await assertRejects(() => asked);
  assert(error instanceof RequestFailed, reasonOf(error));
  return `${error.kind}${error.sent ? ", sent" : ""}: ${error.message}`;
}

Deno.test("ask() resolves with the answer, whichever of answer and acknowledgement comes first, and counts neither as unasked", async () => {
  for (const order of [["answer", "ack"], ["ack", "answer"]]) {
    const { lane, seen, request } = laneOf();
    const asked = lane.ask(request(), { timeoutMs: 60_000, afterAckMs: 60_000 });
    const event = lane.next();
    assertEquals([event?.type, event?.extensions], ["GET", { resourceid: "id-1", eventid: "id-1" }]);
    for (const what of order) {
      assert(lane.received(what === "ack" ? ack("id-1") : answer("id-1")), `${what} belongs to the lane`);
    }
    assertEquals((await asked).extensions.resourceid, "answer to id-1");
    assertEquals([seen.acknowledged.length, seen.unasked], [1, 0], "one answer is acknowledged");
    assert(!lane.received(ack("id-1")), "an acknowledgement counts once");
  }
});

Deno.test("ask() sends each request once, few at a time, in their order", async () => {
  const { lane, request } = laneOf();
  const asked = Array.from({ length: 6 }, () => lane.ask(request(), LONG));
  assertEquals(sent(lane), ["id-1", "id-2", "id-3", "id-4"]);
  assertEquals(sent(lane), [], "nothing is sent twice");
  lane.received(answer("id-2"));
  await asked[1];
  assertEquals(sent(lane), ["id-5", "id-6"], "a place for the one that was answered, and one more");
  for (const id of ["id-1", "id-3", "id-4", "id-5", "id-6"]) lane.received(answer(id));
  await Promise.all(asked);
});

Deno.test("an agent that answers quickly gets more at a time, to a bound; one that does not gets few again", async () => {
  const { lane, request } = laneOf();
  const asked = Array.from({ length: 90 }, () => failure(lane.ask(request(), LONG)).catch(() => "answered"));
  const places: number[] = [];
  for (let round = 0; round < 4; round++) {
    const ids = sent(lane);
    places.push(ids.length);
    for (const id of ids) lane.received(answer(id));
  }
  assertEquals(places, [4, 8, 16, 32]);
  const late = failure(lane.ask(request(), { timeoutMs: 10 }));
  assertEquals(sent(lane).length, 31, "all that are left, of 32 places");
  assertEquals((await late).startsWith("no answer, sent"), true);
  lane.end("left", "it left");
  assertEquals((await Promise.all(asked)).filter((one) => one !== "answered").length, 30);
});

Deno.test("quick requests do not wait behind those that an agent works on one after another", () => {
  const { lane, request } = laneOf();
  for (let n = 0; n < 5; n++) lane.ask(request(), LONG).catch(() => {});
  lane.ask(request(2, "redis"), LONG).catch(() => {});
  assertEquals(sent(lane), ["id-6", "id-1", "id-2", "id-3", "id-4"]);
  lane.end("left", "it left");
});

Deno.test("a request ends with what ends it", async (t) => {
  const { lane, request } = laneOf({ open: false });
  await t.step("no stream", async () => {
    assertEquals(
      await failure(lane.ask(request(), LONG)),
      'not connected: agent "edge-1" is not connected',
    );
    lane.open();
  });
  await t.step("its time, in the queue", async () => {
    const ended = failure(lane.ask(request(), { timeoutMs: 1 }));
    assertEquals(await ended, 'no answer: no answer of agent "edge-1" within 0.001 s');
    assertEquals(sent(lane), [], "it is not sent any more");
  });
  await t.step(
    "its time, on the way; the answer that comes later is acknowledged and not unasked",
    async () => {
      const { lane, seen, request } = laneOf();
      const ended = failure(lane.ask(request(), { timeoutMs: 20 }));
      assertEquals(sent(lane), ["id-1"]);
      assertEquals(await ended, 'no answer, sent: no answer of agent "edge-1" within 0.02 s');
      assert(lane.received(answer("id-1")));
      assertEquals([seen.acknowledged.length, seen.unasked, seen.unsolicited.length], [1, 0, 0]);
    },
  );
  await t.step("an acknowledgement without an answer", async () => {
    const ended = failure(lane.ask(request(), { timeoutMs: 60_000, afterAckMs: 1 }));
    const [id = ""] = sent(lane);
    lane.received(ack(id));
    assertEquals(
      await ended,
      'unanswered, sent: agent "edge-1" has acknowledged the request and does not answer it',
    );
  });
  await t.step("the end of the stream, whether it was sent or not", async () => {
    const ended = Array.from({ length: 5 }, () => failure(lane.ask(request(), LONG)));
    assertEquals(sent(lane).length, 4);
    lane.end("left", "it left");
    assertEquals(await Promise.all(ended), [...Array(4).fill("left, sent: it left"), "left: it left"]);
  });
});

Deno.test("a request whose asker is gone is not sent; one that was sent keeps its place until the agent is done with it", async () => {
  const { lane, request } = laneOf();
  const gone = new AbortController();
  const asked = Array.from({ length: 6 }, () => lane.ask(request(), { ...LONG, signal: gone.signal }));
  assertEquals(sent(lane).length, 4);
  gone.abort(new Error("the browser is closed"));
  for (const one of asked) assertEquals(reasonOf(await assertRejects(() => one)), "the browser is closed");
  const next = lane.ask(request(), LONG);
  assertEquals(sent(lane), [], "four are on their way, two were dropped");
  lane.received(answer("id-3"));
  assertEquals(sent(lane), ["id-7"]);
  lane.received(answer("id-7"));
  await next;
  lane.end("left", "it left");
});

Deno.test("no more than so many requests, and so many bytes, wait for an agent", async () => {
  const { lane, request } = laneOf();
  const many = Array.from({ length: 100 }, () => lane.ask(request(), LONG));
  assertEquals(
    await failure(lane.ask(request(), LONG)),
    'busy: agent "edge-1" is busy: 100 requests wait for it',
  );
  const large = lane.ask(request(16 * 1024 * 1024 - 1_000, "redis"), LONG);
  assert((await failure(lane.ask(request(2_000, "redis"), LONG))).startsWith("busy"));
  const ends = Promise.allSettled([...many, large]);
  lane.end("left", "it left");
  await ends;
  lane.open();
  const once = lane.ask(request(16 * 1024 * 1024, "redis"), LONG);
  const [id = ""] = sent(lane);
  lane.received(answer(id, "redis"));
  await once;
});

Deno.test("tell() resolves with the acknowledgement", async () => {
  const { lane, seen, request } = laneOf();
  const told = lane.tell(request(2, "terminal"), LONG);
  const [id = ""] = sent(lane);
  assert(lane.received(ack(id)));
  await told;
  assertEquals(seen.unasked, 0);
});

Deno.test("an event that answers nothing is acknowledged, counts as unasked and is handed on; not to an agent that does not read", async () => {
  const { lane, seen, request } = laneOf();
  const asked = lane.ask(request(2, "redis"), LONG);
  const [id = ""] = sent(lane);
  assert(lane.received(answer("nobody asked")));
  assert(lane.received(answer(id, "resource")), "an answer of another target");
  const body = { pushFromSubscribe: { channelName: "app|resources-tree|a|1.8.3" } };
  const notice = new TextEncoder().encode(JSON.stringify({ uuid: id, connectionUuid: "c", body }));
  assert(lane.received({ ...answer(id, "redis"), payload: notice }), "with the id of its subscription");
  assertEquals([seen.acknowledged.length, seen.unasked, seen.unsolicited.length], [3, 3, 3]);
  seen.congested = true;
  assert(lane.received(answer("nobody asked", "redis")));
  assertEquals([seen.acknowledged.length, seen.unasked, seen.unsolicited.length], [3, 4, 3]);
  lane.received(answer(id, "redis", "redis-response"));
  assertEquals((await asked).type, "redis-response");
  assertEquals(seen.acknowledged.length, 4, "what it was asked for is always acknowledged");
  assert(!lane.received({ type: "status-update", target: "application", extensions: {} }));
  assert(!lane.received(ack("of an application")));
});
