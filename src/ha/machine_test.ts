import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { rowFor, step } from "./machine.ts";
import {
  type Effect,
  initialModel,
  type Input,
  INPUT_TYPES,
  type Memory,
  type Model,
  type Operation,
  type Standing,
  STATES,
} from "./state.ts";
import { TABLE } from "./transitions.ts";

const base = initialModel({ preferredRole: "primary", peerAddress: "b.example:8443", uid: "m" }, 0);
const memory = (part: Partial<Memory> = {}): Memory => ({
  role: "replica",
  epoch: 3,
  complete: true,
  leader: "p",
  formerActive: false,
  ...part,
});
const peer = (part: Partial<Standing> = {}): Standing => ({
  uid: "p",
  version: "1",
  namespace: "argocd",
  state: "syncing",
  epoch: 3,
  sinceMs: 0,
  connectedAgents: 12,
  ...part,
});
const model = (part: Partial<Model>): Model => ({ ...base, memory: memory(), ...part });

/** Every value that some guard can tell apart. */
function* models(): Generator<Model> {
  const operations: (Operation | undefined)[] = [undefined];
  for (const kind of ["start", "promote", "demote", "supersede"] as const) {
    for (const step of ["asking", "stopping", "recording"] as const) {
      const serves = kind === "start" || kind === "promote";
      const recording = memory({ role: serves ? "active" : "replica", epoch: 4, formerActive: !serves });
      const more = step === "recording" ? { recording } : {};
      for (const force of [false, true]) operations.push({ kind, step, force, id: 1, ...more });
    }
  }
  // The peer may have claimed a higher epoch than the one that is being recorded.
  const peers = [undefined, peer({ state: "active", epoch: 9 })];
  for (const state of STATES) {
    for (const [operation, known] of operations.flatMap((one) => peers.map((two) => [one, two] as const))) {
      for (const streamLive of [false, true]) {
        for (const complete of [false, true]) {
          for (const peerAddress of ["", "b.example:8443"]) {
            for (const preferredRole of ["primary", "replica"] as const) {
              const role = state === "active" ? "active" : "replica";
              yield model({
                state,
                operation,
                peer: known,
                streamLive,
                peerAddress,
                preferredRole,
                memory: memory({ complete, role }),
              });
            }
          }
        }
      }
    }
  }
}

function inputs(): Input[] {
  const peers = STATES.flatMap((state) =>
    [2, 3, 4].flatMap((epoch) => ["a", "z"].map((uid) => peer({ state, epoch, uid })))
  );
  return [
    { type: "start", memory: undefined },
    ...(["active", "replica"] as const).map((role): Input => ({ type: "start", memory: memory({ role }) })),
    { type: "peerAnswer", peer: undefined, error: "refused" },
    ...peers.map((p): Input => ({ type: "peerAnswer", peer: p, error: "" })),
    { type: "stopped" },
    { type: "recorded", error: "" },
    { type: "recorded", error: "disk full" },
    ...[false, true].map((resumed): Input => ({
      type: "welcomed",
      peer: peer({ state: "active" }),
      resumed,
    })),
    { type: "progress", done: 1, total: 2 },
    { type: "snapshotApplied" },
    { type: "caughtUp" },
    { type: "streamLost", reason: "reset" },
    ...peers.map((p): Input => ({ type: "heard", peer: p })),
    { type: "peerSilent" },
    ...[false, true].map((force): Input => ({ type: "promote", id: 9, force })),
    { type: "demote", id: 9 },
  ];
}

