/** Stories of a principal whose store was lost, or restored from an older copy. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { memory, peer } from "../../../tests/support/models.ts";
import { fresh, play } from "../../../tests/support/stories.ts";
import type { Input } from "./state.ts";

const noAnswer: Input = { type: "peerAnswer", peer: undefined, error: "refused" };
const recorded: Input = { type: "recorded", error: "" };
const nobodyServes: Input = { type: "peerAnswer", peer: peer({ epoch: 0 }), error: "" };

Deno.test("a principal that remembers nothing does not serve while its peer is silent; an operator can force it, and it is known to be unproven", () => {
  const start: Input = { type: "start", memory: undefined };
  const waiting = play(fresh("primary"), start, noAnswer, noAnswer);
  assertEquals(waiting.states, ["recovering"]);
  assertStringIncludes(waiting.model.explanation, "start the peer, or, if it is lost");
  assertEquals(waiting.effects.map(({ type }) => type), ["askPeer", "askPeer", "askPeer"]);

  const promote = (force: boolean): Input => ({ type: "promote", id: 1, force });
  const refused = play(waiting.model, promote(false));
  assertStringIncludes((refused.effects[0] as { error: string }).error, "ha promote --force");
  const forced = play(waiting.model, promote(true), noAnswer, { type: "stopped" }, recorded);
  assertEquals(forced.states, ["recovering", "active"]);
  assertEquals([forced.model.memory.epoch, forced.model.memory.unproven], [1, true]);
  const again = play(
    { ...fresh("primary"), memory: forced.model.memory },
    { type: "start", memory: forced.model.memory },
    noAnswer,
    recorded,
  );
  assertEquals(again.model.memory.unproven, true);

  const answered = play(waiting.model, nobodyServes, nobodyServes, recorded);
  assertEquals(answered.states, ["recovering", "active"]);
  const serves: Input = { type: "peerAnswer", peer: peer({ state: "active" }), error: "" };
  assertEquals(play(waiting.model, serves, serves).model.state, "syncing");
});

Deno.test("an ACTIVE whose store is older than its peer has heard does not serve unasked, and follows the peer that is promoted", () => {
  const memory_ = memory({ role: "active", epoch: 3, leader: "m", complete: true });
  const start: Input = { type: "start", memory: memory_ };
  const passive = peer({ state: "disconnected", epoch: 3 });
  const older: Input = {
    type: "peerAnswer",
    peer: passive,
    error: "",
    olderStore: { fromMs: 0, untilMs: 0 },
  };
  const waiting = play(fresh("primary"), start, older, older);
  assertEquals(waiting.states, ["recovering"]);
  assertStringIncludes(waiting.model.explanation, "restored from a backup");
  assertEquals(waiting.effects.map(({ type }) => type), ["askPeer", "askPeer", "askPeer"]);

  const promote = (force: boolean): Input => ({ type: "promote", id: 1, force });
  const refused = play(waiting.model, promote(false));
  assertStringIncludes((refused.effects[0] as { error: string }).error, "restored from a backup");
  const forced = play(waiting.model, promote(true), older, { type: "stopped" }, recorded);
  assertEquals([forced.model.state, forced.model.memory.epoch, forced.model.memory.unproven], [
    "active",
    5,
    true,
  ]);
  // The operator's word stands over a restart: the peer has not followed the new epoch yet.
  const again: Input = { type: "start", memory: forced.model.memory };
  assertEquals(play(fresh("primary"), again, older, recorded).model.state, "active");
  const serves: Input = {
    type: "peerAnswer",
    peer: peer({ state: "active", epoch: 4 }),
    error: "",
    olderStore: { fromMs: 0, untilMs: 0 },
  };
  assertEquals(play(waiting.model, serves, serves).model.state, "syncing");
});
