import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { explain } from "./explain.ts";
import { step } from "./machine.ts";
import { predict, type Situation } from "./situation.ts";
import { initialModel, type Model, type Standing, STATES } from "./state.ts";

const PEER: Standing = {
  uid: "a",
  name: "",
  version: "1",
  namespace: "argocd",
  state: "active",
  epoch: 3,
  sinceMs: 1,
  connectedAgents: 5,
  lineage: "",
  coverage: "",
};

function* situations(): Generator<Situation> {
  const base = initialModel(
    { preferredRole: "replica", peerAddress: "peer:8443", uid: "b", coverage: "" },
    0,
  );
  for (const state of STATES) {
    for (const complete of [false, true]) {
      for (const streamLive of [false, true]) {
        for (const peerAddress of ["", "peer:8443"]) {
          for (const peerState of [undefined, ...STATES]) {
            const memory = {
              ...base.memory,
              complete,
              epoch: 3,
              role: state === "active" ? "active" : "replica",
            } as const;
            const model: Model = { ...base, state, memory, streamLive, peerAddress };
            yield {
              model,
              peer: peerState && peerAddress ? { ...PEER, state: peerState } : undefined,
              peerError: peerState ? "" : "refused",
              replicas: 0,
              agents: 0,
              behind: 3,
              inSyncAgoMs: complete ? 5_000 : undefined,
              inSyncBefore: undefined,
              concerns: {},
              peerConcerns: {},
              exposure: {
                replicas: 0,
                unacknowledged: undefined,
                heldAgoMs: undefined,
                equalAgoMs: undefined,
              },
              storeProblem: "",
              nowMs: 0,
              own: { ...PEER, uid: "b", name: "west", state, epoch: 3 },
              holds: { resources: 5, complete, unproven: false, older: false },
              peerHolds: { resources: 5, complete: true, unproven: false, older: false },
              equalAgoMs: undefined,
            };
          }
        }
      }
    }
  }
}

Deno.test("explain() says in every situation what to type, and a promotion that it names goes through", () => {
  let seen = 0;
  for (const situation of situations()) {
    seen++;
    const { next, healthz, promote, force, loss } = explain(situation);
    const title = JSON.stringify([
      situation.model.state,
      situation.model.memory.complete,
      situation.peer?.state,
    ]);
    assert(/^ha [a-z]+( --force)?$/.test(next.command) && next.why.length > 10, title);
    assert(loss.length > 5, title);
    assertEquals(healthz.code, situation.model.state === "active" ? 200 : 503, title);
    if (next.at === "here" && next.command === "ha promote") {
      assert(promote.allowed, `${title}: ${promote.text}`);
    }
    if (next.at === "here" && next.command === "ha promote --force") {
      assert(force.allowed, `${title}: ${force.text}`);
    }
    const someoneServes = situation.model.state === "active" || situation.peer?.state === "active";
    const leads = /promote|wait|start/.test(next.command + next.why) || next.at === "peer";
    assert(
      someoneServes || leads,
      `${title}: nobody serves and nothing leads to it: ${next.command}, ${next.why}`,
    );
  }
  assert(seen > 200, `${seen} situations`);
});

Deno.test("predict() is the state machine's own answer", () => {
  for (const situation of situations()) {
    const { model } = situation;
    for (const force of [false, true]) {
      const verdict = predict(situation, force);
      const first = step(model, { type: "promote", id: 1, force }, 0);
      if (first.row?.refuse) assertEquals(verdict.allowed, false);
      if (verdict.allowed) assertEquals(first.row?.refuse, undefined);
    }
  }
});

Deno.test("between an old active's demotion and the hand-over explain() says that a promotion is refused, and to wait", () => {
  const [first] = situations();
  const { model, ...situation } = first as Situation;
  const memory = { ...model.memory, complete: true, role: "active", epoch: 3 } as const;
  let now: Model = { ...model, state: "active", memory };
  for (
    const input of [
      { type: "begin", id: 1, procedure: "switchover", problem: "" },
      { type: "demote", id: 2, by: "switchover" },
      { type: "recorded", error: "" },
    ] as const
  ) now = step(now, input, 0).model;
  const { promote, force, next } = explain({
    ...situation,
    model: now,
    peer: { ...PEER, state: "replicating" },
  });
  assertEquals([now.state, promote.allowed], ["syncing", false]);
  assertStringIncludes(promote.text, "a switchover is under way");
  assertEquals([force.allowed, next.command, next.why], [
    true,
    "ha status",
    "a switchover is under way: wait for its end",
  ]);
});

