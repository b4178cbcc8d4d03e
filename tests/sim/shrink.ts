/** A story that fails, with as little happening in it as can be found to make it fail in the same way. */
import { type Outcome, play, type StoryOptions } from "./story.ts";

const MAX_RUNS = 150;

/** Takes actions out, in ever smaller parts (ddmin, Zeller and Hildebrandt 2002), while the same invariant breaks. */
export async function shrink(
  failed: Outcome,
  options: Pick<StoryOptions, "steps">,
): Promise<Outcome> {
  let best = failed;
  let runs = 0;
  for (let part = Math.ceil(best.actions.length / 2); part >= 1 && runs < MAX_RUNS;) {
    let smaller = false;
    for (let from = 0; from < best.actions.length && runs < MAX_RUNS; from += part) {
      const actions = best.actions.filter((_, i) => i < from || i >= from + part);
      const outcome = await play({ ...options, seed: failed.seed, actions });
      runs++;
      if (outcome.violation?.invariant !== failed.violation?.invariant) continue;
      best = { ...outcome, actions };
      smaller = true;
      from -= part;
    }
    if (part === 1 && !smaller) break;
    part = Math.max(1, Math.floor(part / 2));
    if (part === 1 && smaller && best.actions.length <= 1) break;
  }
  return best;
}
