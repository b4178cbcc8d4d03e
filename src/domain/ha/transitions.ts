/**
 * The state machine, whole: every row says from which states, on which input, under which guard, to which state,
 * with which sentence for the operator, and which effects follow, in order. The first row that matches applies.
 * A row with `refuse` changes nothing and answers the operator.
 *
 * Reading order: the lock, start, promotion, demotion, takeover, procedures, the stream, supersession. Rows lead to ACTIVE only after
 * the durable record of an operator's promotion or of a start, or after the handover of an operator's switchover.
 */
import { commonCoverage } from "../resources/coverage.ts";
import type { Effect, Input, InputType, Memory, Model, Operation, Procedure, State } from "./state.ts";
import {
  byBackup,
  byOperator,
  byPeer,
  epochText,
  olderOf,
  peerText,
  refusals,
  waitingText,
} from "./sentences.ts";

/** One row of the table. */
export interface Row {
  name: string;
  from: readonly State[];
  on: InputType;
  /** All must hold. */
  when?: readonly Guard[];
  /** The next state; undefined: it stays. */
  to?: State;
  /** The operator's sentence. */
  says(model: Model, input: Input): string;
  /** Nothing changes; the sentence is the answer to the operator's command. */
  refuse?: true;
  change?(model: Model, input: Input): Partial<Model>;
  /** `next` is the model after `change`. */
  effects?(model: Model, input: Input, next: Model): Effect[];
}

/** A condition on model and input; its name is what tests and the diagram show. */
export interface Guard {
  name: string;
  holds(model: Model, input: Input): boolean;
}

const ANY: readonly State[] = ["recovering", "syncing", "replicating", "disconnected", "active"];
const PASSIVE: readonly State[] = ["syncing", "replicating", "disconnected"];
/** Where an operator may promote: `recovering` only while nothing is remembered and the peer does not answer. */
const PROMOTABLE: readonly State[] = ["recovering", ...PASSIVE];

const guard = (name: string, holds: Guard["holds"]): Guard => ({ name, holds });
const not = ({ name, holds }: Guard): Guard => guard(`not ${name}`, (m, i) => !holds(m, i));

const G = {
  busy: guard("an operation is under way", (m) => m.operation !== undefined),
  forced: guard("--force", (_, i) => i.type === "promote" && i.force),
  alone: guard(
    "no replica follows and the peer is not ACTIVE",
    (m, i) => i.type === "demote" && i.alone === true && m.peer?.state !== "active",
  ),
  demoteForced: guard("--force", (_, i) => i.type === "demote" && i.force === true),
  operationForced: guard("the promotion is forced", (m) => m.operation?.force === true),
  hasPeer: guard("a peer is configured", (m) => m.peerAddress !== ""),
  streamLive: guard("the stream is live", (m) => m.streamLive),
  complete: guard("has held a complete copy", (m) => m.memory.complete),
  remembers: guard("something is remembered", (m) => m.memory.epoch > 0 || m.memory.complete),
  restored: guard(
    "the peer, of the same epoch and not ACTIVE, has heard of a newer state of this store",
    (m, i) =>
      i.type === "peerAnswer" && i.olderStore !== undefined && i.peer?.state !== "active" &&
      peerEpoch(i) === m.memory.epoch,
  ),
  silent: guard("the peer did not answer", (_, i) => isSilent(i)),
  resumed: guard("the stream is resumed", (_, i) => i.type === "welcomed" && i.resumed),
  failed: guard("the record failed", (_, i) => i.type === "recorded" && i.error !== ""),
  goesActive: guard("was active, or prefers primary and remembers nothing", (m, i) => startsActive(m, i)),
  peerActive: guard("the peer is ACTIVE at the same or a higher epoch", (m, i) => peerOutranks(m, i)),
  peerAhead: guard("the peer knows a higher epoch", (m, i) => peerEpoch(i) > m.memory.epoch),
  superseded: guard(
    "the peer's epoch is higher, or equal and ACTIVE with a lower uid",
    (m, i) => outranked(m, i),
  ),
  refused: guard("the peer refused the stream", (_, i) => i.type === "streamLost" && i.refused === true),
  peerPassive: guard(
    "the peer is known not to be ACTIVE",
    (m) => m.peer !== undefined && m.peer.state !== "active",
  ),
  ahead: guard("the peer is known to be ahead", (m) => (m.peer?.epoch ?? 0) > m.memory.epoch),
  overtaken: guard(
    "the peer has meanwhile claimed a higher epoch than the one recorded",
    (m) => (m.peer?.epoch ?? 0) > (m.operation?.recording?.epoch ?? Infinity),
  ),
  followed: guard("the peer is the one that is followed, in this epoch", (m, i) => isFollowed(m, i)),
  peerServes: guard("the peer is still ACTIVE", (_, i) => i.type === "takeOver" && i.peer.state === "active"),
  promised: guard(
    "this epoch was promised",
    (m, i) => i.type === "takeOver" && i.epoch > 0 && i.epoch === m.memory.promised,
  ),
  own: guard(
    "the switchover's own command",
    (_, i) => (i.type === "promote" || i.type === "demote") && i.by === "switchover",
  ),
  switchingOver: guard("a switchover is under way", (m) => m.procedures.includes("switchover")),
  drilled: guard("a drill is under way", (m) => m.procedures.includes("drill")),
  unrestored: guard(
    "copies that another writer changed cannot be restored",
    (_, i) => problemOf(i) !== "",
  ),
  unfit: guard("facts stand against it", (_, i) => i.type === "begin" && i.problem !== ""),
  begun: guard("it has begun", (m, i) => i.type === "ended" && m.procedures.includes(i.procedure)),
  waiting: guard("another process may act for this side", (m) => m.waiting !== undefined),
  starting: operation("start"),
  promoting: operation("promote"),
  demoting: operation("demote"),
  superseding: operation("supersede"),
  takingOver: operation("takeover"),
} as const;

