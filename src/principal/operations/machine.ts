/** The state machine, as an operator's procedure uses it. */
import type { Model, Procedure } from "../../domain/ha/state.ts";

export interface Machine {
  model(): Model;
  /** Calls a listener after every change of the model until the returned function is called. */
  onModel(notify: () => void): () => void;
  /** Begins a procedure, against which `problem` may stand; resolves with how to end it. @throws Refusal */
  begin(procedure: Procedure, problem?: string): Promise<() => void>;
  /** Keeps in the durable history that an operator asked for something. */
  note(what: string, who: string): void;
}
