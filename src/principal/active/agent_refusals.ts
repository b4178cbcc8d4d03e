/** Claims of agents that are refused: another's resource, another mode. Each is named in the log once, and in status while it is new. */
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { Newest } from "../../base/newest.ts";
import { type Noted, noted } from "../../domain/ha/concerns.ts";

/** The newest of them. */
const MAX_REFUSALS = 1_000;
/** A claim that is not repeated is of interest for this long. */
const SHOWN_MS = 86_400_000;

export class AgentRefusals {
  /** By agent and subject, the oldest first. */
  readonly #refusals = new Newest<string, { reason: string; agent: string; atMs: number }>(MAX_REFUSALS);

  constructor(private readonly log: Log) {}

  /** An agent's claim on `subject`, a key or a word, is refused. */
  refused(agent: string, subject: string, reason: string): void {
    const id = `${agent} ${subject}`;
    const known = this.#refusals.get(id)?.reason === reason;
    this.#refusals.set(id, { agent, reason, atMs: monotonicMs() });
    if (!known) {
      this.log.warn("an agent's claim is refused", { event: "agent_refused", agent, subject, reason });
    }
  }

  /** The agent's claim on `subject` is right by now. */
  settled(agent: string, subject: string): void {
    this.#refusals.delete(`${agent} ${subject}`);
  }

  /** Those of late. */
  get noted(): Noted {
    const sinceMs = monotonicMs() - SHOWN_MS;
    const recent = [...this.#refusals.values()].filter(({ atMs }) => atMs >= sinceMs);
    return noted(recent.map(({ agent, reason }) => `agent "${agent}": ${reason}`));
  }
}
