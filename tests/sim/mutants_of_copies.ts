/** Mistakes about copies that another writer changes and about deletions that are requested. */
import { type Mutant, mutant } from "./mutant.ts";

const FOLLOWER = "src/domain/replication/follower.ts";
const DRIFT_REPAIR = "src/principal/replica/drift_repair.ts";

export const COPY_MUTANTS: readonly Mutant[] = [
  {
    name: "P15 drift is not looked for",
    edits: [
      { file: FOLLOWER, from: "return this.#differed >= DRIFT_HEARTBEATS;", to: "return false;" },
      {
        file: DRIFT_REPAIR,
        from: "this.#look(0);",
        to: "this.#look(2_000_000_000);",
      },
    ],
  },
  mutant(
    "what another writer did on a standby is promoted",
    DRIFT_REPAIR,
    "for (const { key, payload } of drift.copies) wanted.set(key, payload);",
    "for (const { key, payload } of drift.copies.slice(0, 0)) wanted.set(key, payload);",
    ["foreign hand"],
  ),
  mutant(
    "a write whose answer was lost passes for another writer's",
    "src/domain/replication/drift.ts",
    "if (mayBeDone) this.#unanswered.set(key, { payload });",
    "if (mayBeDone) this.#unanswered.delete(key);",
    ["restore", "disk", "promote"],
  ),
  mutant(
    "a promotion does not look at what the watch has not told",
    DRIFT_REPAIR,
    "if (compare) await this.#lookAtAll();",
    "if (compare && this.parts.index.head < 0) await this.#lookAtAll();",
    ["foreign hand", "disk"],
  ),
  mutant(
    "a promotion does not compare its copies again once its epoch is durable",
    "src/domain/ha/transitions.ts",
    "effects: (_, __, next) => record(next, true),",
    "effects: (_, __, next) => record(next),",
    ["foreign hand"],
  ),
  mutant(
    "what is deleted right after a step-down passes for the ACTIVE's own without a proof",
    DRIFT_REPAIR,
    "return !deleted && this.nowMs() - this.#steppedDownAtMs <= SETTLED_MS;",
    "return this.nowMs() - this.#steppedDownAtMs <= SETTLED_MS;",
    ["demote", "foreign hand", "disk"],
  ),
  {
    name: "a deletion that was in flight when its ACTIVE died fires when that side serves again",
    edits: [
      {
        file: "src/domain/changes/index.ts",
        from: "return digest.replace(/./g, (digit) => (15 - Number.parseInt(digit, 16)).toString(16));",
        to: "return digest;",
      },
      {
        file: DRIFT_REPAIR,
        from: "index.terminating().map(({ key, payload }) => [",
        to: "index.terminating().slice(0, 0).map(({ key, payload }) => [",
      },
    ],
    about: ["kill", "promote", "switchover"],
  },
  mutant(
    "a request to delete that an earlier ACTIVE left is carried out",
    "src/domain/agents/view.ts",
    '? "requested"',
    '? "carried out"',
    ["promote", "agent stalls"],
  ),
  mutant(
    "an Application that is being deleted is sent like any other",
    "src/domain/agents/step.ts",
    'if (agent.mode === "managed" && view.deletion !== "") return deletionStep(before, view);',
    'if (agent.mode === "managed" && view.deletion === "requested") return deletionStep(before, view);',
    ["kill", "agent stalls"],
  ),
  mutant(
    "an ACTIVE counts what has arrived at its replica as what is durable there",
    "src/domain/ha/exposure.ts",
    "return this.index.countSince(received) + unwritten;",
    "return this.index.countSince(received) + 0 * unwritten;",
  ),
];
