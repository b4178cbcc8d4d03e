import { assert, assertEquals } from "@std/assert";
import { rowFor, step } from "./machine.ts";
import { memory, model, peer } from "../../../tests/support/models.ts";
import {
  type Input,
  INPUT_TYPES,
  type Model,
  type Operation,
  type Procedure,
  PROCEDURES,
  type State,
  STATES,
  type Waiting,
} from "./state.ts";
import { TABLE } from "./transitions.ts";

const PASSIVE: readonly State[] = ["syncing", "replicating", "disconnected"];

/** Promised epochs and procedures beside an operation; no guard looks at procedures and at the peer both. */
function beside(
  operation: Operation | undefined,
  known: Model["peer"],
): [promised: number, procedures: Procedure[]][] {
  const procedures: Procedure[][] = known ? [[]] : [[], ["switchover"], ["drill", "repair", "repair"]];
  const promised = operation?.kind === "takeover" ? [4] : [0, 4];
  return promised.flatMap((epoch) => procedures.map((some): [number, Procedure[]] => [epoch, some]));
}

/** The states and steps in which each operation can be. */
const OPERATIONS: Record<Operation["kind"], [readonly State[], Operation["step"][]]> = {
  start: [["recovering"], ["asking", "recording"]],
  promote: [["recovering", ...PASSIVE], ["asking", "stopping", "recording"]],
  demote: [["active"], ["recording"]],
  supersede: [["active"], ["recording"]],
  takeover: [PASSIVE, ["recording", "stopping"]],
};
const AWAITED: Partial<Record<Input["type"], Operation["step"]>> = {
  peerAnswer: "asking",
  stopped: "stopping",
  recorded: "recording",
};

function isAwaited(state: State, { kind, step }: Operation, { type }: Input): boolean {
  const [states, steps] = OPERATIONS[kind];
  return states.includes(state) && steps.includes(step) && step === AWAITED[type];
}

/** Whether an input can come at all: an answer to whoever asked, a stream's to whoever follows, the end of what has begun. */
function canCome({ state, operation, procedures, streamLive }: Model, input: Input): boolean {
  switch (input.type) {
    case "start":
    case "waiting":
      return state === "recovering" && !operation;
    case "peerAnswer":
      if (!operation) return state === "recovering";
      return isAwaited(state, operation, input);
    case "stopped":
    case "recorded":
      return operation !== undefined && isAwaited(state, operation, input);
    case "welcomed":
    case "progress":
    case "streamLost":
      return PASSIVE.includes(state);
    // A stream tells no more once its loss is told, and catches up only with what it has applied.
    case "snapshotApplied":
      return PASSIVE.includes(state) && streamLive;
    case "caughtUp":
      return state === "replicating" && streamLive;
    case "ended":
      return procedures.includes(input.procedure);
    default:
      return true;
  }
}

/** Whether an operation is in a state and at a step in which it never is. */
function incoherent({ state, operation }: Model): boolean {
  if (!operation) return false;
  const [states, steps] = OPERATIONS[operation.kind];
  return !states.includes(state) || !steps.includes(operation.step);
}

/** Every value that some guard can tell apart. */
function* models(): Generator<Model> {
  const operations: (Operation | undefined)[] = [undefined];
  for (const kind of ["start", "promote", "demote", "supersede", "takeover"] as const) {
    for (const step of ["asking", "stopping", "recording"] as const) {
      const serves = kind === "start" || kind === "promote" || (kind === "takeover" && step === "stopping");
      const formerActive = kind === "demote" || kind === "supersede";
      const recording = memory({ role: serves ? "active" : "replica", epoch: 4, formerActive });
      const more = step === "recording" || kind === "takeover" ? { recording } : {};
      for (const force of [false, true]) operations.push({ kind, step, force, id: 1, ...more });
    }
  }
  // The peer may have claimed a higher epoch than the one that is being recorded.
  const peers = [undefined, peer(), peer({ state: "active", epoch: 9 })];
  for (const state of STATES) {
    for (const [operation, known] of operations.flatMap((one) => peers.map((two) => [one, two] as const))) {
      for (const streamLive of [false, true]) {
        for (const complete of [false, true]) {
          for (const peerAddress of ["", "b.example:8443"]) {
            for (const preferredRole of ["primary", "replica"] as const) {
              const role = state === "active" ? "active" : "replica";
              for (const [promised, procedures] of beside(operation, known)) {
                const one = {
                  state,
                  operation,
                  procedures,
                  peer: known,
                  streamLive,
                  peerAddress,
                  preferredRole,
                  memory: memory({ complete, role, promised }),
                };
                yield model(one);
                if (state !== "recovering") continue;
                if (!operation) yield model({ ...one, waiting: WAITING });
                if (complete) continue;
                const empty = memory({ complete, epoch: 0, leader: "" });
                yield model({ state, operation, peer: known, peerAddress, preferredRole, memory: empty });
              }
            }
          }
        }
      }
    }
  }
}

const WAITING: Waiting = { holder: { name: "pod-1", pid: 7, sinceMs: 1 }, problem: "" };

