/** Tells of the state machine's steps: in the log, the counters, the recent events and the durable history. */
import type { Fields, Log } from "../../base/log.ts";
import type { Input, Model } from "../../domain/ha/state.ts";
import type { Counting } from "./counters.ts";
import type { History } from "./history.ts";

const HISTORY_KEPT = 100;

/** One of the last events, which `ha watch` shows. */
export interface RecentEvent {
  atMs: number;
  text: string;
}

/** Where steps are told. */
interface Told {
  readonly counters: Counting;
  readonly log: Log;
  /** The recent events. */
  readonly history: RecentEvent[];
  /** The operator and the request of what is under way. */
  readonly asked: { readonly fields: Fields };
}

/** Keeps who asked for what, before anything comes of it. */
export function noteCommand({ state, memory }: Model, chain: History, what: string, who: string): void {
  chain.add({ atMs: Date.now(), epoch: memory.epoch, state, what, who, text: `asked for: ha ${what}` });
}

/** Keeps what came of it where no transition tells. */
export function noteOutcome(
  { state, memory }: Model,
  chain: History,
  { what, who, text }: { what: string; who: string; text: string },
): void {
  chain.add({ atMs: Date.now(), epoch: memory.epoch, state, what: `outcome of ${what}`, who, text });
}

/** One step. */
export interface Observed {
  before: Model;
  after: Model;
  name: string;
  refused: boolean;
}

/** Tells of a step that changed something, or was refused. */
export function observe(
  { counters, log, history, asked }: Told,
  chain: History,
  { before, after, name, refused }: Observed,
): void {
  log.debug("step", { row: name });
  if (refused) {
    log.warn("command refused", { event: "command_refused", ...asked.fields, row: name, state: after.state });
    return;
  }
  if (after.state !== before.state) {
    const { state, memory: { epoch }, explanation: text } = after;
    // A replica that loses its peer and finds it again writes nothing.
    const told = { atMs: Date.now(), epoch, state, what: name, who: "" };
    if (state === "active" || before.state === "active") chain.add({ ...told, text });
    else if (before.memory.role === "active" && after.memory.role === "replica") {
      // The epoch is the peer's, or the one in which this side served.
      chain.add({ ...told, text: `lost ACTIVE while this process was not running: ${text}` });
    }
    counters.increment("transitions", { from_state: before.state, to_state: after.state });
    if (name === "promoted" || name === "taken over") counters.increment("failovers");
    if (name === "demoted") counters.increment("failbacks");
    const from = { from: before.state, to: state, epoch };
    log.info(`${before.state.toUpperCase()} -> ${state.toUpperCase()}: ${text}`, {
      event: "transition",
      ...from,
      ...asked.fields,
    });
  } else if (after.explanation !== before.explanation) {
    log.info(`${after.state.toUpperCase()}: ${after.explanation}`, { event: "explanation", ...asked.fields });
  }
  if (after.state === before.state && after.explanation === before.explanation) return;
  remember(history, `${after.state.toUpperCase()}: ${after.explanation}`);
}

/** The log line of an input that no row of the table takes: a fault of this program. */
export const UNHANDLED = "an input that no row of the state machine takes; nothing came of it";

/** Tells of such an input. */
export function observeUnhandled({ log }: { log: Log }, { state, operation }: Model, { type }: Input): void {
  log.error(UNHANDLED, {
    input: type,
    state,
    operation: operation ? `${operation.kind} ${operation.step}` : "",
  });
}

/** Adds to the recent events. */
export function remember(history: RecentEvent[], text: string): void {
  history.push({ atMs: Date.now(), text });
  if (history.length > HISTORY_KEPT) history.shift();
}
