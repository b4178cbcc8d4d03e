/** `step`: the only way in which a principal's state changes. Pure. */
import type { Effect, Input, Model } from "./state.ts";
import { type Row, TABLE } from "./transitions.ts";

/** The result of a step. */
export interface Step {
  model: Model;
  effects: Effect[];
  /** The row that matched; undefined: none did, nothing changed, and that is a fault: the caller must report it. */
  row: Row | undefined;
}

/** The first row of the table that matches. */
export function rowFor(model: Model, input: Input): Row | undefined {
  return TABLE.find((row) =>
    row.on === input.type && row.from.includes(model.state) &&
    (row.when ?? []).every((guard) => guard.holds(model, input))
  );
}

/** The next model and the effects of one input, at `nowMs`. */
export function step(model: Model, input: Input, nowMs: number): Step {
  const row = rowFor(model, input);
  if (!row) return { model, effects: [], row };
  const sentence = row.says(model, input);
  if (row.refuse) {
    const id = "id" in input ? input.id : 0;
    return { model, effects: [{ type: "reply", id, error: sentence }], row };
  }
  const next: Model = { ...model, ...row.change?.(model, input), explanation: sentence };
  if (row.to && row.to !== model.state) Object.assign(next, { state: row.to, sinceMs: nowMs });
  return { model: next, effects: row.effects?.(model, input, next) ?? [], row };
}