/** Which step of an operation waits for which input; an answer that nothing waits for means nothing. */
const AWAITED: Partial<Record<InputType, Operation["step"]>> = {
  peerAnswer: "asking",
  stopped: "stopping",
  recorded: "recording",
};

function operation(kind: Operation["kind"]): Guard {
  const holds: Guard["holds"] = ({ operation }, { type }) =>
    operation?.kind === kind && operation.step === AWAITED[type];
  return guard(`${kind} is under way`, holds);
}

function startsActive(model: Model, input: Input): boolean {
  if (input.type !== "start") return false;
  return input.memory ? input.memory.role === "active" : model.preferredRole === "primary";
}

function peerOutranks(model: Model, input: Input): boolean {
  if (input.type !== "peerAnswer" || input.peer?.state !== "active") return false;
  return input.peer.epoch >= model.memory.epoch;
}

function peerEpoch(input: Input): number {
  return input.type === "peerAnswer" ? input.peer?.epoch ?? 0 : 0;
}

/** The copies that stand against serving, in words; empty: none do. */
function problemOf(input: Input): string {
  return (input.type === "stopped" || input.type === "recorded") && input.problem || "";
}

function isSilent(input: Input): boolean {
  return input.type === "peerAnswer" && input.peer === undefined && input.error !== "";
}

function isFollowed({ memory }: Model, input: Input): boolean {
  if (input.type !== "prepare" && input.type !== "takeOver") return false;
  const { uid, epoch } = input.peer;
  return uid !== "" && uid === memory.leader && epoch === memory.epoch;
}

function outranked(model: Model, input: Input): boolean {
  if (input.type !== "heard") return false;
  const { epoch, state, uid } = input.peer;
  if (epoch !== model.memory.epoch) return epoch > model.memory.epoch;
  return state === "active" && uid !== "" && uid < model.uid;
}

const asOperation = (
  kind: Operation["kind"],
  step: Operation["step"],
  input?: Input,
): { operation: Operation } => ({
  operation: {
    kind,
    step,
    id: input && "id" in input ? input.id : 0,
    force: input?.type === "promote" && input.force,
  },
});
const atStep = (model: Model, step: Operation["step"]): Partial<Model> => ({
  operation: model.operation && { ...model.operation, step },
});
const done = { operation: undefined };
/** Nothing is known of a stream or of the peer. */
const AFRESH = { streamLive: false, progress: { done: 0, total: 0 }, peer: undefined };
const answer = (model: Model, error = ""): Effect[] =>
  model.operation?.id ? [{ type: "reply", id: model.operation.id, error }] : [];
/** The operation proceeds to record this memory. */
const toRecord = (operation: Operation | undefined, memory: Memory): Partial<Model> => ({
  operation: operation && { ...operation, step: "recording", recording: memory },
});
const record = (next: Model, compare = false): Effect[] =>
  next.operation?.recording
    ? [{ type: "record", memory: next.operation.recording, ...(compare ? { compare } : {}) }]
    : [];
/** An operator has forced what stands against serving the copies here. */
const asTheyAre = (input: Input): string => {
  const problem = problemOf(input);
  return problem && `FORCED: ${problem}; these are served as they are`;
};
/** The operation is over and what it recorded holds. */
const recordedMemory = (model: Model): Partial<Model> => ({
  operation: undefined,
  memory: model.operation?.recording ?? model.memory,
});
const remember = (next: Model): Effect => ({ type: "remember", memory: next.memory });

/**
 * This principal's first epoch above one. Odd epochs are the preferred primary's, even ones the replica's: a principal that dies right
 * after it has recorded an epoch, before anybody heard of it, must not find the other one in the same.
 */
function ownAbove(heard: number, { preferredRole }: Model): number {
  const own = preferredRole === "primary" ? 1 : 0;
  return (heard + 1) % 2 === own ? heard + 1 : heard + 2;
}

