/**
 * The deletions of this side's copy. The guard outlives streams: what is held stays held when the leader is dialled anew, and goes only
 * by an operator's word or because the leader has the object again. A new leader, also the same one after a restart, begins the window.
 */
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { DeletionGuard, type GuardPolicy, type HeldDeletion } from "../../domain/ha/deletion_guard.ts";
import type { Applier, DeletionGate, IncomingChange } from "../../domain/replication/applier.ts";
import type { Key } from "../../domain/resources/keys.ts";

/** Held keys that one line of the log names. */
const NAMED = 5;
const REASON = "one of many deletions at once, which wait for an operator; see: ha deletions";

/** The part of the principal that a replica's deletions need. */
export interface ReplicaDeletionsParts {
  readonly settings: { readonly deletionGuard: GuardPolicy };
  readonly index: Pick<ChangeIndex, "present" | "size">;
  /** Writes that the index does not show yet. */
  readonly unconfirmed: { mayHave(key: Key): boolean };
  readonly log: Log;
}

/** The stream whose deletions are decided about. */
interface Stream {
  readonly applier: Applier;
  /** Some changes can be written now. */
  resume(): void;
}

export class ReplicaDeletions implements DeletionGate {
  readonly #guard: DeletionGuard;
  #leader = "";
  #stream: Stream | undefined;

  constructor(private readonly parts: ReplicaDeletionsParts) {
    this.#guard = new DeletionGuard(parts.settings.deletionGuard, monotonicMs());
  }

  /** The stream was answered. @param leader names the leader's process and its epoch @param resumed nothing is compared */
  welcomed(leader: string, resumed: boolean): void {
    if (leader !== this.#leader) this.#guard.transition(monotonicMs());
    this.#leader = leader;
    if (!resumed) this.#guard.comparing();
  }

  /** From now on decides about the deletions of this stream. */
  attach(stream: Stream): void {
    this.#stream = stream;
  }

  /** The stream has ended. */
  detach(): void {
    this.#stream = undefined;
  }

  /** This side follows nobody any more: what it held back stays. */
  clear(): void {
    const { heldCount: held } = this.#guard;
    if (held > 0) this.parts.log.warn("deletions that waited for an operator are not carried out", { held });
    this.#guard.prune(() => false);
    this.#leader = "";
  }

  /** A foreign object is not deleted, but kept: nothing is to be decided. */
  mayDelete({ key, concluded = false, foreign }: IncomingChange, writing: boolean): boolean {
    const { index, unconfirmed } = this.parts;
    if (foreign) return true;
    if (!writing && !index.present(key) && !unconfirmed.mayHave(key)) return true;
    return this.#guard.ask(key, concluded ? "absence" : "tombstone", monotonicMs());
  }

  forget(key: Key): void {
    this.#guard.forget(key);
  }

  /** The comparison has brought all of its changes: its deletions are judged together. */
  compared(): void {
    this.#guard.compared();
    this.#judge(monotonicMs());
  }

  /** Call now and then: decides about deletions that were gathered. @param comparing more of them are still to come */
  tick(comparing: boolean): void {
    if (this.#guard.size === 0) return;
    const now = monotonicMs();
    if (!comparing && this.#guard.due(now)) this.#judge(now);
    else this.#keepHeld();
  }

  /** The deletions that wait for an operator. */
  get held(): HeldDeletion[] {
    return this.#guard.held();
  }

  /** An operator lets these go. */
  release(keys: readonly Key[]): void {
    this.#let(this.#guard.release(keys));
    this.#stream?.resume();
  }

  #judge(nowMs: number): void {
    const { index, log } = this.parts;
    const { released, held } = this.#guard.judge(index.size, nowMs);
    this.#let(released);
    this.#keepHeld();
    if (held.length === 0) return;
    log.warn("deletions in this copy wait for an operator; see: ha deletions", {
      event: "deletions_wait",
      held: held.length,
      has: index.size,
      keys: held.slice(0, NAMED).join(", "),
    });
  }

  /** Deletions that an earlier stream brought, and this one again, stay held. */
  #keepHeld(): void {
    const { applier } = this.#stream ?? {};
    if (!applier || applier.undecided === 0) return;
    for (const { key } of this.#guard.held()) applier.decide(key, REASON);
  }

  #let(keys: readonly Key[]): void {
    for (const key of keys) this.#stream?.applier.decide(key, undefined);
  }
}