Deno.test("step() over every state × input × guard: what must never happen does not, and commands are always answered", () => {
  let combinations = 0;
  const used = new Set<string>();
  assertEquals(new Set(inputs().map((input) => input.type)).size, INPUT_TYPES.length);
  for (const before of models()) {
    for (const input of inputs()) {
      combinations++;
      const { model: after, effects, row } = step(before, input, 1);
      const where = `${before.state} on ${JSON.stringify(input)} by "${row?.name}"`;
      if (row) used.add(row.name);
      const becameActive = before.state !== "active" && after.state === "active";
      if (becameActive) {
        assert(input.type === "recorded" && input.error === "", `${where}: ACTIVE before it was durable`);
        assert(
          ["promote", "start"].includes(before.operation?.kind ?? ""),
          `${where}: promoted itself (I13)`,
        );
        assert(effects.some((effect) => effect.type === "serve"), `${where}: ACTIVE and serves nobody`);
        assertEquals(after.memory.role, "active", where);
      }
      if (before.state === "active" && after.state !== "active") {
        assert(
          ["demote", "supersede"].includes(before.operation?.kind ?? ""),
          `${where}: stopped being ACTIVE`,
        );
        assertEquals([after.memory.role, after.memory.formerActive, after.streamLive], [
          "replica",
          true,
          false,
        ], where);
      }
      if (after.state === "replicating" && before.state !== "replicating") assert(after.streamLive, where);
      if (effects.some((effect) => effect.type === "serve")) assertEquals(after.state, "active", where);
      assert(
        after.memory.epoch >= before.memory.epoch || input.type === "start",
        `${where}: the epoch went down`,
      );
      if (input.type === "promote" || input.type === "demote") {
        const answered = effects.some((effect) => effect.type === "reply" && effect.id === input.id);
        assert(answered || after.operation?.id === input.id, `${where}: the operator waits for ever`);
      }
      if (row?.refuse) assertEquals(after, before, where);
      const durable = before.operation?.recording;
      if (row && durable && input.type === "recorded" && input.error === "") {
        const claimed = row.name.endsWith(": overtaken")
          ? { ...durable, role: "replica" as const, formerActive: after.memory.formerActive }
          : durable;
        assertEquals(after.memory, claimed, `${where}: claims what was not recorded`);
      }
      const ended = before.operation !== undefined && after.operation === undefined;
      if (ended && before.operation?.kind !== "start" && before.operation?.kind !== "supersede") {
        assert(effects.some((effect) => effect.type === "reply"), `${where}: ended without an answer`);
      }
      assert(after.explanation.length > 0, where);
    }
  }
  assert(combinations > 60_000);
  assertEquals(
    TABLE.filter((row) => !used.has(row.name)).map((row) => row.name),
    [],
    "rows that nothing reaches",
  );
});

Deno.test("every row that waits has a row that goes on: each operation's step accepts its answer in each of its states", () => {
  const waits: [Operation["kind"], Operation["step"], Input, readonly Model["state"][]][] = [
    ["start", "asking", { type: "peerAnswer", peer: undefined, error: "" }, ["recovering"]],
    ["start", "recording", { type: "recorded", error: "" }, ["recovering"]],
    ["promote", "asking", { type: "peerAnswer", peer: undefined, error: "" }, [
      "syncing",
      "replicating",
      "disconnected",
    ]],
    ["promote", "stopping", { type: "stopped" }, ["syncing", "replicating", "disconnected"]],
    ["promote", "recording", { type: "recorded", error: "x" }, ["syncing", "replicating", "disconnected"]],
    ["demote", "recording", { type: "recorded", error: "x" }, ["active"]],
    ["supersede", "recording", { type: "recorded", error: "x" }, ["active"]],
  ];
  for (const [kind, at, input, states] of waits) {
    for (const state of states) {
      const row = rowFor(model({ state, operation: { kind, step: at, force: false, id: 1 } }), input);
      assert(row, `${kind} at ${at} in ${state} is stuck`);
    }
  }
});

Deno.test("TABLE's names are unique", () => {
  assertEquals(new Set(TABLE.map((row) => row.name)).size, TABLE.length);
});

/** Plays inputs one after the other; returns the states passed and all effects. */
function play(start: Model, ...all: Input[]): { states: string[]; effects: Effect[]; model: Model } {
  const states: string[] = [];
  const effects: Effect[] = [];
  let now = start;
  for (const input of all) {
    const result = step(now, input, 1);
    now = result.model;
    effects.push(...result.effects);
    if (states.at(-1) !== now.state) states.push(now.state);
  }
  return { states, effects, model: now };
}

