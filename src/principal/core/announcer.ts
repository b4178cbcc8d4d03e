/**
 * Tells a noticeboard of transitions and of what needs a person, and shows whether this side is ACTIVE and ready for a failover. A concern
 * that comes, changes or goes is told at once, and then not again for a while: a flapping one makes no flood.
 */
import { monotonicMs } from "../../base/clock.ts";
import { type ConcernName, CONCERNS, type Concerns, countOf, type Noted } from "../../domain/ha/concerns.ts";
import type { Check } from "../../domain/ha/preflight.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { Noticeboard, ShownCondition } from "../ports/noticeboard.ts";

/** Concerns are looked at this often, and what is shown is brought up to date. */
const LOOK_EVERY_MS = 10_000;
/** One concern is told at most so often. */
const AGAIN_MS = 300_000;
const NAMES = Object.keys(CONCERNS) as ConcernName[];

/** The parts of a principal that are announced. */
export interface AnnouncedParts {
  model(): Model;
  onModel(notify: () => void): () => void;
  concerns(): Concerns;
  readonly readiness: { readonly last: { readonly checks: readonly Check[] } | undefined };
}

export class Announcer {
  readonly #told = new Map<ConcernName, { count: number; atMs: number }>();
  #state: Model["state"] | undefined;

  constructor(private readonly parts: AnnouncedParts, private readonly board: Noticeboard) {}

  /** Announces from now on, until what it returns is called. */
  watch(): () => void {
    this.#stepped();
    const unlisten = this.parts.onModel(() => this.#stepped());
    const timer = setInterval(() => this.look(monotonicMs()), LOOK_EVERY_MS);
    Deno.unrefTimer(timer as unknown as number);
    return () => {
      clearInterval(timer);
      unlisten();
    };
  }

  /** Looks at the concerns, and brings what is shown up to date. */
  look(nowMs: number): void {
    const concerns = this.parts.concerns();
    for (const name of NAMES) this.#concern(name, concerns[name], nowMs);
    this.board.show(this.#conditions());
  }

  #stepped(): void {
    const { state, explanation } = this.parts.model();
    if (state === this.#state) return;
    const from = this.#state ? `${this.#state.toUpperCase()} -> ` : "";
    this.#state = state;
    this.board.tell({
      warning: state === "disconnected",
      reason: capitalized(state),
      message: `${from}${state.toUpperCase()}: ${explanation}`,
    });
    this.board.show(this.#conditions());
  }

  #concern(name: ConcernName, noted: Noted | undefined, nowMs: number): void {
    const count = countOf({ [name]: noted }, name);
    const before = this.#told.get(name);
    if (count === (before?.count ?? 0) || nowMs - (before?.atMs ?? -Infinity) < AGAIN_MS) return;
    this.#told.set(name, { count, atMs: nowMs });
    const { label, sentence, next } = CONCERNS[name];
    const named = noted?.examples.length ? ` (${noted.examples.join("; ")})` : "";
    const message = count === 0
      ? `${label}: none any more`
      : `${sentence(count)}${named}${next && `; ${next}`}`;
    this.board.tell({ warning: count > 0 && next !== "", reason: capitalized(name), message });
  }

  #conditions(): ShownCondition[] {
    const { state, explanation, memory: { epoch } } = this.parts.model();
    return [
      {
        type: "HAActive",
        status: state === "active" ? "True" : "False",
        reason: capitalized(state),
        message: `epoch ${epoch}: ${explanation}`,
      },
      readyOf(this.parts.readiness.last?.checks),
    ];
  }
}

/** Ready for a failover, as the last preflight found. */
function readyOf(checks: readonly Check[] | undefined): ShownCondition {
  const type = "HAReady";
  if (!checks) return { type, status: "Unknown", reason: "NotLooked", message: "no preflight has run yet" };
  const failing = checks.filter(({ ok }) => !ok).map(({ name }) => name);
  if (failing.length === 0) {
    return { type, status: "True", reason: "PreflightPassed", message: "every check of ha preflight passes" };
  }
  const message = `ha preflight: ${failing.join(", ")}`;
  return { type, status: "False", reason: "PreflightFailed", message };
}

function capitalized(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}
