/** The state machine, as an operator's procedure uses it. */
import { reasonOf } from "../../base/reason.ts";
import type { Command, Model, Procedure } from "../../domain/ha/state.ts";
import type { Driver } from "../core/driver.ts";
import type { History } from "../core/history.ts";
import { noteCommand, noteOutcome } from "../core/observe.ts";
import type { OperationTraces } from "../core/operation_traces.ts";

export interface Machine {
  model(): Model;
  /** Calls a listener after every change of the model until the returned function is called. */
  onModel(notify: () => void): () => void;
  /** Begins a procedure, against which `problem` may stand; resolves with how to end it. @throws Refusal */
  begin(procedure: Procedure, problem?: string): Promise<() => void>;
  /** Keeps in the durable history that an operator asked for something. */
  note(what: string, who: string): void;
  /** Keeps there what came of it, where no transition tells. */
  outcome(what: string, who: string, text: string): void;
}

/** The state machine that a driver runs. */
export function machineOf(driver: Driver, chain: History): Machine {
  return {
    model: () => driver.model,
    onModel: (notify) => driver.onChange(notify),
    begin: (procedure, problem) => driver.begin(procedure, problem),
    note: (what, who) => noteCommand(driver.model, chain, what, who),
    outcome: (what, who, text) => noteOutcome(driver.model, chain, { what, who, text }),
  };
}

/** Keeps in the history that an operator asked for something, and how it ended; `told`: a success, empty where a transition tells. */
export async function withOutcome<T>(
  { note, outcome }: Pick<Machine, "note" | "outcome">,
  what: string,
  who: string,
  run: () => Promise<T>,
  told: (result: T) => string,
): Promise<T> {
  note(what, who);
  try {
    const result = await run();
    if (told(result) !== "") outcome(what, who, told(result));
    return result;
  } catch (error) {
    outcome(what, who, `refused: ${reasonOf(error)}`);
    throw error;
  }
}

/** The commands of operators, and of a switchover on their behalf. */
export function commandsOf(
  driver: Driver,
  machine: Machine,
  operations: OperationTraces,
  followers: () => number,
) {
  return {
    command: async (
      kind: "promote" | "demote",
      force: boolean,
      who: string,
      by?: "switchover",
    ): Promise<Model> => {
      const own = by ? { by } : {};
      const alone = kind === "demote" && followers() === 0 ? { alone: true } : {};
      const command = () => driver.command({ type: kind, force, ...alone, ...own });
      const act = () => operations.act(`ha.${kind}`, { "ha.force": force, "ha.who": who }, command);
      return await withOutcome(machine, `${kind}${force ? " --force" : ""}`, who, act, () => "");
    },
    handover: (word: Extract<Command, { type: "prepare" | "takeOver" }>) =>
      operations.act(`ha.${word.type}`, {}, () => driver.command(word)),
  };
}