const activeIn = (epoch: number, { uid, memory, coverage }: Model): Memory => ({
  role: "active",
  epoch,
  complete: true,
  leader: uid,
  formerActive: false,
  promised: 0,
  unproven: false,
  lineage: memory.lineage || uid,
  coverage,
});

/** The memory of an ACTIVE after this promotion or start. It may have served in an epoch that was promised, and died before it knew. */
function asActive(model: Model): Memory {
  const { memory, peer, operation } = model;
  const keep = operation?.kind === "start" && memory.role === "active";
  const heard = Math.max(memory.epoch, memory.promised, peer?.epoch ?? 0);
  const active = activeIn(keep ? Math.max(1, memory.epoch) : ownAbove(heard, model), model);
  const blind = model.state === "recovering" && operation?.kind === "promote";
  return { ...active, unproven: memory.unproven || blind };
}

/** A promotion that came to nothing: a principal that follows goes on following, one that waits goes on asking. */
const resume = ({ state }: Model): Effect =>
  state === "recovering" ? { type: "askPeer", afterMs: ASK_AGAIN_MS } : { type: "follow" };

const asReplica = ({ memory }: Model): Memory => ({
  ...memory,
  role: "replica",
  formerActive: memory.formerActive || memory.role === "active",
});

/** Learns the leader's epoch and identity from a welcome. */
function followed(model: Model, input: Input): Memory {
  const peer = input.type === "welcomed" ? input.peer : undefined;
  const { memory } = model;
  if (!peer || peer.epoch < memory.epoch) return memory;
  const promised = peer.epoch === memory.epoch ? memory.promised : 0;
  return { ...memory, epoch: peer.epoch, leader: peer.uid, promised };
}

function learned(model: Model, input: Input): Partial<Model> {
  return { memory: followed(model, input), peer: peerOf(model, input), streamLive: true };
}

function rememberIfNew(model: Model, _: Input, next: Model): Effect[] {
  const fields = Object.keys(next.memory) as (keyof Memory)[];
  return fields.some((field) => next.memory[field] !== model.memory[field]) ? [remember(next)] : [];
}

/** A process that does not hold the lock on its side's store answers its operator and does nothing else. */
const WAIT: Row[] = [
  {
    name: "waiting",
    from: ["recovering"],
    on: "waiting",
    when: [not(G.busy)],
    says: (_, i) => i.type === "waiting" ? waitingText(i.waiting) : "",
    change: (_, i) => i.type === "waiting" ? { waiting: i.waiting } : {},
  },
];
/** How often a peer is asked on whose answer a start depends. */
const ASK_AGAIN_MS = 1_000;

