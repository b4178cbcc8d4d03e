import { assert, assertEquals } from "@std/assert";
import { BodyRoom } from "./body_room.ts";

Deno.test("BodyRoom.take() has room for an agent's bodies up to its bound, and again once they are through", () => {
  const room = new BodyRoom();
  const largest = 3 * 1024 * 1024;
  const taken = Array.from({ length: 4 }, () => room.take("edge-1", largest));
  assert(taken.every(Boolean));
  assertEquals(room.take("edge-1", largest), undefined);
  assert(room.take("edge-1", 0), "a request without a body needs none");
  assert(room.take("edge-2", largest), "another agent has its own");
  for (const leave of taken) leave?.();
  assert(room.take("edge-1", largest));
});
