/** Stories of a principal, told in inputs. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { step } from "./machine.ts";
import { memory, model, peer } from "../../../tests/support/models.ts";
import { fresh, play } from "../../../tests/support/stories.ts";
import type { Input, Memory, Model, Standing } from "./state.ts";

const noAnswer: Input = { type: "peerAnswer", peer: undefined, error: "refused" };
const recorded: Input = { type: "recorded", error: "" };

const nobodyServes: Input = { type: "peerAnswer", peer: peer({ epoch: 0 }), error: "" };

Deno.test("a preferred primary goes ACTIVE in epoch 1 when its peer answers that nobody serves, or it has none, or that is a Go principal", () => {
  const start: Input = { type: "start", memory: undefined };
  const unknown: Input = { type: "peerAnswer", peer: undefined, error: "" };
  for (const answer of [nobodyServes, unknown]) {
    const { states, model } = play(fresh("primary"), start, answer, recorded);
    assertEquals([states, model.memory.epoch, model.memory.unproven], [["recovering", "active"], 1, false]);
  }
  assertEquals(play(fresh("primary", ""), start, recorded).model.state, "active");
});

Deno.test("a preferred primary that served before goes ACTIVE again though its peer does not answer", () => {
  const start: Input = { type: "start", memory: memory({ role: "active", epoch: 3, leader: "m" }) };
  const { states, model } = play(fresh("primary"), start, noAnswer, recorded);
  assertEquals([states, model.memory.epoch], [["recovering", "active"], 3]);
});

Deno.test("an old primary that restarts while its peer is ACTIVE comes up as its replica", () => {
  const { states, model, effects } = play(
    fresh("primary"),
    { type: "start", memory: memory({ role: "active", epoch: 1 }) },
    { type: "peerAnswer", peer: peer({ state: "active", epoch: 2 }), error: "" },
  );
  assertEquals(states, ["recovering", "syncing"]);
  assertEquals([model.memory.role, model.memory.formerActive], ["replica", true]);
  assertEquals(effects.map((effect) => effect.type), ["askPeer", "remember", "follow"]);
});

Deno.test("a replica that once was complete is promoted though its primary was never reached; one that never was is refused", () => {
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

Deno.test("a promoted replica that restarts is ACTIVE again, in the same epoch", () => {
  const { states, model } = play(
    fresh("replica"),
    { type: "start", memory: memory({ role: "active", epoch: 2 }) },
    noAnswer,
    recorded,
  );
  assertEquals([states.at(-1), model.memory.epoch], ["active", 2]);
});

Deno.test("a demotion with nobody to take over is refused, unless the peer serves already, it is forced, or a switchover asks", () => {
  const active = model({ state: "active", memory: memory({ role: "active" }) });
  const answered = (from: typeof active, input: Omit<Extract<Input, { type: "demote" }>, "id" | "type">) => {
    const { row, effects: [first] } = step(from, { type: "demote", id: 1, ...input }, 1);
    return first?.type === "reply" ? first.error : row?.name;
  };
  const refused = answered(active, { alone: true });
  assertStringIncludes(refused ?? "", "no replica follows this side, so no principal would serve agents");
  assertStringIncludes(refused ?? "", "run: ha switchover");
  assertStringIncludes(
    answered({ ...active, peerAddress: "" }, { alone: true }) ?? "",
    "no peer is configured",
  );
  for (
    const [from, input] of [
      [active, {}],
      [active, { alone: true, force: true }],
      [active, { alone: true, by: "switchover" }],
      [{ ...active, peer: { ...peer(), state: "active" } }, { alone: true }],
    ] as const
  ) assertEquals(answered(from, input), "demote: record", JSON.stringify(input));
});

Deno.test("a demoted principal is SYNCING until it has a live stream and a snapshot", () => {
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
    // A principal that starts has no stream.
    for (const between of heard.filter(({ type }) => from.state !== "recovering" || type !== "streamLost")) {
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
    nobodyServes,
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

Deno.test("a switchover's replica: ready with the next epoch durable, ACTIVE at the word of the one that it follows and of nobody else", () => {
  const following = model({ state: "replicating", preferredRole: "replica", streamLive: true });
  const prepare: Input = { type: "prepare", id: 1, peer: peer({ state: "active" }) };
  const word = (part: Partial<Standing> = {}, epoch = 4): Input => ({
    type: "takeOver",
    id: 2,
    peer: peer(part),
    epoch,
  });
  const ready = play(following, prepare, recorded);
  assertEquals(ready.effects.map(({ type }) => type), ["record", "reply"]);
  assertEquals([ready.model.state, ready.model.memory], ["replicating", memory({ promised: 4 })]);
  const taken = play(ready.model, word(), { type: "stopped" });
  assertEquals(taken.states, ["replicating", "active"]);
  assertEquals(taken.model.memory, memory({ role: "active", epoch: 4, leader: "m" }));
  assertEquals(taken.effects.slice(1), [{ type: "serve", memory: taken.model.memory }, {
    type: "reply",
    id: 2,
    error: "",
  }]);

  const refusals: [Input, string][] = [
    [word({ state: "active" }), "still ACTIVE"],
    [word({ uid: "another" }), "not the one that is followed"],
    [word({ epoch: 2 }), "not the one that is followed"],
    [word({}, 6), "has not got ready for that epoch"],
  ];
  for (const [input, text] of refusals) {
    const { effects, states } = play(ready.model, input);
    assertStringIncludes((effects[0] as { error: string }).error, text);
    assertEquals(states, ["replicating"]);
  }
  const unready = play(following, word());
  assertStringIncludes((unready.effects[0] as { error: string }).error, "has not got ready for that epoch");
  const failed = play(following, prepare, { type: "recorded", error: "disk full" }, word());
  assertEquals([failed.model.state, failed.model.memory], ["replicating", memory()]);
});

Deno.test("a promise is nobody's role: kept over a restart it makes no ACTIVE, its epoch is used once, and a newer leader voids it", () => {
  const before = memory({ promised: 4 });
  const restarted = play(fresh("replica"), { type: "start", memory: before });
  assertEquals([restarted.model.state, restarted.model.memory], ["syncing", before]);
  const promote: Input = { type: "promote", id: 1, force: false };
  const promoted = play(restarted.model, promote, noAnswer, { type: "stopped" }, recorded);
  assertEquals([promoted.model.state, promoted.model.memory.epoch, promoted.model.memory.promised], [
    "active",
    6,
    0,
  ]);
  const led = (epoch: number): Input => ({
    type: "welcomed",
    peer: peer({ state: "active", epoch }),
    resumed: false,
  });
  assertEquals(play(restarted.model, led(3)).model.memory.promised, 4);
  assertEquals(play(restarted.model, led(5)).model.memory, memory({ epoch: 5 }));
});

Deno.test("a peer that answers that it is not ACTIVE either stays known, and what to do about it stays said", () => {
  const start: Input = { type: "start", memory: memory({ role: "active", epoch: 1 }) };
  const answer: Input = { type: "peerAnswer", peer: peer({ epoch: 2 }), error: "" };
  const refused: Input = { type: "streamLost", reason: "not ACTIVE (state syncing)", refused: true };
  const { model } = play(fresh("primary"), start, answer, refused, refused);
  assertStringIncludes(model.explanation, "run ha promote on the side that shall serve");
  assertEquals(model.peer?.epoch, 2);
  const silent = play(model, { type: "streamLost", reason: "connection refused" });
  assertEquals(silent.model.peer, undefined);
  assertStringIncludes(silent.model.explanation, "connection refused");
});

Deno.test("a switchover is refused where this side is not ACTIVE, is busy or switches over already, and where facts stand against it", () => {
  const active = model({ state: "active", memory: memory({ role: "active" }) });
  const begin = (problem = ""): Input => ({ type: "begin", id: 1, procedure: "switchover", problem });
  const answerOf = (from: Model, input: Input) => {
    const [first] = step(from, input, 1).effects;
    return first?.type === "reply" ? first.error : first?.type;
  };
  const begun = step(active, begin(), 1).model;
  assertEquals([answerOf(active, begin()), begun.procedures], ["", ["switchover"]]);
  assertStringIncludes(answerOf(begun, begin()) ?? "", "a switchover is under way");
  assertStringIncludes(answerOf(active, begin("no peer is configured")) ?? "", "no peer is configured");
  assertStringIncludes(answerOf(model({ state: "syncing" }), begin()) ?? "", "not ACTIVE (state syncing)");
  const demoting = step(active, { type: "demote", id: 2 }, 1).model;
  assertStringIncludes(answerOf(demoting, begin()) ?? "", "a demote is under way");
});

Deno.test("while a switchover is under way only its own demotion and promotion, or --force, go through, until it has ended", () => {
  const active = model({ state: "active", memory: memory({ role: "active" }) });
  const begin: Input = { type: "begin", id: 1, procedure: "switchover", problem: "" };
  const handing = play(active, begin, { type: "demote", id: 2 });
  assertStringIncludes((handing.effects.at(-1) as { error: string }).error, "a switchover is under way");
  const demoted = play(handing.model, { type: "demote", id: 3, by: "switchover" }, recorded).model;
  assertEquals(demoted.state, "syncing");
  const refused = play(demoted, { type: "promote", id: 4, force: false });
  assertStringIncludes((refused.effects[0] as { error: string }).error, "a switchover is under way");
  const own = play(demoted, { type: "promote", id: 5, force: false, by: "switchover" }, noAnswer);
  assertEquals(own.model.operation?.step, "stopping");
  assertEquals(play(demoted, { type: "promote", id: 6, force: true }).model.operation?.step, "asking");
  const over = play(demoted, { type: "ended", procedure: "switchover" }).model;
  assertEquals(play(over, { type: "promote", id: 7, force: false }).model.operation?.step, "asking");
});

Deno.test("a drill runs beside the stream and a promotion; a second one, and one where nothing is followed, are refused", () => {
  const begin: Input = { type: "begin", id: 1, procedure: "drill", problem: "" };
  const following = model({ state: "replicating", streamLive: true });
  const drilling = play(following, begin).model;
  const second = play(drilling, begin);
  assertStringIncludes((second.effects[0] as { error: string }).error, "a drill is under way");
  const lost = play(drilling, { type: "streamLost", reason: "reset" }).model;
  assertEquals([lost.state, lost.procedures], ["disconnected", ["drill"]]);
  assertStringIncludes(
    (play(lost, begin).effects[0] as { error: string }).error,
    "this side is DISCONNECTED",
  );
  const promoted = play(
    lost,
    { type: "promote", id: 2, force: false },
    noAnswer,
    { type: "stopped" },
    recorded,
    { type: "ended", procedure: "drill" },
  );
  assertEquals([promoted.model.state, promoted.model.procedures], ["active", []]);
});

Deno.test("an input that cannot come is taken by no row and changes nothing", () => {
  const active = model({ state: "active", memory: memory({ role: "active" }) });
  const never: Input[] = [{ type: "stopped" }, { type: "snapshotApplied" }, {
    type: "ended",
    procedure: "drill",
  }];
  for (const input of never) {
    const { row, model: after } = step(active, input, 1);
    assertEquals([row, after], [undefined, active]);
  }
});

Deno.test("a copy that another writer changed and that cannot be restored refuses a promotion without --force, and a takeover", () => {
  const lost: Input = { type: "streamLost", reason: "gone" };
  const promote = (force: boolean): Input => ({ type: "promote", id: 1, force });
  const problem: Input = { type: "stopped", problem: "Application/a/x is not what it was" };
  const following = play(fresh("replica"), { type: "start", memory: memory() }, lost);
  const refused = play(following.model, promote(false), noAnswer, problem);
  assertEquals([refused.model.state === "active", refused.model.operation], [false, undefined]);
  assertEquals(refused.effects.slice(-2).map(({ type }) => type), ["follow", "reply"]);
  assertStringIncludes(refused.model.explanation, "Application/a/x is not what it was; mend that and retry");
  const forced = play(following.model, promote(true), noAnswer, problem, recorded);
  assertEquals(forced.model.state, "active");
  const ready = model({ state: "replicating", streamLive: true, memory: memory({ promised: 4 }) });
  const word: Input = { type: "takeOver", id: 2, peer: peer(), epoch: 4 };
  assertEquals(play(ready, word, problem).states, ["replicating"]);
});

Deno.test("a promotion compares the copies once more when its epoch is durable; what cannot be restored then undoes it", () => {
  const following = model({ state: "disconnected", preferredRole: "replica" });
  const promote = (force: boolean): Input => ({ type: "promote", id: 1, force });
  const meanwhile: Input = { type: "recorded", error: "", problem: "Application/a/x is not what it was" };
  const refused = play(following, promote(false), noAnswer, { type: "stopped" }, meanwhile);
  const [record] = refused.effects.filter(({ type }) => type === "record");
  assertEquals(record, { type: "record", memory: (record as { memory: Memory }).memory, compare: true });
  assertEquals([refused.model.state, refused.model.memory], ["disconnected", following.memory]);
  assertEquals(refused.effects.slice(-3), [
    { type: "remember", memory: following.memory },
    { type: "follow" },
    {
      type: "reply",
      id: 1,
      error:
        "cannot promote: Application/a/x is not what it was; mend that and retry, or serve these as they are with --force",
    },
  ]);
  const forced = play(following, promote(true), noAnswer, { type: "stopped" }, meanwhile);
  assertEquals(forced.model.state, "active");
  assertStringIncludes(forced.model.explanation, "FORCED: Application/a/x is not what it was");
});
