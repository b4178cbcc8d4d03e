/**
 * Mistakes that could have been made, each planted alone into a copy of the source: the simulator must find every one. Where the Go
 * principal makes one of them, its number in the list of its weaknesses (P1 to P17) stands before the name.
 */

import { DELETION_MUTANTS } from "./mutants_of_deletions.ts";
import { LOCK_MUTANTS } from "./mutants_of_locks.ts";
import { RIGHTS_MUTANTS } from "./mutants_of_rights.ts";
import { COPY_MUTANTS } from "./mutants_of_copies.ts";
import { EMPTINESS_MUTANTS } from "./mutants_of_emptiness.ts";
import { SCOPE_MUTANTS } from "./mutants_of_scopes.ts";
import { VALUE_MUTANTS } from "./mutants_of_values.ts";
import { type Mutant, mutant } from "./mutant.ts";

const TRANSITIONS = "src/domain/ha/transitions.ts";
const APPLIER = "src/domain/replication/applier.ts";
const LEADER = "src/domain/replication/leader.ts";
const FOLLOWER = "src/domain/replication/follower.ts";
const FOLLOW = "src/principal/replica/leader_connection.ts";
const LEADERSHIP = "src/principal/active/leadership.ts";
const EFFECTS = "src/principal/core/effects.ts";
const FLEET = "src/principal/active/fleet.ts";
const LOSS = "src/principal/replica/loss_manifest.ts";
const SWITCHOVER = "src/principal/operations/switchover.ts";