const START: Row[] = [
  {
    name: "start active",
    from: ["recovering"],
    on: "start",
    when: [not(G.busy), G.goesActive, G.hasPeer],
    says: (m) => `asking peer "${m.peerAddress}" whether it is ACTIVE before serving`,
    change: (m, i) => ({ ...asOperation("start", "asking"), memory: memoryOf(m, i) }),
    effects: () => [{ type: "askPeer" }],
  },
  {
    name: "start active alone",
    from: ["recovering"],
    on: "start",
    when: [not(G.busy), G.goesActive, not(G.hasPeer)],
    says: () => "no peer is configured; recording the role before serving",
    change: (m, i) => {
      const { operation } = asOperation("start", "recording");
      const memory = memoryOf(m, i);
      return { ...toRecord(operation, asActive({ ...m, operation, memory })), memory };
    },
    effects: (_, __, next) => record(next),
  },
  {
    name: "start as replica",
    from: ["recovering"],
    on: "start",
    when: [not(G.busy), not(G.goesActive)],
    to: "syncing",
    says: (m, i) =>
      byPeer(m, memoryOf(m, i).complete ? "has a complete copy of an earlier time" : "has no copy yet"),
    change: (m, i) => ({ memory: memoryOf(m, i) }),
    effects: () => [{ type: "follow" }],
  },
  {
    name: "start: the peer is active",
    from: ["recovering"],
    on: "peerAnswer",
    when: [G.starting, G.peerActive],
    to: "syncing",
    says: (m, i) =>
      `peer ${peerText(m, i)} is ACTIVE ${epochText(i)}; this principal comes up as its replica`,
    change: (m, i) => ({ ...done, memory: asReplica(m), peer: peerOf(m, i) }),
    effects: (_, __, next) => [remember(next), { type: "follow" }],
  },
  {
    name: "start: the peer is ahead",
    from: ["recovering"],
    on: "peerAnswer",
    when: [G.starting, not(G.peerActive), G.peerAhead],
    to: "syncing",
    says: (m, i) =>
      `peer "${m.peerAddress}" knows epoch ${
        peerEpoch(i)
      }, above our ${m.memory.epoch}, and is not ACTIVE; ` +
      "this principal does not serve on its own: run ha promote on the side that shall serve",
    change: (m, i) => ({ ...done, memory: asReplica(m), peer: peerOf(m, i) }),
    effects: (_, __, next) => [remember(next), { type: "follow" }],
  },
  {
    name: "start: nothing is remembered and the peer is silent",
    from: ["recovering"],
    on: "peerAnswer",
    when: [G.starting, G.silent, not(G.remembers)],
    says: byOperator,
    change: () => done,
    effects: () => [{ type: "askPeer", afterMs: ASK_AGAIN_MS }],
  },
  {
    name: "start: the peer is still silent",
    from: ["recovering"],
    on: "peerAnswer",
    when: [not(G.busy), G.silent],
    says: byOperator,
    effects: () => [{ type: "askPeer", afterMs: ASK_AGAIN_MS }],
  },
  {
    name: "start: this store was restored",
    from: ["recovering"],
    on: "peerAnswer",
    when: [G.starting, G.restored],
    says: byBackup,
    change: (m, i) => ({ ...done, peer: peerOf(m, i), olderStore: olderOf(i) }),
    effects: () => [{ type: "askPeer", afterMs: ASK_AGAIN_MS }],
  },
  {
    name: "start: this store is still older",
    from: ["recovering"],
    on: "peerAnswer",
    when: [not(G.busy), not(G.silent), G.restored],
    says: byBackup,
    change: (m, i) => ({ peer: peerOf(m, i), olderStore: olderOf(i) }),
    effects: () => [{ type: "askPeer", afterMs: ASK_AGAIN_MS }],
  },
  {
    name: "start: the peer answers",
    from: ["recovering"],
    on: "peerAnswer",
    when: [not(G.busy), not(G.silent), not(G.restored)],
    says: (m) => `peer "${m.peerAddress}" answers now; asking whether it is ACTIVE before serving`,
    change: () => ({ ...asOperation("start", "asking"), olderStore: undefined }),
    effects: () => [{ type: "askPeer" }],
  },
  {
    name: "start: the peer is not active",
    from: ["recovering"],
    on: "peerAnswer",
    when: [G.starting, not(G.peerActive), not(G.peerAhead), not(G.restored)],
    says: () => "recording the role before serving",
    change: (m, i) => {
      const peer = peerOf(m, i);
      return { ...toRecord(m.operation, asActive({ ...m, peer })), peer };
    },
    effects: (_, __, next) => record(next),
  },
  {
    name: "start: overtaken",
    from: ["recovering"],
    on: "recorded",
    when: [G.starting, not(G.failed), G.overtaken],
    to: "syncing",
    says: (m) => byPeer(m, `the peer has claimed epoch ${m.peer?.epoch} meanwhile`),
    change: (m) => ({ ...done, memory: asReplica({ ...m, ...recordedMemory(m) }) }),
    effects: (_, __, next) => [remember(next), { type: "follow" }],
  },
  {
    name: "start: recorded",
    from: ["recovering"],
    on: "recorded",
    when: [G.starting, not(G.failed), not(G.overtaken)],
    to: "active",
    says: (m) => `serving agents, epoch ${recordedMemory(m).memory?.epoch}`,
    change: recordedMemory,
    effects: () => [{ type: "serve" }],
  },
  {
    name: "start: the record failed",
    from: ["recovering"],
    on: "recorded",
    when: [G.starting, G.failed],
    says: (_, i) => `cannot go ACTIVE: the role could not be recorded: ${errorOf(i)}; retrying`,
    change: (m) => atStep(m, "asking"),
    effects: () => [{ type: "askPeer", afterMs: ASK_AGAIN_MS }],
  },
];

function memoryOf(model: Model, input: Input): Memory {
  return input.type === "start" && input.memory ? input.memory : model.memory;
}

function peerOf(model: Model, input: Input): Model["peer"] {
  return "peer" in input ? input.peer : model.peer;
}

function errorOf(input: Input): string {
  return "error" in input ? input.error : "";
}

const asks = (procedure: Procedure): Guard =>
  guard(`asked for: ${procedure}`, (_, i) => i.type === "begin" && i.procedure === procedure);

const refuse = (
  name: string,
  from: readonly State[],
  on: InputType,
  when: Guard[],
  says: Row["says"],
): Row => ({
  name,
  from,
  on,
  when,
  says,
  refuse: true,
});

