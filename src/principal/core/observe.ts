/** What of the state machine's steps is told: the log, the counters, the last events, and the durable history. */
import type { Model } from "../../domain/ha/state.ts";
import type { Context, HistoryEntry } from "./context.ts";
import type { History } from "./history.ts";

const HISTORY_KEPT = 100;

/** Keeps who asked for what, before anything comes of it. */
export function noteCommand(ctx: Context, chain: History, what: string, who: string): void {
  const { state, memory } = ctx.model();
  chain.add({ atMs: Date.now(), epoch: memory.epoch, state, what, who, text: `asked for: ha ${what}` });
}

/** One step. */
export interface Observed {
  before: Model;
  after: Model;
  name: string;
  refused: boolean;
}

/** Tells of a step that changed something, or was refused. */
export function observe(ctx: Context, chain: History, { before, after, name, refused }: Observed): void {
  const { counters, log, history } = ctx;
  log.debug("step", { row: name });
  if (refused) {
    log.warn("command refused", { row: name, state: after.state });
    return;
  }
  if (after.state !== before.state) {
    const { state, memory: { epoch }, explanation: text } = after;
    // A replica that loses its peer and finds it again writes nothing.
    if (state === "active" || before.state === "active") {
      chain.add({ atMs: Date.now(), epoch, state, what: name, who: "", text });
    }
    counters.increment("transitions", { from_state: before.state, to_state: after.state });
    if (name === "promoted" || name === "taken over") counters.increment("failovers");
    if (name === "demoted") counters.increment("failbacks");
    log.info(`${before.state.toUpperCase()} -> ${after.state.toUpperCase()}: ${after.explanation}`);
  } else if (after.explanation !== before.explanation) {
    log.info(`${after.state.toUpperCase()}: ${after.explanation}`);
  }
  if (after.state === before.state && after.explanation === before.explanation) return;
  remember(history, `${after.state.toUpperCase()}: ${after.explanation}`);
}

/** Adds to the last events that `ha watch` shows. */
export function remember(history: HistoryEntry[], text: string): void {
  history.push({ atMs: Date.now(), text });
  if (history.length > HISTORY_KEPT) history.shift();
}
