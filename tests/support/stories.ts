/** Stories of a principal, told in inputs. */
import { assert } from "@std/assert";
import { step } from "../../src/domain/ha/machine.ts";
import { type Effect, initialModel, type Input, type Model } from "../../src/domain/ha/state.ts";

/** Plays inputs one after the other; returns the states passed and all effects. */
export function play(start: Model, ...all: Input[]): { states: string[]; effects: Effect[]; model: Model } {
  const states: string[] = [];
  const effects: Effect[] = [];
  let now = start;
  for (const input of all) {
    const result = step(now, input, 1);
    assert(result.row, `no row takes ${JSON.stringify(input)} in ${now.state}`);
    now = result.model;
    effects.push(...result.effects);
    if (states.at(-1) !== now.state) states.push(now.state);
  }
  return { states, effects, model: now };
}

/** A principal that has just been made. */
export const fresh = (preferredRole: Model["preferredRole"], peerAddress = "b.example:8443") =>
  initialModel({ preferredRole, peerAddress, uid: "m", coverage: "nothing" }, 0);