export const MUTANTS: readonly Mutant[] = [
  {
    name: "P1 a principal that starts does not care what its peer says",
    edits: [
      {
        file: TRANSITIONS,
        from: 'if (input.type !== "peerAnswer" || input.peer?.state !== "active") return false;',
        to: "if (input.type) return false;",
      },
      {
        file: TRANSITIONS,
        from: 'return input.type === "peerAnswer" ? input.peer?.epoch ?? 0 : 0;',
        to: "return input.type ? 0 : 0;",
      },
      {
        file: TRANSITIONS,
        from: "(m) => (m.peer?.epoch ?? 0) > (m.operation?.recording?.epoch ?? Infinity),",
        to: "(m) => (m.peer?.epoch ?? 0) > (m.operation ? Infinity : 0),",
      },
    ],
    about: ["kill", "promote"],
  },
  mutant(
    "P2, P7 one that is not ACTIVE lets itself be followed",
    LEADERSHIP,
    "const scope = activeScope();",
    "const scope = activeScope() ?? new AbortController().signal;",
    ["demote", "kill"],
  ),
  mutant(
    "P3 under load a change is dropped",
    LEADER,
    "const [entry] = this.#cursor.read(1);",
    "const [entry] = this.#cursor.pending > 8 ? this.#cursor.read(2).slice(1) : this.#cursor.read(1);",
  ),
  mutant(
    "P6 the role is not kept over a restart",
    "src/principal/core/memory.ts",
    "return found && memoryOf(dataOf(found), namespace);",
    'return found && namespace === "" ? memoryOf(dataOf(found), namespace) : undefined;',
  ),
  mutant(
    "P9 a write that failed counts as done",
    "src/principal/replica/apply_pump.ts",
    "this.applier.failed(change, reason, monotonicMs(), Math.random(), policyFor(error));",
    "policyFor(error);\n          this.applier.succeeded(change);",
  ),
  mutant(
    "P10 a dead peer is redialled at once",
    "src/principal/replica/replication_client.ts",
    "const wait = refused ? REFUSED_DELAY_MS : delayMs(REDIAL, failures, Math.random());",
    "const wait = refused ? REFUSED_DELAY_MS : Math.min(1, delayMs(REDIAL, failures, Math.random()));",
  ),
  mutant(
    "P11 any certificate of the CA may replicate",
    "src/domain/replication/admission.ts",
    "if (!policy.allowAny && !policy.allowed.has(found.identity)) {",
    'if (found.identity === "") {',
  ),
  mutant(
    "P12 REPLICATING is said although the stream is lost",
    TRANSITIONS,
    'on: "streamLost",\n    to: "disconnected",',
    'on: "streamLost",',
  ),
  mutant(
    "P14 what was deleted while a replica was away stays there",
    LEADER,
    "for (const key of this.#have.keys()) {\n      if (this.index.get(key))",
    "for (const key of [] as string[]) {\n      if (this.index.get(key))",
  ),
  {
    name: "P17 a stream that has gone silent is kept",
    edits: [{
      file: FOLLOW,
      from: "if (monotonicMs() - this.#lastHeardMs > SILENCE_MS) {",
      to: "if (monotonicMs() - this.#lastHeardMs > SILENCE_MS * 100) {",
    }],
    about: ["swallow"],
    steps: 6_000,
  },
  mutant(
    "a promotion does not raise the epoch",
    TRANSITIONS,
    "return (heard + 1) % 2 === own ? heard + 1 : heard + 2;",
    "return heard + 0 * own;",
  ),
  mutant(
    "both sides choose their epochs from the same numbers",
    TRANSITIONS,
    "return (heard + 1) % 2 === own ? heard + 1 : heard + 2;",
    "return heard + 1 + 0 * own;",
  ),
  mutant(
    "an ACTIVE does not hear of a higher epoch",
    TRANSITIONS,
    "if (epoch !== model.memory.epoch) return epoch > model.memory.epoch;",
    "if (epoch !== model.memory.epoch) return false;",
  ),
  mutant(
    "an ACTIVE that is superseded goes on serving",
    TRANSITIONS,
    'effects: (_, __, next) => [{ type: "stopServing", drain: false }, ...record(next)],',
    "effects: (_, __, next) => record(next),",
  ),
  mutant(
    "a promotion that was overtaken serves all the same",
    TRANSITIONS,
    "(m) => (m.peer?.epoch ?? 0) > (m.operation?.recording?.epoch ?? Infinity),",
    "(m) => (m.peer?.epoch ?? 0) > (m.operation ? Infinity : 0),",
    ["promote", "disk", "refuse"],
  ),
  mutant(
    "a replica that does not reach its peer promotes itself",
    TRANSITIONS,
    'name: "not reached",\n    from: ["syncing"],\n    on: "streamLost",',
    'name: "not reached",\n    from: ["syncing"],\n    on: "streamLost",\n    to: "active",',
  ),
  mutant(
    "a record that failed is not taken back",
    TRANSITIONS,
    '      remember(next),\n      resume(m),\n      ...answer(m, refusals.notRecorded("promote", errorOf(i))),',
    '      ...(next ? [] : [remember(next)]),\n      resume(m),\n      ...answer(m, refusals.notRecorded("promote", errorOf(i))),',
    ["disk", "promote"],
  ),
  mutant(
    "what could not be remembered is not tried again",
    EFFECTS,
    "return this.#rememberLater(memory, turn);",
    "if (memory.epoch < 0) return this.#rememberLater(memory, turn);",
    ["disk", "promote"],
  ),
  mutant(
    "ha explain says that all is well when nobody is ACTIVE",
    "src/domain/ha/next_command.ts",
    "return nobodyServes(situation);",
    'return here("ha status", "nothing needs doing");',
  ),
  mutant(
    "everything received is acknowledged as applied",
    APPLIER,
    "return this.#lowest(() => true) - 1;",
    "return this.#received + 0 * this.#lowest(() => true);",
  ),
  mutant(
    "a later state that waits makes an earlier one count as applied",
    APPLIER,
    "work.first = work.waitingSince ?? work.waiting.sequence;",
    "work.first = work.waiting.sequence;",
  ),
  mutant(
    "two writes of one key are under way at once",
    APPLIER,
    "if (!work.inFlight) this.#ready.add(change.key);",
    "this.#ready.add(change.key);",
  ),
  mutant(
    "a failed write is tried again over a newer state",
    APPLIER,
    "    if (work.waiting) {\n      if (!work.held) this.#ready.add(change.key);\n      return;\n    }\n    const attempts",
    "    const attempts",
  ),
  mutant(
    "a position of another index is resumed",
    "src/domain/changes/cursor.ts",
    "return position.session === index.session && position.revision >= index.floor &&",
    "return position.revision > 0 && position.revision >= index.floor &&",
  ),
  mutant(
    "a deletion leaves no tombstone",
    "src/domain/changes/index.ts",
    "if (!before || before.deleted) return false;",
    "if (!before || before.deleted || before.revision > 0) return false;",
  ),
  mutant(
    "what vanished while a watch was lost is not noticed",
    "src/principal/core/feed.ts",
    'for (const key of this.#unlisted ?? []) this.#delete(key, "", true, "");',
    "",
  ),
  mutant(
    "changes made while digests are compared do not travel",
    LEADER,
    "  #begin(): void {",
    "  #begin(): void {\n    this.#cursor = new Cursor(this.index, this.index.head);",
  ),
  mutant(
    "a snapshot counts as applied before it is",
    FOLLOWER,
    "if (this.applier.undecided > 0 || this.applier.processed < (this.#snapshotEndAt ?? 0)) return false;",
    "",
    ["disk", "promote"],
  ),
  mutant(
    "what is sent again for a repair is sent as deleted",
    LEADER,
    "changes.push(this.#now(key));\n      const revision",
    "changes.push({ key });\n      const revision",
    ["repair", "write"],
  ),
  mutant(
    "the age of what a replica holds is counted from when it heard, not from when it was true",
    FOLLOWER,
    "if (saidAtMs > 0) this.#beats.push({ revision, saidAtMs });",
    "if (saidAtMs > 0) this.#beats.push({ revision: 0 * revision, saidAtMs });",
    ["disk", "promote", "pause"],
  ),
  mutant(
    "nothing goes into the loss manifest",
    LOSS,
    "if (!memory.formerActive || this.#handled.has(key)) return undefined;",
    "if (memory.epoch >= 0 || this.#handled.has(key)) return undefined;",
  ),
  mutant(
    "an object is overwritten before it is in the loss manifest",
    LOSS,
    "    await this.parts.kept.keep({",
    "    void this.parts.kept.keep({",
  ),
  mutant(
    "what was compared later than the digests counts as proved",
    FOLLOW,
    "if (applier.heldCount === 0) losses.proved(this.#comparedAt);",
    "if (this.#comparedAt >= 0) losses.proved(this.followership.index.head);",
    ["disk", "promote"],
  ),
  {
    name: "a switchover waits for nothing and proves nothing",
    edits: [
      {
        file: SWITCHOVER,
        from: "await this.#applied(revision);",
        to: "if (revision < 0) await this.#applied(revision);",
      },
      { file: SWITCHOVER, from: "if (theirs !== digest) {", to: "if (theirs === undefined) {" },
      {
        file: SWITCHOVER,
        from: "await until(() => digest() === expected, {",
        to: "await until(() => true, {",
      },
      {
        file: TRANSITIONS,
        from: 'effects: (m) => [{ type: "stopServing", drain: true }, { type: "follow" }, ...answer(m)],',
        to: 'effects: (m) => [{ type: "stopServing", drain: false }, { type: "follow" }, ...answer(m)],',
      },
    ],
    about: ["switchover", "disk", "write"],
  },
  {
    name: "a switchover's old active gives its word before it has given up",
    edits: [
      {
        file: SWITCHOVER,
        from: 'await ctx.command("demote", false, this.#who, "switchover");',
        to: 'void ctx.command("demote", false, this.#who, "switchover").catch(() => {});',
      },
      {
        file: TRANSITIONS,
        from: '(_, i) => i.type === "takeOver" && i.peer.state === "active"',
        to: '(_, i) => i.type === "takeOver" && i.peer.state === "recovering"',
      },
    ],
    about: ["switchover", "disk"],
  },
  mutant(
    "agents are let in before the role is durable",
    FLEET,
    "this.#ready = Promise.all([durable, this.#routing.open()]);",
    "this.#ready = Promise.all([this.#routing.open()]);",
    ["switchover", "disk"],
  ),
  mutant(
    "agents stay connected to one that steps down",
    EFFECTS,
    "const written = this.parts.fleet.close(why);",
    "const written = Promise.resolve();",
  ),
  mutant(
    "an agent's event whose write failed is acknowledged",
    "src/principal/active/inbox.ts",
    'if (status === "failure") return;',
    "",
  ),
  mutant(
    "what an agent has is taken for known although it was elsewhere",
    "src/domain/agents/session.ts",
    'this.#keep(key, { ...last, state: last.state === DELETING ? DELETING : "", source: undefined });\n      this.touch(key);',
    "this.#keep(key, last);",
    ["astray", "agent writes", "promote", "refuse"],
  ),
  mutant(
    "an agent's late deletion deletes what was made anew since",
    "src/principal/active/agent_writes.ts",
    'if (another && id.mode === "autonomous") return;',
    "",
    ["agent writes", "pause"],
  ),
  {
    name: "every agent is sent every Application",
    edits: [
      {
        file: "src/domain/agents/view.ts",
        from: 'return agentOf(object, scope) === agent && ["", agent].includes(ownerOf(object))',
        to: 'return agentOf(object, scope) !== ""',
      },
      {
        file: "src/domain/agents/router.ts",
        from: "return { key, agents: new Set([...before, ...after]) };",
        to: 'return { key, agents: before.size + after.size > 0 ? "all" : before };',
      },
    ],
  },
  mutant(
    "agents stay frozen when a switchover is undone",
    SWITCHOVER,
    "      ctx.fleet().thaw();\n      return unchanged(error);",
    "      return unchanged(error);",
    ["switchover", "swallow", "slow"],
  ),
  ...VALUE_MUTANTS,
  mutant(
    "the epoch is not told to the peer",
    "src/principal/core/standing.ts",
    "const { state, sinceMs, coverage, memory: { epoch, lineage } } = model;",
    "const { state, sinceMs, coverage, memory: { lineage } } = model, epoch = 0;",
  ),
  mutant(
    "ACTIVE is claimed before it is durable",
    EFFECTS,
    "const error = await this.#write(memory);\n    const problem",
    'void this.#write(memory);\n    const error = "";\n    const problem',
    ["disk", "kill", "promote"],
  ),
  mutant(
    "replication goes on writing after a promotion",
    EFFECTS,
    "await this.parts.follower.stop();",
    "void this.parts.follower.stop();",
    ["disk", "promote"],
  ),
  ...COPY_MUTANTS,
  ...EMPTINESS_MUTANTS,
  ...DELETION_MUTANTS,
  ...LOCK_MUTANTS,
  ...RIGHTS_MUTANTS,
  ...SCOPE_MUTANTS,
];
