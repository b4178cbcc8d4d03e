import { assert, assertEquals } from "@std/assert";
import type { ApiObject } from "../../domain/resources/object.ts";
import { DeploymentBoard } from "./deployment_board.ts";
import type { DynamicClient } from "./dynamic_client.ts";

/** A cluster with one Deployment, and the board in it. */
function cluster() {
  const events: ApiObject[] = [];
  const statuses: { conditions: { type: string; status: string; lastTransitionTime: string }[] }[] = [];
  const problems: string[] = [];
  const state = { deployment: true, mayWrite: true, answer: Promise.resolve() };
  const client = {
    get: () =>
      Promise.resolve(
        state.deployment ? { metadata: { name: "d", uid: "u-1" }, status: statuses.at(-1) ?? {} } : undefined,
      ),
    create: async (_: unknown, object: ApiObject) => {
      await state.answer;
      events.push(object);
    },
    mergeStatus: (_: unknown, _namespace: string, _name: string, status: typeof statuses[number]) => {
      statuses.push(status);
      return Promise.resolve();
    },
  } as unknown as DynamicClient;
  const board = new DeploymentBoard(client, {
    namespace: "argocd",
    deployment: "d",
    instance: "pod-1",
    mayWrite: () => state.mayWrite,
    unusable: (problem) => problems.push(problem),
  });
  return { board, state, events, statuses, problems };
}

const notice = (reason: string, message = reason) => ({ warning: false, reason, message });
const active = (status: "True" | "False") => [{ type: "HAActive", status, reason: "R", message: "m" }];
const settled = async () => {
  for (let turn = 0; turn < 200; turn++) await Promise.resolve();
};
const texts = (events: ApiObject[]) => events.map((event) => event["message"]);

Deno.test("DeploymentBoard makes an Event about the Deployment, cut to what the API server takes", async () => {
  const { board, events } = cluster();
  board.tell({ warning: true, reason: "Held", message: "x".repeat(2_000) });
  await settled();
  const [event] = events;
  assert(event);
  const { involvedObject, type, reason, count } = event as ApiObject & Record<string, unknown>;
  assertEquals([type, reason, count], ["Warning", "Held", 1]);
  assertEquals((involvedObject as { uid: string; kind: string }).uid, "u-1");
  assertEquals(String(event["message"]).length, 1_024);
});

Deno.test("DeploymentBoard keeps the newest notice of each word while the API server is slow, and no more than its rate", async () => {
  const { board, state, events } = cluster();
  const answer = Promise.withResolvers<void>();
  state.answer = answer.promise;
  board.tell(notice("First"));
  await settled();
  for (let n = 0; n < 1_000; n++) board.tell(notice("Flood", `flood ${n}`));
  answer.resolve();
  await settled();
  assertEquals(texts(events), ["First", "flood 999 (and 999 before it)"]);
  for (let n = 0; n < 100; n++) board.tell(notice(`Word${n}`));
  await settled();
  assert(events.length >= 25 && events.length < 35, `${events.length} events`);
});

Deno.test("DeploymentBoard writes conditions when they change; a status that stays keeps its time", async () => {
  const { board, statuses } = cluster();
  board.show(active("True"));
  board.show(active("True"));
  await settled();
  board.show(active("True"));
  await settled();
  assertEquals(statuses.length, 1);
  statuses[0]!.conditions[0]!.lastTransitionTime = "2026-01-01T00:00:00Z";
  board.show([{ type: "HAActive", status: "True", reason: "R", message: "another" }]);
  await settled();
  assertEquals(statuses[1]?.conditions[0]?.lastTransitionTime, "2026-01-01T00:00:00Z");
  board.show(active("False"));
  await settled();
  assert(statuses[2]?.conditions[0]?.lastTransitionTime !== "2026-01-01T00:00:00Z");
  await board.close();
  assertEquals(statuses[3]?.conditions[0]?.status, "Unknown");
});

Deno.test("DeploymentBoard says once why it cannot, tries again, and writes nothing without the lock", async () => {
  const { board, state, events, statuses, problems } = cluster();
  state.deployment = false;
  board.tell(notice("First"));
  board.show(active("True"));
  await settled();
  board.show(active("True"));
  await settled();
  assertEquals(problems, ["there is no Deployment argocd/d"]);
  state.deployment = true;
  state.mayWrite = false;
  board.show(active("False"));
  await settled();
  assertEquals([events.length, statuses.length], [0, 0]);
  state.mayWrite = true;
  board.show(active("False"));
  await settled();
  assertEquals([texts(events), statuses.length], [["First"], 1]);
});