const PROMOTE: Row[] = [
  refuse(
    "promote: switchover",
    ANY,
    "promote",
    [G.switchingOver, not(G.own), not(G.forced)],
    refusals.switchingOver("promote"),
  ),
  refuse("promote: busy", ANY, "promote", [G.busy], refusals.busy("promote")),
  refuse("promote: waiting", ["recovering"], "promote", [not(G.busy), G.waiting], refusals.waiting),
  refuse(
    "promote: nothing is remembered",
    ["recovering"],
    "promote",
    [not(G.busy), not(G.forced)],
    refusals.nothingRemembered,
  ),
  refuse("promote: active", ["active"], "promote", [not(G.busy)], refusals.alreadyActive),
  refuse(
    "promote: replicating",
    ["replicating"],
    "promote",
    [not(G.busy), not(G.forced)],
    refusals.replicating,
  ),
  refuse(
    "promote: syncing",
    ["syncing"],
    "promote",
    [not(G.busy), not(G.forced), G.streamLive],
    refusals.syncing,
  ),
  refuse(
    "promote: never complete",
    ["syncing", "disconnected"],
    "promote",
    [not(G.busy), not(G.forced), not(G.complete)],
    refusals.neverComplete,
  ),
  {
    name: "promote: ask",
    from: PROMOTABLE,
    on: "promote",
    when: [not(G.busy), G.hasPeer],
    says: (m) => `promotion asked for; asking peer "${m.peerAddress}" whether it is ACTIVE`,
    change: (_, i) => asOperation("promote", "asking", i),
    effects: () => [{ type: "askPeer" }],
  },
  {
    name: "promote: alone",
    from: PROMOTABLE,
    on: "promote",
    when: [not(G.busy), not(G.hasPeer)],
    says: () => "promotion asked for; no peer is configured",
    change: (_, i) => asOperation("promote", "stopping", i),
    effects: () => [{ type: "stopFollowing", compare: true }],
  },
  {
    name: "promote: the peer is active",
    from: PROMOTABLE,
    on: "peerAnswer",
    when: [G.promoting, G.peerActive, not(G.operationForced)],
    says: (m, i) => `promotion refused: ${refusals.peerActive(m, i)}`,
    change: (m, i) => ({ ...done, peer: peerOf(m, i) }),
    effects: (m, i) => [
      ...(m.state === "recovering" ? [resume(m)] : []),
      ...answer(m, refusals.peerActive(m, i)),
    ],
  },
  {
    name: "promote: stop following",
    from: PROMOTABLE,
    on: "peerAnswer",
    when: [G.promoting],
    says: (m, i) =>
      peerOutranks(m, i)
        ? `FORCED: peer ${peerText(m, i)} is ACTIVE ${epochText(i)} and is overridden`
        : "promotion goes on; letting writes in flight end",
    change: (m, i) => ({ ...atStep(m, "stopping"), peer: peerOf(m, i) }),
    effects: () => [{ type: "stopFollowing", compare: true }],
  },
  {
    name: "promote: not restored",
    from: PASSIVE,
    on: "stopped",
    when: [G.promoting, G.unrestored, not(G.operationForced)],
    says: (m, i) => refusals.notRestored("promote")(m, i),
    change: () => ({ ...done, streamLive: false }),
    effects: (m, i) => [{ type: "follow" }, ...answer(m, refusals.notRestored("promote")(m, i))],
  },
  {
    name: "promote: record",
    from: PROMOTABLE,
    on: "stopped",
    when: [G.promoting],
    says: (_, i) => asTheyAre(i) || "promotion goes on; recording the new epoch",
    change: (m) => ({ ...toRecord(m.operation, asActive(m)), streamLive: false }),
    effects: (_, __, next) => record(next, true),
  },
  {
    name: "promote: overtaken",
    from: PROMOTABLE,
    on: "recorded",
    when: [G.promoting, not(G.failed), G.overtaken],
    says: (m) => `promotion given up: the peer has claimed epoch ${m.peer?.epoch} meanwhile`,
    change: (m) => ({
      ...done,
      memory: { ...asReplica({ ...m, ...recordedMemory(m) }), formerActive: m.memory.formerActive },
    }),
    effects: (m, _, next) => [remember(next), resume(m), ...answer(m, refusals.overtaken(m))],
  },
  {
    name: "promote: changed meanwhile",
    from: PASSIVE,
    on: "recorded",
    when: [G.promoting, not(G.failed), not(G.overtaken), G.unrestored, not(G.operationForced)],
    says: (m, i) => refusals.notRestored("promote")(m, i),
    change: () => done,
    effects: (m, i, next) => [
      remember(next),
      resume(m),
      ...answer(m, refusals.notRestored("promote")(m, i)),
    ],
  },
  {
    name: "promoted",
    from: PROMOTABLE,
    on: "recorded",
    when: [G.promoting, not(G.failed), not(G.overtaken)],
    to: "active",
    says: (m, i) => {
      const text = `promoted by an operator; serving agents, epoch ${recordedMemory(m).memory?.epoch}`;
      return [text, asTheyAre(i)].filter(Boolean).join("; ");
    },
    change: recordedMemory,
    effects: (m) => [{ type: "serve" }, ...answer(m)],
  },
  {
    name: "promote: the record failed",
    from: PROMOTABLE,
    on: "recorded",
    when: [G.promoting, G.failed],
    says: (_, i) => `promotion undone: the new epoch could not be recorded: ${errorOf(i)}`,
    change: () => done,
    effects: (m, i, next) => [
      remember(next),
      resume(m),
      ...answer(m, refusals.notRecorded("promote", errorOf(i))),
    ],
  },
];

