/** The phases of one switchover: told to whoever asked for it, timed for its receipt, and traced. */
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Phase, Progress } from "../../domain/ha/switchover.ts";
import type { Tracing } from "../ports/tracing.ts";

/** Hears how far a switchover is. */
export type Tell = (progress: Progress) => void;

export class Phases {
  readonly startedAt = monotonicMs();
  /** Those that are over. */
  readonly done: { phase: Phase; ms: number }[] = [];
  #at = monotonicMs();
  #atMs = Date.now();
  #said: Phase = "preflight";

  constructor(private readonly log: Log, private readonly tell: Tell, private readonly tracing: Tracing) {}

  say(phase: Phase, text: string): void {
    this.#said = phase;
    this.log.info(`switchover: ${phase}: ${text}`, { event: "switchover_phase", phase });
    this.tell({ phase, text, atMs: Math.round(monotonicMs() - this.startedAt) });
  }

  finish(phase: Phase): void {
    const now = monotonicMs();
    this.done.push({ phase, ms: Math.round(now - this.#at) });
    this.#trace(phase);
    this.#at = now;
  }

  /** The switchover ended in the phase that was told last. */
  failed(error: unknown): void {
    this.#trace(this.#said, reasonOf(error));
  }

  #trace(phase: Phase, problem?: string): void {
    const { tracing } = this;
    if (!tracing.on) return;
    tracing.begin(`ha.switchover ${phase}`, tracing.current(), { startMs: this.#atMs }).end(problem);
    this.#atMs = Date.now();
  }
}
