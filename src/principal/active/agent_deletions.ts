/**
 * The deletions of one agent: the guard decides which of them the agent hears of now. What is held waits for an operator; every other
 * event of the agent goes on. The next ACTIVE, or the next process, finds out by the agent's own list what is still to be deleted.
 */
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { AgentSession } from "../../domain/agents/session.ts";
import { DeletionGuard, type GuardPolicy, type HeldDeletion } from "../../domain/ha/deletion_guard.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { type LeavingOut, LeftOut, type LeftOutParts } from "./left_out.ts";

/** Held keys that one line of the log names. */
const NAMED = 5;

/** The part of the principal that agents' deletions need. */
export interface AgentDeletionsParts extends LeftOutParts {
  readonly settings: LeftOutParts["settings"] & { readonly deletionGuard: GuardPolicy };
  readonly log: Log;
  /** When this principal began to serve, on the monotonic clock. */
  servingSinceMs(): number;
  /** Whether this principal serves without remembering anything. */
  unproven(): boolean;
  /** Whether a key that is not there for the agent was seen to go. */
  wasSeenToGo(key: Key): boolean;
  /** Whether the state of a key in the store cannot be used: its absence says nothing. */
  isWithheld(key: Key): boolean;
  /** The key whose absence is the reason why an agent is not to have another: its own, or that of a repository's project. */
  causeOf(key: Key): Key;
}

/** The agent in question. */
interface DeletingAgent {
  readonly id: { readonly name: string };
  readonly session: Pick<AgentSession, "holding" | "deletes" | "touch">;
  /** There may be something to send. */
  schedule(): void;
}

export class AgentDeletions {
  readonly #guard: DeletionGuard;
  readonly #leftOut: LeftOut;
  /** Of what each flag leaves to the agent one key was named. */
  readonly #named = new Set<LeavingOut>();

  constructor(private readonly agent: DeletingAgent, private readonly parts: AgentDeletionsParts) {
    const { settings, servingSinceMs, unproven } = parts;
    this.#guard = new DeletionGuard(settings.deletionGuard, servingSinceMs(), unproven);
    this.#leftOut = new LeftOut(parts, (key, by) => by ? this.#leave(key, by) : this.#resume([key]));
  }

  /** Whether the agent may be told now to delete this. */
  mayDelete(key: Key): boolean {
    const { parts } = this;
    const cause = parts.causeOf(key);
    if (parts.isWithheld(cause)) return false;
    const seenToGo = parts.wasSeenToGo(cause);
    const by = this.#leftOut.by(key, cause, seenToGo);
    if (by === undefined) return this.#guard.ask(key, seenToGo ? "tombstone" : "absence", monotonicMs());
    if (by !== "asking") this.#leave(key, by);
    return false;
  }

  #leave(key: Key, by: LeavingOut): void {
    const { parts: { log }, agent: { id } } = this;
    if (this.#named.has(by)) return;
    this.#named.add(by);
    log.warn(`an agent has resources outside ${by}; it keeps them`, { agent: id.name, key });
  }

  /** Call now and then: decides about deletions that were gathered. */
  tick(nowMs: number): void {
    const guard = this.#guard;
    const { agent: { session, id }, parts: { log } } = this;
    const deletes = (key: Key) => session.deletes(key);
    this.#leftOut.tick(nowMs, deletes);
    if (guard.size === 0) return;
    guard.prune(deletes);
    if (!guard.due(nowMs)) return;
    const has = session.holding;
    const { released, held } = guard.judge(has, nowMs);
    this.#resume(released);
    if (held.length === 0) return;
    log.warn("deletions at an agent wait for an operator; see: ha deletions", {
      event: "deletions_wait",
      agent: id.name,
      held: held.length,
      has,
      keys: held.slice(0, NAMED).join(", "),
    });
  }

  /** The deletions that wait for an operator. */
  get held(): HeldDeletion[] {
    return this.#guard.held();
  }

  /** An operator lets these go; those that were held. */
  release(keys: Iterable<Key>): Key[] {
    const released = this.#guard.release(keys);
    this.#resume(released);
    return released;
  }

  #resume(keys: readonly Key[]): void {
    for (const key of keys) this.agent.session.touch(key);
    if (keys.length > 0) this.agent.schedule();
  }
}