const DEMOTE: Row[] = [
  refuse(
    "demote: switchover",
    ANY,
    "demote",
    [G.switchingOver, not(G.own)],
    refusals.switchingOver("demote"),
  ),
  refuse("demote: busy", ANY, "demote", [G.busy], refusals.busy("demote")),
  refuse("demote: not active", [...PASSIVE, "recovering"], "demote", [not(G.busy)], refusals.notActive),
  refuse(
    "demote: nobody takes over",
    ["active"],
    "demote",
    [not(G.busy), not(G.own), G.alone, not(G.demoteForced)],
    refusals.nobodyTakesOver,
  ),
  {
    name: "demote: record",
    from: ["active"],
    on: "demote",
    when: [not(G.busy)],
    says: (m, i) =>
      G.alone.holds(m, i) && G.demoteForced.holds(m, i)
        ? "FORCED: no replica follows, and no principal serves agents until a promotion; recording the role"
        : "demotion asked for; recording the role",
    change: (m, i) => toRecord(asOperation("demote", "recording", i).operation, asReplica(m)),
    effects: (_, __, next) => record(next),
  },
  {
    name: "demoted",
    from: ["active"],
    on: "recorded",
    when: [G.demoting, not(G.failed)],
    to: "syncing",
    says: (m) => byPeer(m, "demoted by an operator"),
    change: (m) => ({ ...recordedMemory(m), ...AFRESH }),
    effects: (m) => [{ type: "stopServing", drain: true }, { type: "follow" }, ...answer(m)],
  },
  {
    name: "demote: superseded meanwhile",
    from: ["active"],
    on: "recorded",
    when: [G.demoting, G.failed, G.ahead],
    says: (m) =>
      `the demotion could not be recorded, and the peer is in epoch ${m.peer?.epoch}; stepping down`,
    change: (m) => toRecord(asOperation("supersede", "recording").operation, asReplica(m)),
    effects: (m, i, next) => [
      { type: "stopServing", drain: false },
      ...record(next),
      ...answer(m, refusals.notRecorded("demote", errorOf(i))),
    ],
  },
  {
    name: "demote: the record failed",
    from: ["active"],
    on: "recorded",
    when: [G.demoting, G.failed, not(G.ahead)],
    says: (m, i) =>
      `still ACTIVE, epoch ${m.memory.epoch}: the demotion could not be recorded: ${errorOf(i)}`,
    change: () => done,
    effects: (m, i, next) => [remember(next), ...answer(m, refusals.notRecorded("demote", errorOf(i)))],
  },
];

/**
 * The replica's part of a switchover. Every step that can fail comes before its leader steps down: once the next epoch is
 * durable here, the leader's message alone makes this side ACTIVE. A promise does not outlive its switchover: after a
 * restart, a replica with a promise is a replica.
 */
const TAKE_OVER: Row[] = [
  refuse("prepare: busy", ANY, "prepare", [G.busy], refusals.busy("take over")),
  refuse("prepare: another", ANY, "prepare", [not(G.busy), not(G.followed)], refusals.notFollowed),
  refuse(
    "prepare: not replicating",
    ["recovering", "syncing", "disconnected", "active"],
    "prepare",
    [not(G.busy), G.followed],
    refusals.notReplicating,
  ),
  {
    name: "prepare",
    from: ["replicating"],
    on: "prepare",
    when: [not(G.busy), G.followed],
    says: (m) => `getting ready to take over from "${m.peerAddress}"; recording the next epoch`,
    change: (m, i) => {
      const memory = { ...m.memory, promised: ownAbove(m.memory.epoch, m) };
      return { memory, ...toRecord(asOperation("takeover", "recording", i).operation, memory) };
    },
    effects: (_, __, next) => record(next),
  },
  {
    name: "prepared",
    from: PASSIVE,
    on: "recorded",
    when: [G.takingOver, not(G.failed)],
    says: (m) => `ready to take over from "${m.peerAddress}" in epoch ${m.memory.promised}`,
    change: () => done,
    effects: (m) => answer(m),
  },
  {
    name: "prepare: the record failed",
    from: PASSIVE,
    on: "recorded",
    when: [G.takingOver, G.failed],
    says: (m, i) => `not ready to take over from "${m.peerAddress}": ${errorOf(i)}`,
    change: (m) => ({ ...done, memory: { ...m.memory, promised: 0 } }),
    effects: (m, i, next) => [remember(next), ...answer(m, refusals.notPromised(errorOf(i)))],
  },
  refuse("take over: busy", ANY, "takeOver", [G.busy], refusals.busy("take over")),
  refuse("take over: another", ANY, "takeOver", [not(G.busy), not(G.followed)], refusals.notFollowed),
  refuse(
    "take over: the peer is active",
    ANY,
    "takeOver",
    [not(G.busy), G.followed, G.peerServes],
    refusals.notGivenUp,
  ),
  {
    name: "take over",
    from: PASSIVE,
    on: "takeOver",
    when: [not(G.busy), G.followed, not(G.peerServes), G.promised],
    says: (m) => `"${m.peerAddress}" has given up; letting writes in flight end`,
    change: (m, i) => {
      const { operation } = asOperation("takeover", "stopping", i);
      return { operation: { ...operation, recording: activeIn(m.memory.promised, m) }, peer: peerOf(m, i) };
    },
    effects: () => [{ type: "stopFollowing" }],
  },
  refuse(
    "take over: not prepared",
    ANY,
    "takeOver",
    [not(G.busy), G.followed, not(G.peerServes)],
    refusals.notPrepared,
  ),
  {
    name: "take over: overtaken",
    from: PASSIVE,
    on: "stopped",
    when: [G.takingOver, G.overtaken],
    says: (m) => `takeover given up: the peer has claimed epoch ${m.peer?.epoch} meanwhile`,
    change: () => ({ ...done, streamLive: false }),
    effects: (m) => [{ type: "follow" }, ...answer(m, refusals.overtaken(m))],
  },
  {
    name: "take over: not restored",
    from: PASSIVE,
    on: "stopped",
    when: [G.takingOver, G.unrestored],
    says: (m, i) => refusals.notRestored("take over")(m, i),
    change: () => ({ ...done, streamLive: false }),
    effects: (m, i) => [{ type: "follow" }, ...answer(m, refusals.notRestored("take over")(m, i))],
  },
  {
    name: "taken over",
    from: PASSIVE,
    on: "stopped",
    when: [G.takingOver, not(G.overtaken)],
    to: "active",
    says: (m) => `took over in an operator's switchover; serving agents, epoch ${m.memory.promised}`,
    change: (m) => ({ ...recordedMemory(m), streamLive: false }),
    effects: (m, _, next) => [{ type: "serve", memory: next.memory }, ...answer(m)],
  },
];