Deno.test("explain() bounds what could be lost, in changes and seconds", () => {
  const [first] = situations();
  const at = (change: Partial<Situation>, model: Partial<Model> = {}) =>
    explain({ ...first as Situation, ...change, model: { ...(first as Situation).model, ...model } }).loss;
  const complete = { memory: { ...(first as Situation).model.memory, complete: true } };
  assertStringIncludes(
    at({ inSyncAgoMs: 4_200, behind: 12 }, { state: "disconnected", ...complete }),
    "in the last 5 s; 12 changes are known",
  );
  assertStringIncludes(at({ inSyncAgoMs: undefined }, { state: "syncing" }), "never had a complete copy");
  const inSyncBefore = {
    atMs: Date.UTC(2026, 0, 2, 12, 41, 30),
    startedAtMs: Date.UTC(2026, 0, 2, 12, 41, 38),
  };
  assertEquals(
    at({ inSyncAgoMs: undefined, inSyncBefore, behind: 0 }, { state: "syncing", ...complete }),
    "at most everything since 2026-01-02T12:41:30Z, 8 s before this start",
  );
  assertStringIncludes(
    at({ inSyncAgoMs: 0, behind: 0 }, { state: "replicating", ...complete }),
    "in the last 0 s; nothing is known to be missing",
  );
});

Deno.test("explain() ranks what a side holds above its epoch and its role, and sends nobody to an emptied side", () => {
  const [first] = situations();
  const at = (change: Partial<Situation>, model: Partial<Model> = {}) =>
    explain({ ...first as Situation, ...change, model: { ...(first as Situation).model, ...model } });
  const memory = { ...(first as Situation).model.memory, complete: true };
  const data = { resources: 5, complete: true, unproven: false, older: false };
  const emptied = { resources: 0, complete: true, unproven: true, older: false };
  const own = { ...PEER, uid: "b", name: "west", version: "1" };

  const beside = at(
    {
      own: { ...own, state: "disconnected" },
      holds: data,
      peer: { ...PEER, name: "east" },
      peerHolds: emptied,
    },
    { state: "disconnected", peerAddress: "peer:8443", memory: { ...memory, leader: "lost" } },
  );
  assertEquals([beside.next.at, beside.next.command], ["here", "ha promote --force"]);
  assertMatch(
    beside.ranking.join("\n"),
    /^"west" \(here\): .*complete, 5 .*\n"east" \(peer:8443\): ACTIVE, empty/,
  );

  const onEmptied = at(
    { own, holds: emptied, peer: { ...PEER, name: "east", state: "disconnected" }, peerHolds: data },
    { state: "active", peerAddress: "peer:8443", memory },
  );
  assertEquals([onEmptied.next.at, onEmptied.next.command], ["peer", "ha promote --force"]);
  assertStringIncludes(onEmptied.ranking[0] ?? "", '"east" (peer:8443)');

  const both = at(
    { own: { ...own, epoch: 4 }, holds: data, peer: PEER, peerHolds: data },
    { state: "active", peerAddress: "peer:8443", memory },
  );
  assertEquals([both.next.at, both.next.command], ["peer", "ha demote"]);

  const neither = at(
    {
      own: { ...own, state: "syncing" },
      holds: data,
      peer: { ...PEER, state: "syncing", epoch: 5 },
      peerHolds: data,
    },
    { state: "syncing", peerAddress: "peer:8443", memory },
  );
  assertEquals([neither.next.at, neither.next.command], ["peer", "ha promote"]);
});

Deno.test("explain() says that the peer's address leads to this side itself", () => {
  const [first] = situations();
  const own = { ...PEER, uid: "b", name: "west" };
  const model = { ...(first as Situation).model, state: "active", peerAddress: "peer:8443" } as const;
  const { next, ranking } = explain({ ...first as Situation, model, own, peer: own });
  assertStringIncludes(next.why, 'peer address "peer:8443" leads to this side itself');
  assertEquals([next.command, ranking.length], ["ha preflight", 1]);
});
