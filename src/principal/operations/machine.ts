/** The state machine, as an operator's procedure uses it. */
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import { type Command, initialModel, type Model, type Procedure } from "../../domain/ha/state.ts";
import { Driver, type EffectRunner } from "../core/driver.ts";
import { coverageOf } from "../../domain/resources/coverage.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import type { History } from "../core/history.ts";
import { type Asked, CommandsUnderWay, newRequest } from "../core/commands_under_way.ts";
import type { Counting } from "../core/counters.ts";
import { noteCommand, noteOutcome, observe, observeUnhandled, type RecentEvent } from "../core/observe.ts";
import type { OperationTraces } from "../core/operation_traces.ts";

export interface Machine {
  model(): Model;
  /** Calls a listener after every change of the model until the returned function is called. */
  onModel(notify: () => void): () => void;
  /** Begins a procedure, against which `problem` may stand; resolves with how to end it. @throws Refusal */
  begin(procedure: Procedure, problem?: string): Promise<() => void>;
  /** Keeps in the durable history that an operator asked for something, and tells the log. */
  note(what: string, who: string, asked?: Asked): void;
  /** Keeps there what came of it, where no transition tells. */
  outcome(what: string, who: string, text: string, asked?: Asked): void;
  readonly underWay: CommandsUnderWay;
}

/** The parts that tell of the machine's steps. */
export interface DrivenParts {
  readonly settings: Pick<Model, "preferredRole" | "peerAddress"> & { readonly scope: Scope };
  readonly uid: string;
  readonly log: Log;
  /** The recent events. */
  readonly history: RecentEvent[];
  readonly chain: History;
  readonly counters: Counting;
  readonly operations: OperationTraces;
}

/** The driver of the state machine, and the machine as procedures use it. */
export function drivenMachine(parts: DrivenParts, run: EffectRunner): { driver: Driver; machine: Machine } {
  const { settings: { preferredRole, peerAddress, scope }, uid, operations, chain } = parts;
  const asked = new CommandsUnderWay();
  const told = { ...parts, asked };
  const own = { preferredRole, peerAddress, uid, coverage: coverageOf(scope) };
  const driver = new Driver(initialModel(own, Date.now()), run, {
    stepped: (before, after, name, refused) => {
      operations.stepped(`${before.state} -> ${after.state}: ${name}`);
      observe(told, chain, { before, after, name, refused });
    },
    unhandled: (model, input) => observeUnhandled(told, model, input),
  });
  return { driver, machine: machineOf(driver, chain, asked, parts.log) };
}

function machineOf(driver: Driver, chain: History, underWay: CommandsUnderWay, log: Log): Machine {
  const told = (command: string, operator: string, asked?: Asked) => ({
    command,
    operator,
    request: asked?.request ?? newRequest(),
  });
  return {
    model: () => driver.model,
    onModel: (notify) => driver.onChange(notify),
    begin: (procedure, problem) => driver.begin(procedure, problem),
    note: (what, who, asked) => {
      noteCommand(driver.model, chain, what, who);
      log.info(`asked for: ha ${what}`, { event: "command", ...told(what, who, asked) });
    },
    outcome: (what, who, text, asked) => {
      noteOutcome(driver.model, chain, { what, who, text });
      log.info(`outcome of ha ${what}: ${text}`, { event: "command_outcome", ...told(what, who, asked) });
    },
    underWay,
  };
}

/** Keeps in the history that an operator asked for something, and how it ended; `told`: a success, empty where a transition tells. */
export async function withOutcome<T>(
  { note, outcome, underWay }: Pick<Machine, "note" | "outcome" | "underWay">,
  what: string,
  who: string,
  run: () => Promise<T>,
  told: (result: T) => string,
): Promise<T> {
  const asked = underWay.begin(who);
  note(what, who, asked);
  try {
    const result = await run();
    if (told(result) !== "") outcome(what, who, told(result), asked);
    return result;
  } catch (error) {
    outcome(what, who, `refused: ${reasonOf(error)}`, asked);
    throw error;
  } finally {
    underWay.ended(asked);
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