const begins = (name: Procedure, from: readonly State[]): Row => ({
  name,
  from,
  on: "begin",
  when: [asks(name)],
  says: (m) => m.explanation,
  change: ({ procedures }) => ({ procedures: [...procedures, name] }),
  effects: (_, i) => "id" in i ? [{ type: "reply", id: i.id, error: "" }] : [],
});

const except = (...taken: State[]): State[] => ANY.filter((state) => !taken.includes(state));

/**
 * An operator's procedures, which run beside the state: none stops a stream or a command, but for a switchover, whose own demotion and
 * promotion must be the only ones.
 */
const PROCEDURE: Row[] = [
  refuse(
    "switchover: another",
    ANY,
    "begin",
    [asks("switchover"), G.switchingOver],
    refusals.switchingOver("switch over"),
  ),
  refuse("switchover: not active", except("active"), "begin", [asks("switchover")], refusals.switchFrom),
  refuse("switchover: busy", ["active"], "begin", [asks("switchover"), G.busy], refusals.busy("switch over")),
  refuse(
    "switchover: unfit",
    ["active"],
    "begin",
    [asks("switchover"), G.unfit],
    refusals.unfit("switch over"),
  ),
  begins("switchover", ["active"]),
  refuse("drill: not replicating", except("replicating"), "begin", [asks("drill")], refusals.drillFrom),
  refuse("drill: another", ["replicating"], "begin", [asks("drill"), G.drilled], refusals.drilled),
  refuse("drill: busy", ["replicating"], "begin", [asks("drill"), G.busy], refusals.busy("drill")),
  refuse("drill: unfit", ["replicating"], "begin", [asks("drill"), G.unfit], refusals.unfit("drill")),
  begins("drill", ["replicating"]),
  refuse("repair: not replicating", except("replicating"), "begin", [asks("repair")], refusals.repairFrom),
  refuse("repair: unfit", ["replicating"], "begin", [asks("repair"), G.unfit], refusals.unfit("repair")),
  begins("repair", ["replicating"]),
  refuse("reconcile: unfit", ANY, "begin", [asks("reconcile"), G.unfit], refusals.unfit("reconcile")),
  begins("reconcile", ANY),
  refuse("adopt: not active", except("active"), "begin", [asks("adopt")], refusals.adoptFrom),
  refuse("adopt: busy", ["active"], "begin", [asks("adopt"), G.busy], refusals.busy("adopt")),
  begins("adopt", ["active"]),
  refuse("forget: not active", except("active"), "begin", [asks("forget")], refusals.forgetFrom),
  refuse("forget: unfit", ["active"], "begin", [asks("forget"), G.unfit], refusals.unfit("forget an agent")),
  begins("forget", ["active"]),
  refuse("release: busy", ANY, "begin", [asks("release"), G.busy], refusals.busy("release deletions")),
  refuse(
    "release: unfit",
    ANY,
    "begin",
    [asks("release"), not(G.busy), G.unfit],
    refusals.unfit("release deletions"),
  ),
  begins("release", ANY),
  refuse("restore: busy", ANY, "begin", [asks("restore"), G.busy], refusals.busy("restore deletions")),
  refuse(
    "restore: unfit",
    ANY,
    "begin",
    [asks("restore"), not(G.busy), G.unfit],
    refusals.unfit("restore deletions"),
  ),
  begins("restore", ANY),
  {
    name: "procedure ended",
    from: ANY,
    on: "ended",
    when: [G.begun],
    says: (m) => m.explanation,
    change: ({ procedures }, i) => {
      const at = i.type === "ended" ? procedures.indexOf(i.procedure) : -1;
      return { procedures: procedures.filter((_, n) => n !== at) };
    },
  },
];