const fresh = (preferredRole: Model["preferredRole"], peerAddress = "b.example:8443") =>
  initialModel({ preferredRole, peerAddress, uid: "m" }, 0);
const noAnswer: Input = { type: "peerAnswer", peer: undefined, error: "refused" };
const recorded: Input = { type: "recorded", error: "" };

Deno.test("a preferred primary goes ACTIVE in epoch 1 when its peer does not answer", () => {
  const { states, model } = play(fresh("primary"), { type: "start", memory: undefined }, noAnswer, recorded);
  assertEquals([states, model.memory.epoch], [["recovering", "active"], 1]);
});

Deno.test("P1: an old primary that restarts while its peer is ACTIVE comes up as its replica", () => {
  const { states, model, effects } = play(
    fresh("primary"),
    { type: "start", memory: memory({ role: "active", epoch: 1 }) },
    { type: "peerAnswer", peer: peer({ state: "active", epoch: 2 }), error: "" },
  );
  assertEquals(states, ["recovering", "syncing"]);
  assertEquals([model.memory.role, model.memory.formerActive], ["replica", true]);
  assertEquals(effects.map((effect) => effect.type), ["askPeer", "remember", "follow"]);
});

Deno.test("P5: a replica that once was complete is promoted though its primary was never reached; one that never was is refused", () => {
  const start: Input = { type: "start", memory: memory({ complete: true }) };
  const lost: Input = { type: "streamLost", reason: "refused" };
  const promote: Input = { type: "promote", id: 1, force: false };
  const once = play(fresh("replica"), start, lost, promote, noAnswer, { type: "stopped" }, recorded);
  assertEquals([once.states.at(-1), once.model.memory.epoch], ["active", 4]);
  const never = play(fresh("replica"), { type: "start", memory: undefined }, lost, promote);
  assertEquals(never.states, ["syncing"]);
  const [refusal] = never.effects.filter((effect) => effect.type === "reply") as { error: string }[];
  assertStringIncludes(refusal?.error ?? "", "never held a complete copy");
  const forced = play(never.model, { ...promote, force: true }, noAnswer, { type: "stopped" }, recorded);
  assertEquals(forced.states.at(-1), "active");
});

Deno.test("a replica that is syncing from a living primary says how far it is when promotion is refused", () => {
  const syncing = model({ state: "syncing", streamLive: true, progress: { done: 1_204, total: 2_000 } });
  const { effects } = step(syncing, { type: "promote", id: 1, force: false }, 1);
  assertEquals(effects, [{
    type: "reply",
    id: 1,
    error:
      'cannot promote: replica is still syncing from "b.example:8443" (1,204 of 2,000 resources); wait, or use --force',
  }]);
});

Deno.test("P6: a promoted replica that restarts is ACTIVE again, in the same epoch", () => {
  const { states, model } = play(
    fresh("replica"),
    { type: "start", memory: memory({ role: "active", epoch: 2 }) },
    noAnswer,
    recorded,
  );
  assertEquals([states.at(-1), model.memory.epoch], ["active", 2]);
});

Deno.test("P12: a demoted principal is SYNCING until it has a live stream and a snapshot", () => {
  const active = model({ state: "active", memory: memory({ role: "active" }) });
  const { states, effects, model: after } = play(
    active,
    { type: "demote", id: 1 },
    recorded,
    { type: "welcomed", peer: peer({ state: "active", epoch: 4 }), resumed: false },
    { type: "snapshotApplied" },
    { type: "caughtUp" },
  );
  assertEquals(states, ["active", "syncing", "replicating"]);
  assertEquals(effects.map((e) => e.type), [
    "record",
    "stopServing",
    "follow",
    "reply",
    "remember",
    "remember",
  ]);
  assertEquals(after.memory, memory({ epoch: 4 }));
});