function inputs(): Input[] {
  const peers = STATES.flatMap((state) =>
    [2, 3, 4].flatMap((epoch) => ["a", "z"].map((uid) => peer({ state, epoch, uid })))
  );
  return [
    { type: "waiting", waiting: WAITING },
    { type: "waiting", waiting: { holder: undefined, problem: "no answer" } },
    { type: "start", memory: undefined },
    ...(["active", "replica"] as const).map((role): Input => ({ type: "start", memory: memory({ role }) })),
    { type: "peerAnswer", peer: undefined, error: "refused" },
    ...peers.map((p): Input => ({ type: "peerAnswer", peer: p, error: "" })),
    ...peers.map((p): Input => ({
      type: "peerAnswer",
      peer: p,
      error: "",
      olderStore: { fromMs: 0, untilMs: 0 },
    })),
    { type: "stopped" },
    { type: "stopped", problem: "a copy is not what it was" },
    { type: "recorded", error: "" },
    { type: "recorded", error: "", problem: "a copy is not what it was" },
    { type: "recorded", error: "disk full" },
    ...[false, true].map((resumed): Input => ({
      type: "welcomed",
      peer: peer({ state: "active" }),
      resumed,
    })),
    { type: "progress", done: 1, total: 2 },
    { type: "snapshotApplied" },
    { type: "caughtUp" },
    ...[false, true].map((refused): Input => ({ type: "streamLost", reason: "reset", refused })),
    ...peers.map((p): Input => ({ type: "heard", peer: p })),
    { type: "peerSilent" },
    ...[false, true].map((force): Input => ({ type: "promote", id: 9, force })),
    { type: "promote", id: 9, force: false, by: "switchover" },
    { type: "demote", id: 9 },
    { type: "demote", id: 9, alone: true },
    { type: "demote", id: 9, alone: true, force: true },
    { type: "demote", id: 9, by: "switchover" },
    ...PROCEDURES.flatMap((procedure): Input[] => [
      { type: "begin", id: 9, procedure, problem: "" },
      { type: "begin", id: 9, procedure, problem: "the moon is full" },
      { type: "ended", procedure },
    ]),
    ...["p", "z"].flatMap((uid) =>
      (["active", "syncing"] as const).flatMap((state): Input[] => [
        { type: "prepare", id: 9, peer: peer({ uid, state }) },
        ...[4, 6].map((epoch): Input => ({ type: "takeOver", id: 9, peer: peer({ uid, state }), epoch })),
      ])
    ),
  ];
}

Deno.test("step() over every state × input × guard: what must never happen does not, and commands are always answered", () => {
  let combinations = 0;
  const used = new Set<string>();
  assertEquals(new Set(inputs().map((input) => input.type)).size, INPUT_TYPES.length);
  const named = inputs().map((input) => [input, JSON.stringify(input)] as const);
  for (const before of models()) {
    for (const [input, text] of named) {
      combinations++;
      const { model: after, effects, row } = step(before, input, 1);
      const where = `${before.state} on ${text} by "${row?.name}"`;
      if (row) used.add(row.name);
      if (!row) assert(!canCome(before, input), `${where}: no row takes it`);
      else if (!canCome(before, input)) assert(incoherent(before), `${where}: a row takes what cannot come`);
      if (!row || row.refuse) assert(after === before, `${where}: changes the model`);
      if (!row) assert(effects.length === 0, `${where}: has effects`);
      const becameActive = before.state !== "active" && after.state === "active";
      if (becameActive) {
        const promised = before.operation?.kind === "takeover" &&
          after.memory.epoch === before.memory.promised;
        const durable = input.type === "stopped" ? promised : input.type === "recorded" && input.error === "";
        assert(durable, `${where}: ACTIVE before it was durable`);
        assert(
          ["promote", "start", "takeover"].includes(before.operation?.kind ?? ""),
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
      if ("id" in input) {
        const answered = effects.some((effect) => effect.type === "reply" && effect.id === input.id);
        assert(answered || after.operation?.id === input.id, `${where}: the operator waits for ever`);
      }
      const began = after.procedures.length - before.procedures.length;
      assert(began === 0 || input.type === "begin" || input.type === "ended", `${where}: changes procedures`);
      const expected = input.type === "ended" && row ? -1 : input.type === "begin" && !row?.refuse ? 1 : 0;
      assert(began === expected, `${where}: ${began} procedures more`);
      const durable = before.operation?.recording;
      if (row && durable && input.type === "recorded" && input.error === "") {
        const claimed = row.name.endsWith(": overtaken")
          ? { ...durable, role: "replica" as const, formerActive: after.memory.formerActive }
          : row.name === "promote: changed meanwhile"
          ? before.memory
          : durable;
        const { role, epoch, promised } = after.memory;
        const whole = before.operation?.kind !== "takeover";
        assertEquals(
          whole ? after.memory : { role, epoch, promised },
          whole ? claimed : { role: "replica", epoch: 3, promised: 4 },
          `${where}: claims what was not recorded`,
        );
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
    ["takeover", "recording", { type: "recorded", error: "x" }, ["syncing", "replicating", "disconnected"]],
    ["takeover", "stopping", { type: "stopped" }, ["syncing", "replicating", "disconnected"]],
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
