/**
 * The deletion guard of one consumer: an agent, or this side's own copy. Deletions that are concluded from absence, and all deletions for
 * a while after a transition, are gathered until none follows for a moment and judged together, so that the first of a mass deletion do
 * not slip through one by one. Invariants: what is held goes only by `release` or by coming back; in the steady state a deletion that a
 * watch saw is not delayed.
 */

/** How a deletion is known: a watch saw it, or something is not there and was before. */
export type DeletionCause = "tombstone" | "absence";

/** The modes: after transitions only, also in the steady state, or not at all. */
export const GUARD_MODES = ["transitions", "always", "off"] as const;

export interface GuardPolicy {
  mode: (typeof GUARD_MODES)[number];
  /** Held are more deletions than this … */
  count: number;
  /** … that are also a larger share than this of what the consumer has. */
  percent: number;
  /** How long after a start, promotion, switchover or restore. */
  windowMs: number;
}

/** A deletion that waits for an operator. */
export interface HeldDeletion {
  key: string;
  cause: DeletionCause;
  /** On the clock passed to `ask`. */
  sinceMs: number;
}

/** The decision about a batch. */
export interface Judgement {
  released: string[];
  held: string[];
}

/** A batch is complete when no deletion has come for so long, or when it has been gathered for so long. */
export const SETTLE_MS = 1_000;
export const GATHER_MS = 30_000;

interface Deletion {
  cause: DeletionCause;
  sinceMs: number;
  state: "undecided" | "held" | "released";
  /** The comparison in which it was asked for last. */
  comparison: number;
}

const NOTHING: Judgement = { released: [], held: [] };

/** Pure: times are arguments, in ms on one monotonic clock. */
export class DeletionGuard {
  readonly #deletions = new Map<string, Deletion>();
  /** Guarded deletions that were let go, by when. */
  #passed: { atMs: number; many: number }[] = [];
  #undecided = 0;
  #held = 0;
  #firstAskedMs = 0;
  #lastAskedMs = 0;
  #comparison = 0;

  /**
   * @param transitionAtMs when this side started, or its role changed last
   * @param unproven whether this side serves without remembering anything: absence then never counts as deletion
   */
  constructor(
    private readonly policy: GuardPolicy,
    private transitionAtMs: number,
    private readonly unproven: () => boolean = () => false,
  ) {}

  /** A role changed, here or at the leader: the window begins. */
  transition(nowMs: number): void {
    this.transitionAtMs = nowMs;
  }

  /** Whether a deletion may go now; otherwise it is gathered until `judge`, or held already. */
  ask(key: string, cause: DeletionCause, nowMs: number): boolean {
    const known = this.#deletions.get(key);
    if (known) {
      known.comparison = this.#comparison;
      return known.state === "released";
    }
    if (!this.#guards(cause, nowMs)) return true;
    this.#deletions.set(key, { cause, sinceMs: nowMs, state: "undecided", comparison: this.#comparison });
    if (this.#undecided++ === 0) this.#firstAskedMs = nowMs;
    this.#lastAskedMs = nowMs;
    return false;
  }

  /** Whether the gathered deletions are a batch to judge. */
  due(nowMs: number): boolean {
    return this.#undecided > 0 &&
      (nowMs - this.#lastAskedMs >= SETTLE_MS || nowMs - this.#firstAskedMs >= GATHER_MS);
  }

  /** Decides about what was gathered. @param has how much the consumer has now */
  judge(has: number, nowMs: number): Judgement {
    if (this.#undecided === 0) return NOTHING;
    this.#passed = this.#passed.filter(({ atMs }) => nowMs - atMs < this.policy.windowMs);
    const passed = this.#passed.reduce((sum, { many }) => sum + many, 0);
    const total = this.#undecided + this.#held + passed;
    const { mode, count, percent } = this.policy;
    const much = mode !== "off" && total > count && total * 100 > percent * (has + passed);
    const unproven = this.unproven();
    const judgement: Judgement = { released: [], held: [] };
    for (const [key, deletion] of this.#deletions) {
      if (deletion.state !== "undecided") continue;
      const hold = much || (unproven && deletion.cause === "absence");
      deletion.state = hold ? "held" : "released";
      judgement[deletion.state].push(key);
    }
    this.#undecided = 0;
    this.#held += judgement.held.length;
    if (judgement.released.length > 0) this.#passed.push({ atMs: nowMs, many: judgement.released.length });
    return judgement;
  }

  /** The deletion was carried out, or is not wanted any more. */
  forget(key: string): void {
    const known = this.#deletions.get(key);
    if (!known) return;
    this.#deletions.delete(key);
    if (known.state === "undecided") this.#undecided--;
    if (known.state === "held") this.#held--;
  }

  /** Forgets every deletion that is not wanted any more. */
  prune(wanted: (key: string) => boolean): void {
    for (const key of [...this.#deletions.keys()]) if (!wanted(key)) this.forget(key);
  }

  /** A comparison of everything begins: deletions that it does not ask for are not wanted any more. */
  comparing(): void {
    this.#comparison++;
  }

  /** The comparison has asked for all of its deletions. */
  compared(): void {
    this.prune((key) => this.#deletions.get(key)?.comparison === this.#comparison);
  }

  /** An operator lets held deletions go. The keys that were held, of these. */
  release(keys: Iterable<string>): string[] {
    const released: string[] = [];
    for (const key of keys) {
      const known = this.#deletions.get(key);
      if (known?.state !== "held") continue;
      known.state = "released";
      this.#held--;
      released.push(key);
    }
    return released;
  }

  /** Whether a deletion waits for an operator. */
  holds(key: string): boolean {
    return this.#deletions.get(key)?.state === "held";
  }

  /** The deletions that wait for an operator. */
  held(): HeldDeletion[] {
    if (this.#held === 0) return [];
    return [...this.#deletions].flatMap(([key, { state, cause, sinceMs }]) =>
      state === "held" ? [{ key, cause, sinceMs }] : []
    );
  }

  get heldCount(): number {
    return this.#held;
  }

  /** Deletions known here, in whatever state; 0 in the steady state. */
  get size(): number {
    return this.#deletions.size;
  }

  #guards(cause: DeletionCause, nowMs: number): boolean {
    if (cause === "absence" && this.unproven()) return true;
    switch (this.policy.mode) {
      case "off":
        return false;
      case "always":
        return true;
      case "transitions":
        return cause === "absence" || nowMs - this.transitionAtMs < this.policy.windowMs;
    }
  }
}