Deno.test("promotion is refused by an ACTIVE peer, and --force overrides it with a higher epoch", () => {
  const replica = model({ state: "disconnected", preferredRole: "replica" });
  const answer: Input = { type: "peerAnswer", peer: peer({ state: "active", epoch: 7 }), error: "" };
  const refused = play(replica, { type: "promote", id: 1, force: false }, answer);
  assertEquals(refused.states, ["disconnected"]);
  assertEquals(refused.effects.at(-1)?.type, "reply");
  const forced = play(
    replica,
    { type: "promote", id: 1, force: true },
    answer,
    { type: "stopped" },
    recorded,
  );
  assertEquals([forced.states.at(-1), forced.model.memory.epoch], ["active", 8]);
  const next = { type: "peerAnswer", peer: peer({ state: "active", epoch: 8 }), error: "" } as const;
  const again = play(
    replica,
    { type: "promote", id: 1, force: true },
    next,
    { type: "stopped" },
    recorded,
  );
  assertEquals(
    again.model.memory.epoch,
    10,
    "even epochs are the replica's, odd ones the preferred primary's",
  );
});

Deno.test("what is claimed is what was recorded, whatever is heard of the peer in between", () => {
  const heard: Input[] = [
    { type: "heard", peer: peer({ epoch: 1 }) },
    { type: "peerSilent" },
    { type: "streamLost", reason: "reset" },
  ];
  const ask: Input = { type: "peerAnswer", peer: peer({ epoch: 7 }), error: "" };
  const promote: Input[] = [{ type: "promote", id: 1, force: false }, ask, { type: "stopped" }];
  const start: Input[] = [{ type: "start", memory: undefined }, {
    type: "peerAnswer",
    peer: undefined,
    error: "",
  }];
  for (
    const [from, inputs] of [[model({ state: "disconnected" }), promote], [fresh("primary"), start]] as const
  ) {
    for (const between of heard) {
      const { effects, model: after } = play(from, ...inputs, between, recorded);
      const [durable] = effects.flatMap((effect) => effect.type === "record" ? [effect.memory] : []);
      assertEquals([after.state, after.memory], ["active", durable], between.type);
    }
  }
});

Deno.test("a promotion or a start that the peer overtakes while it is recorded does not serve", () => {
  const overtaking: Input = { type: "heard", peer: peer({ state: "active", epoch: 9 }) };
  const promoted = play(
    model({ state: "disconnected" }),
    { type: "promote", id: 1, force: false },
    noAnswer,
    { type: "stopped" },
    overtaking,
    recorded,
  );
  assertEquals([promoted.model.state, promoted.model.memory.role], ["disconnected", "replica"]);
  assertStringIncludes((promoted.effects.at(-1) as { error: string }).error, "has claimed epoch 9 meanwhile");
  const started = play(
    fresh("primary"),
    { type: "start", memory: undefined },
    noAnswer,
    overtaking,
    recorded,
  );
  assertEquals([started.model.state, started.model.memory.role], ["syncing", "replica"]);
  assert(![...promoted.effects, ...started.effects].some(({ type }) => type === "serve"));
});

Deno.test("a promotion whose record fails is undone, says so, and follows on", () => {
  const { states, effects } = play(
    model({ state: "disconnected" }),
    { type: "promote", id: 1, force: false },
    noAnswer,
    { type: "stopped" },
    { type: "recorded", error: "disk full" },
  );
  assertEquals(states, ["disconnected"]);
  assertEquals(effects.slice(-2).map((effect) => effect.type), ["follow", "reply"]);
  assertStringIncludes((effects.at(-1) as { error: string }).error, "disk full");
});

Deno.test("supersession: an ACTIVE that hears of a higher epoch steps down at once", () => {
  const active = model({ state: "active", memory: memory({ role: "active" }) });
  const higher = play(active, { type: "heard", peer: peer({ epoch: 4 }) }, recorded);
  assertEquals(higher.states, ["active", "syncing"]);
  assertEquals(higher.effects.map((e) => e.type), ["stopServing", "record", "follow"]);
  const tie = play(active, { type: "heard", peer: peer({ state: "active", uid: "a" }) }, recorded);
  assertEquals(tie.states.at(-1), "syncing", "of two ACTIVE in one epoch the lower uid stays");
  const other = play(active, { type: "heard", peer: peer({ state: "active", uid: "z" }) });
  assertEquals(other.states, ["active"]);
});
