import { assert, assertEquals } from "@std/assert";
import { seeded } from "../../../tests/support/random.ts";
import { AUTONOMOUS, types, World } from "../../../tests/support/session_world.ts";
import type { AgentEvent } from "../events/cloudevent.ts";
import { MAX_ACKS, RESEND } from "./session.ts";

Deno.test("AgentSession sends a change once, one event of a key at a time, and the newest state", () => {
  const world = new World();
  world.set("a", { state: "1" });
  world.set("a", { state: "2" });
  const [create] = world.drain();
  assertEquals([create?.type, create?.subject, create?.extensions.principaluid], [
    "create",
    "edge-1/a",
    "principal",
  ]);
  world.set("a", { state: "3" });
  world.set("a", { state: "4" });
  assertEquals(world.drain(), [], "nothing more of a key that is on the way");
  assert(world.ack(create));
  assert(!world.ack(create), "an acknowledgement counts once (8)");
  const [update, ...rest] = world.drain();
  assertEquals([update?.type, rest.length], ["spec-update", 0]);
  assert(new TextDecoder().decode(update?.payload).includes('"state":"4"'));
  world.ack(update);
  assertEquals(world.session.pending, 0);
  world.set("a", { state: "4" });
  assertEquals(world.drain(), [], "what it has is not sent again");
  world.remove("a");
  const [gone] = world.drain();
  assertEquals([gone?.type, new TextDecoder().decode(gone?.payload)], [
    "delete",
    '{"metadata":{"name":"a","namespace":"edge-1","uid":"uid-a"}}',
  ]);
  world.ack(gone);
  assertEquals(world.session.pending, 0);
});

Deno.test("AgentSession sends an operation after its Application, with ids of its own (8)", () => {
  const world = new World();
  world.set("a", { operation: "sync" });
  const [create] = world.drain();
  world.ack(create);
  const [operation] = world.drain();
  assertEquals([create?.type, operation?.type, operation?.extensions.principaluid], [
    "create",
    "set-operation",
    undefined,
  ]);
  assert(create?.extensions.eventid !== operation?.extensions.eventid);
  world.ack(operation);
  world.set("a", { operation: "" });
  assertEquals(world.drain(), []);
  world.set("a", { operation: "sync" });
  const [second] = world.drain();
  assertEquals(second?.type, "set-operation", "the same operation, asked for again");
  world.set("a", { terminating: true });
  assertEquals(world.drain(), [], "the operation is still on the way");
  world.ack(second);
  assertEquals(types(world.drain()), ["terminate-operation"]);
});

Deno.test("AgentSession sends again with growing delays and the same ids, at once on a new stream", () => {
  const world = new World();
  world.set("a");
  const [first] = world.drain(0);
  assert(!world.session.expire(RESEND.firstMs / 2 - 1));
  assert(world.session.expire(RESEND.firstMs));
  const [second] = world.drain(RESEND.firstMs);
  assertEquals(second?.extensions, first?.extensions);
  world.session.connected();
  const [third] = world.drain(RESEND.firstMs + 1);
  assertEquals(third?.extensions.eventid, first?.extensions.eventid);
  assertEquals(world.session.resent, 2);
  world.session.connected();
  world.set("a", { state: "2" });
  const [newer] = world.drain(RESEND.firstMs + 2);
  assert(newer?.extensions.eventid !== first?.extensions.eventid, "other content, another id");
  assert(!world.ack(first), "an acknowledgement of the older content does not count for the newer");
  assert(world.ack(newer));
});

Deno.test("AgentSession: what is never acknowledged blocks only itself, in bounded memory", () => {
  const world = new World();
  for (let n = 0; n < 5_000; n++) world.set(`stuck-${n}`);
  const sent = world.drain(0).length;
  assert(sent < 300, `${sent} events on the way`);
  world.session.expire(1e9);
  world.set("other");
  const again = world.drain(1e9).map(({ subject }) => subject);
  assert(again.length > sent, "those that wait for another attempt hold nobody up");
  let n = 0;
  for (; !world.session.congested; n++) world.session.acknowledge({ type: "x", target: "y", extensions: {} });
  assertEquals(n, MAX_ACKS);
});

Deno.test("AgentSession sends anew what the agent lost, and forgets what only the agent spoke of", () => {
  const world = new World();
  world.set("a");
  const [first] = world.drain();
  world.session.lost("a");
  const [again] = world.drain();
  assertEquals([again?.type, world.ack(first), world.ack(again)], ["create", false, true]);
  const what = {
    namespace: "edge-1",
    name: "x",
    kind: "Application",
    target: "application" as const,
    uid: "u",
  };
  let taken = 0;
  while (world.session.recheck(`unknown-${taken}`, what)) taken++;
  assertEquals(taken, 10_000);
  for (let event = world.drain(); event.length > 0; event = world.drain()) {
    for (const one of event) world.ack(one);
  }
  assertEquals(world.session.pending, 0);
  assert(world.session.recheck("one-more", what));
});

