/** The state machine, as an operator's procedure uses it. */
import type { Command, Model, Procedure } from "../../domain/ha/state.ts";
import type { Driver } from "../core/driver.ts";
import type { History } from "../core/history.ts";
import { noteCommand, noteOutcome } from "../core/observe.ts";

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

/** The commands of operators, and of a switchover on their behalf. */
export function commandsOf(driver: Driver, { note }: Machine) {
  return {
    command: (kind: "promote" | "demote", force: boolean, who: string, by?: "switchover"): Promise<Model> => {
      note(`${kind}${force ? " --force" : ""}`, who);
      const own = by ? { by } : {};
      return driver.command(kind === "promote" ? { type: kind, force, ...own } : { type: kind, ...own });
    },
    handover: (word: Extract<Command, { type: "prepare" | "takeOver" }>) => driver.command(word),
  };
}
