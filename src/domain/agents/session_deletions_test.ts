import { assert, assertEquals } from "@std/assert";
import { types, World } from "../../../tests/support/session_world.ts";
import { RESEND } from "./session.ts";
import type { AgentView } from "./view.ts";

Deno.test("AgentSession: an Application that is being deleted is created nowhere, and its end is told once", () => {
  const world = new World();
  world.set("a");
  const [created] = world.drain();
  world.ack(created);
  world.set("a", { state: "2", deletion: "carried out" });
  const [told] = world.drain();
  assertEquals([told?.type, world.drain().length], ["spec-update", 0]);
  // The agent is quick: it reports the end before it acknowledges the event.
  world.session.gone("a");
  world.ack(told);
  world.session.touch("a");
  assertEquals(types(world.drain()), []);
  world.remove("a");
  assertEquals(types(world.drain()), []);
});

Deno.test("AgentSession: what an agent may have been sent just before its deletion is deleted there, never made", () => {
  const world = new World();
  world.set("a");
  const [created] = world.drain();
  world.set("a", { state: "2", deletion: "carried out" });
  assertEquals(types(world.drain()), [], "one event of a key at a time");
  world.session.connected();
  const [deleted] = world.drain();
  assertEquals([created?.type, deleted?.type], ["create", "delete"]);
  world.ack(deleted);
  world.session.connected();
  assertEquals(types(world.drain()), []);
});

Deno.test("AgentSession: an Application that is being deleted is told once, and once more only where the agent has it", () => {
  const world = new World();
  world.set("a");
  for (const event of world.drain()) world.ack(event);
  world.set("a", { state: "2", deletion: "carried out" });
  assertEquals(types(world.drain()), ["spec-update"]);
  // The acknowledgement is lost: the agent may have deleted it, and would make another of the same event.
  world.session.connected();
  const asked = world.drain();
  assertEquals(types(asked), ["request-resource-resync"]);
  for (const event of asked) world.ack(event);
  world.session.connected();
  assertEquals(types(world.drain()), []);
  const what = world.views.get("a") as AgentView;
  world.session.recheck("a", what);
  const [told] = world.drain();
  assertEquals(told?.type, "spec-update", "the agent has it");
  world.session.recheck("a", what);
  world.session.expire(RESEND.firstMs);
  assertEquals(types(world.drain()), ["request-resource-resync"], "that it has it was said before it heard");
  world.session.gone("a");
  world.remove("a");
  assertEquals(types(world.drain()), []);
});

Deno.test("AgentSession: that an agent has what is being deleted counts only where it was said after it heard of that", () => {
  for (const acknowledged of [true, false]) {
    const world = new World();
    world.set("a");
    const [created] = world.drain();
    if (acknowledged) world.ack(created);
    world.set("a", { deletion: "carried out" });
    world.session.connected();
    const heardAfter = world.session.acknowledgements;
    const [told] = world.drain();
    assertEquals(told?.type, acknowledged ? "spec-update" : "delete");
    world.ack(told);
    const what = world.views.get("a") as AgentView;
    world.session.recheck("a", what, heardAfter);
    assertEquals(types(world.drain()), []);
    world.session.recheck("a", what, world.session.acknowledgements);
    assertEquals(types(world.drain()), ["spec-update"]);
  }
});

Deno.test("AgentSession: a deletion requested at an earlier ACTIVE is told to no agent until it is released", () => {
  const world = new World();
  world.set("a", { deletion: "requested" });
  assertEquals(types(world.drain()), []);
  world.session.recheck("a", world.views.get("a") as AgentView);
  assertEquals(types(world.drain()), [], "not to one that has it either");
  world.set("a", { deletion: "carried out" });
  const [told] = world.drain();
  assertEquals(told?.type, "spec-update");
  world.ack(told);
  world.set("a", { deletion: "" });
  assertEquals(types(world.drain()), ["spec-update"], "restored");
});

Deno.test("AgentSession tells of no deletion that must wait, goes on with the rest, and tells when it may", () => {
  const world = new World();
  world.set("a");
  world.set("b");
  for (const event of world.drain()) world.ack(event);
  assertEquals(world.session.holding, 2);
  world.waiting.add("a");
  world.remove("a");
  world.set("b", { state: "2" });
  assertEquals(types(world.drain()), ["spec-update"], "only the deletion waits");
  assert(world.session.deletes("a") && !world.session.deletes("b"));
  assertEquals(world.session.pending, 2, "the one that waits, and the one in flight");
  world.session.connected();
  assertEquals(types(world.drain()), ["spec-update"], "also on another stream");
  world.waiting.clear();
  world.session.touch("a");
  const [deletion] = world.drain();
  assertEquals([deletion?.type, deletion?.subject], ["delete", "edge-1/a"]);
  world.ack(deletion);
  assertEquals([world.session.holding, world.session.deletes("a")], [1, false]);
  for (const event of world.drain()) world.ack(event);
});

Deno.test("AgentSession does not tell of a deletion that waited where the resource is back", () => {
  const world = new World();
  world.set("a");
  for (const event of world.drain()) world.ack(event);
  world.waiting.add("a");
  world.remove("a");
  assertEquals(world.drain(), []);
  world.set("a");
  world.waiting.clear();
  assertEquals(types(world.drain()), [], "the agent has it in that state");
});