Deno.test("AgentSession asks an autonomous agent about what may differ, and again when it changed here", () => {
  const world = new World(AUTONOMOUS);
  world.set("a", { source: "s1", state: "" });
  const [ask] = world.drain();
  assertEquals([ask?.type, ask?.target], ["request-update", "resourceResync"]);
  assertEquals(JSON.parse(new TextDecoder().decode(ask?.payload)).checksum, "s1");
  world.ack(ask);
  assertEquals(world.drain(), []);
  world.set("a", { source: "changed here" });
  const [again] = world.drain();
  assertEquals(JSON.parse(new TextDecoder().decode(again?.payload)).checksum, "changed here");
  world.session.hold("a");
  world.set("a", { source: "s2" });
  world.session.release("a", { source: "s2" });
  world.ack(again);
  assertEquals(world.drain(), [], "the agent answered with what is here now");
  world.set("a", { source: "changed here" });
  const [once] = world.drain();
  world.session.hold("a");
  world.set("a", { source: "s2" });
  world.session.release("a", { source: "s2" });
  world.ack(once);
  assertEquals(
    world.drain(),
    [],
    "the agent's answer is what it told before, and came before it acknowledged",
  );
  world.remove("a");
  const [lost] = world.drain();
  assertEquals(JSON.parse(new TextDecoder().decode(lost?.payload)), {
    name: "a",
    namespace: "edge-1",
    uid: "uid-a",
    kind: "Application",
    checksum: null,
  });
  world.session.gone("a");
  world.ack(lost);
  assertEquals(world.session.pending, 0);
});

Deno.test("AgentSession: what is said late of a resource that is gone is not believed of another of its name", () => {
  for (const says of ["lost", "gone"] as const) {
    const world = new World();
    world.set("a", { uid: "first" });
    for (const event of world.drain()) world.ack(event);
    world.set("a", { uid: "second", state: "2" });
    for (const event of world.drain()) world.ack(event);
    world.session[says]("a", { uid: "first" });
    world.remove("a");
    const types = world.drain().map(({ type }) => type);
    assertEquals(types, ["delete"], says);
  }
});

Deno.test("AgentSession: a deletion is not believed that was said before the agent took the same resource again, or while it is on its way", () => {
  const before = new World();
  before.set("a");
  const heardAfter = before.session.acknowledgements;
  for (const event of before.drain()) before.ack(event);
  before.session.gone("a", { uid: "uid-a", heardAfter });
  before.remove("a");
  assertEquals(before.drain().map(({ type }) => type), ["delete"]);

  const onItsWay = new World();
  onItsWay.set("a");
  const [sent] = onItsWay.drain();
  onItsWay.remove("a");
  onItsWay.session.gone("a", { uid: "uid-a", heardAfter: onItsWay.session.acknowledgements });
  onItsWay.ack(sent);
  assertEquals(onItsWay.drain().map(({ type }) => type), ["delete"]);

  const after = new World();
  after.set("a");
  for (const event of after.drain()) after.ack(event);
  after.session.gone("a", { uid: "uid-a", heardAfter: after.session.acknowledgements });
  after.remove("a");
  assertEquals(after.drain(), []);
});

Deno.test("AgentSession by seed: whatever is lost, late or doubled, the agent converges and never goes back", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = seeded(seed);
    const world = new World();
    const agent = new Map<string, number>();
    const keys = Array.from({ length: 1 + random.int(20) }, (_, n) => `k${n}`);
    let version = 0;
    let now = 0;
    let wire: AgentEvent[] = [];
    const late: AgentEvent[] = [];
    const receive = (event: AgentEvent) => {
      const { metadata, spec } = JSON.parse(new TextDecoder().decode(event.payload));
      if (event.type === "delete") agent.delete(metadata.name);
      else {
        const state = Number(spec.state);
        assert(state >= (agent.get(metadata.name) ?? 0), `seed ${seed}: ${metadata.name} went back`);
        agent.set(metadata.name, state);
      }
    };
    const step = (chaos: boolean) => {
      now += random.int(20_000);
      wire.push(...world.drain(now));
      const flying = wire.map(({ subject }) => subject);
      assertEquals(new Set(flying).size, flying.length, `seed ${seed}: two events of one key are on the way`);
      const lost = chaos && random.chance(0.2);
      for (const event of wire) {
        if (lost || (chaos && random.chance(0.1))) continue;
        receive(event);
        if (chaos && random.chance(0.2)) late.push(event);
        else world.ack(event);
      }
      wire = [];
      for (const event of late.splice(0, random.int(3))) if (random.chance(0.5)) world.ack(event);
      if (lost) world.session.connected();
      world.session.expire(now);
    };
    for (let i = 0; i < 60; i++) {
      const name = random.pick(keys);
      if (random.chance(0.25)) world.remove(name);
      else world.set(name, { state: String(++version) });
      assert(world.session.pending <= keys.length, "memory is bounded by keys");
      if (random.chance(0.5)) step(true);
    }
    for (let i = 0; i < 40 && world.session.pending > 0; i++) {
      now += RESEND.maxMs;
      world.session.expire(now);
      step(false);
    }
    assertEquals(world.session.pending, 0, `seed ${seed}`);
    const wanted = [...world.views].map(([name, { state }]) => [name, Number(state)]).sort();
    assertEquals([...agent].sort(), wanted as [string, number][], `seed ${seed}`);
  }
});

Deno.test("AgentSession: a change of which there is nothing to tell is not under way", () => {
  const world = new World();
  world.session.touch("a");
  assert(!world.session.underway("a"));
  world.session.recheck("a", {
    namespace: "edge-1",
    name: "a",
    kind: "Application",
    target: "application",
    uid: "u",
  });
  assert(world.session.underway("a"));
  assertEquals(types(world.drain()), ["delete"]);
});