const STREAM: Row[] = [
  {
    name: "resumed",
    from: PASSIVE,
    on: "welcomed",
    when: [G.resumed],
    to: "replicating",
    says: (m) => `the stream from "${m.peerAddress}" goes on where it broke`,
    change: learned,
    effects: rememberIfNew,
  },
  {
    name: "welcomed",
    from: PASSIVE,
    on: "welcomed",
    when: [not(G.resumed)],
    says: (m) => `connected to "${m.peerAddress}"; bringing this copy up to date`,
    change: (m, i) => ({ ...learned(m, i), progress: { done: 0, total: 0 } }),
    effects: rememberIfNew,
  },
  {
    name: "progress",
    from: ["syncing", "disconnected", "replicating"],
    on: "progress",
    says: (m) => m.explanation,
    change: (_, i) => i.type === "progress" ? { progress: { done: i.done, total: i.total } } : {},
  },
  {
    name: "snapshot applied",
    from: PASSIVE,
    on: "snapshotApplied",
    when: [G.streamLive],
    to: "replicating",
    says: (m) => `holds a complete copy of "${m.peerAddress}" and follows its changes`,
    change: ({ memory, peer, coverage }) => ({
      memory: {
        ...memory,
        complete: true,
        unproven: false,
        lineage: peer?.lineage || memory.lineage,
        coverage: commonCoverage(coverage, peer?.coverage ?? ""),
      },
    }),
    effects: rememberIfNew,
  },
  {
    name: "caught up",
    from: ["replicating"],
    on: "caughtUp",
    when: [G.streamLive],
    says: (m) => m.explanation,
    change: ({ memory }) => ({ memory: { ...memory, formerActive: false } }),
    effects: rememberIfNew,
  },
  {
    // How the stream was lost stays: the outcome of each retry would be a sentence that changes with the moment of the question.
    name: "still no stream",
    from: ["disconnected"],
    on: "streamLost",
    when: [not(G.refused)],
    says: (m) => m.explanation,
    change: () => ({ streamLive: false, peer: undefined }),
  },
  {
    name: "stream lost",
    from: ["replicating", "disconnected"],
    on: "streamLost",
    to: "disconnected",
    says: (m, i) =>
      `no stream from "${m.peerAddress}": ${i.type === "streamLost" ? i.reason : ""}; redialling`,
    change: () => ({ streamLive: false, peer: undefined }),
  },
  {
    name: "refused",
    from: ["syncing"],
    on: "streamLost",
    when: [G.refused, G.peerPassive],
    says: (m) => m.explanation,
    change: ({ peer }) => ({ ...AFRESH, peer }),
  },
  {
    name: "not reached",
    from: ["syncing"],
    on: "streamLost",
    says: (m, i) => byPeer(m, i.type === "streamLost" ? i.reason : ""),
    change: () => ({ ...AFRESH }),
  },
];

const SUPERSEDE: Row[] = [
  {
    name: "superseded",
    from: ["active"],
    on: "heard",
    when: [G.superseded, not(G.busy)],
    says: (m, i) =>
      `peer "${m.peerAddress}" is ${i.type === "heard" ? i.peer.state.toUpperCase() : ""} ${epochText(i)}; ` +
      `stepping down from epoch ${m.memory.epoch}`,
    change: (m, i) => ({
      ...toRecord(asOperation("supersede", "recording").operation, asReplica(m)),
      peer: peerOf(m, i),
    }),
    effects: (_, __, next) => [{ type: "stopServing", drain: false }, ...record(next)],
  },
  {
    name: "stepped down",
    from: ["active"],
    on: "recorded",
    when: [G.superseding],
    to: "syncing",
    says: (m) => byPeer(m, `superseded by epoch ${m.peer?.epoch ?? 0}`),
    change: (m) => ({ ...recordedMemory(m), ...AFRESH }),
    effects: (_, i, next) => [...(errorOf(i) ? [remember(next)] : []), { type: "follow" }],
  },
  {
    name: "heard",
    from: ANY,
    on: "heard",
    says: (m) => m.explanation,
    change: (m, i) => ({ peer: peerOf(m, i) }),
  },
  {
    name: "peer silent",
    from: ANY,
    on: "peerSilent",
    says: (m) => m.explanation,
    change: () => ({ peer: undefined }),
  },
];

/** The table. */
export const TABLE: readonly Row[] = [
  ...WAIT,
  ...START,
  ...PROMOTE,
  ...DEMOTE,
  ...TAKE_OVER,
  ...PROCEDURE,
  ...STREAM,
  ...SUPERSEDE,
];
