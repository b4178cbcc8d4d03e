/**
 * The applier decides which change a replica writes next and which it may acknowledge. Each key has at most one write
 * in flight and one state waiting (latest wins); keys proceed in parallel, and a refused write holds only its key.
 * Invariants: `applied` never passes a change that is not durable; a key's states are written in the order in which
 * they arrived; `processed` passes held keys, so one bad key never stops the stream.
 */
import type { TraceContext } from "../events/trace.ts";
import { type BackoffPolicy, delayMs, RETRY_WRITE } from "../../base/backoff.ts";

/** A change to write; `object` is the replicated form's JSON, absent for a deletion. */
export interface IncomingChange {
  sequence: number;
  key: string;
  object?: string;
  changedAt: number;
  /** Concluded by comparing with a store that never held this leader's data: a deletion must not be carried out. */
  foreign?: true;
  /** This copy's own last state, restored after another writer: what stands in its place is not the next leader's by this. */
  restored?: true;
  /** Why the state that came cannot be read; `object` is empty then. It is held under its key. */
  problem?: string;
  /** Of a deletion: it is concluded from absence, no watch saw it. */
  concluded?: boolean;
  /** The trace that it belongs to, at the leader. */
  trace?: TraceContext;
}

/** A key that cannot be written now. */
export interface HeldKey {
  key: string;
  reason: string;
  /** The time of the next retry, on the clock passed to `take` and `failed`; Infinity: an operator decides. */
  retryAt: number;
}

/** Decides when a deletion may be carried out. */
export interface DeletionGate {
  /** Whether it may be now; otherwise it waits for `Applier.decide`. @param writing a state of the key is being written */
  mayDelete(change: IncomingChange, writing: boolean): boolean;
  /** The key has a later state, or its deletion is durable. */
  forget(key: string): void;
}

interface Work {
  /** The lowest sequence number of this key that is not durable. */
  first: number;
  waiting?: IncomingChange;
  /** The first state that arrived after the one in flight. `waiting` may hold a later one, which does not make it durable. */
  waitingSince?: number;
  inFlight?: IncomingChange;
  held?: { reason: string; retryAt: number; by: "store" | "guard" | "undecided" };
}

type Held = NonNullable<Work["held"]>;

/** The state of one replica's writes. */
export class Applier {
  readonly #work = new Map<string, Work>();
  readonly #ready = new Set<string>();
  #received: number;
  #inFlight = 0;
  /** Keys with `held`, by what holds them. */
  readonly #held = { store: 0, guard: 0, undecided: 0 };

  /** @param received the sequence number up to which everything is applied already @param gate without one every deletion goes */
  constructor(
    received = 0,
    private readonly policy: BackoffPolicy = RETRY_WRITE,
    private readonly gate?: DeletionGate,
  ) {
    this.#received = received;
  }

  /** Takes changes in sequence order. */
  offer(changes: readonly IncomingChange[]): void {
    for (const change of changes) {
      this.#received = Math.max(this.#received, change.sequence);
      const work = this.#work.get(change.key) ?? { first: change.sequence };
      this.#work.set(change.key, work);
      work.waitingSince ??= change.sequence;
      work.waiting = change;
      this.#unhold(work);
      if (this.#mustWait(change, work.inFlight?.object !== undefined)) {
        this.#ready.delete(change.key);
        this.#hold(work, { reason: "", retryAt: Infinity, by: "undecided" });
      } else if (!work.inFlight) this.#ready.add(change.key);
    }
  }

  /** A deletion that waited goes, or stays held for this reason until it is decided otherwise. */
  decide(key: string, reason: string | undefined): void {
    const work = this.#work.get(key);
    if (!work?.held || work.held.by === "store") return;
    this.#unhold(work);
    if (reason !== undefined) this.#hold(work, { reason, retryAt: Infinity, by: "guard" });
    else if (!work.inFlight) this.#ready.add(key);
  }

  /** The changes to write now, at most `limit`; each must come back through `succeeded` or `failed`. */
  take(limit: number, now: number): IncomingChange[] {
    if (this.#held.store > 0) this.#wakeHeld(now);
    const taken: IncomingChange[] = [];
    for (const key of this.#ready) {
      if (taken.length === limit) break;
      const work = this.#work.get(key);
      this.#ready.delete(key);
      if (!work?.waiting) continue;
      work.inFlight = work.waiting;
      delete work.waiting;
      delete work.waitingSince;
      this.#inFlight++;
      taken.push(work.inFlight);
    }
    return taken;
  }

  /** The write is durable. */
  succeeded(change: IncomingChange): void {
    const work = this.#end(change);
    if (!work) return;
    if (!work.waiting) {
      this.#work.delete(change.key);
      if (change.object === undefined) this.gate?.forget(change.key);
      return;
    }
    work.first = work.waitingSince ?? work.waiting.sequence;
    if (!work.held) this.#ready.add(change.key);
  }

  /** The store refused the write: the key is held and retried later, as `policy` says. */
  failed(change: IncomingChange, reason: string, now: number, random: number, policy = this.policy): void {
    const work = this.#end(change);
    if (!work) return;
    if (work.waiting) {
      if (!work.held) this.#ready.add(change.key);
      return;
    }
    const attempts = (this.#attempts.get(change) ?? 0) + 1;
    this.#attempts.set(change, attempts);
    work.waiting = change;
    this.#hold(work, { reason, retryAt: now + delayMs(policy, attempts, random), by: "store" });
  }

  /** Everything up to this sequence number is durable. */
  get applied(): number {
    return this.#lowest(() => true) - 1;
  }

  /** Everything up to this sequence number is durable or held. */
  get processed(): number {
    return this.#lowest(({ held, inFlight }) => held === undefined || inFlight !== undefined) - 1;
  }

  /** The last sequence number received. */
  get received(): number {
    return this.#received;
  }

  /** Writes in flight. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Keys that are not durable yet. */
  get pending(): number {
    return this.#work.size;
  }

  /** Whether a state of this key is not durable yet. */
  isPending(key: string): boolean {
    return this.#work.has(key);
  }

  /** How many keys are held, by the store or by the guard. */
  get heldCount(): number {
    return this.#held.store + this.#held.guard;
  }

  /** How many of them are deletions that wait for an operator. */
  get guardedCount(): number {
    return this.#held.guard;
  }

  /** Deletions about which nothing is decided yet. */
  get undecided(): number {
    return this.#held.undecided;
  }

  /** The held keys, at most `limit`. */
  held(limit: number): HeldKey[] {
    const result: HeldKey[] = [];
    if (this.heldCount === 0) return result;
    for (const [key, work] of this.#work) {
      if (result.length === limit) break;
      if (!work.held || work.held.by === "undecided") continue;
      result.push({ key, reason: work.held.reason, retryAt: work.held.retryAt });
    }
    return result;
  }

  readonly #attempts = new WeakMap<IncomingChange, number>();

  #end(change: IncomingChange): Work | undefined {
    const work = this.#work.get(change.key);
    if (work?.inFlight !== change) return undefined;
    delete work.inFlight;
    this.#inFlight--;
    return work;
  }

  #mustWait(change: IncomingChange, writing: boolean): boolean {
    if (change.object === undefined) return this.gate?.mayDelete(change, writing) === false;
    this.gate?.forget(change.key);
    return false;
  }

  #hold(work: Work, held: Held): void {
    work.held = held;
    this.#held[held.by]++;
  }

  #unhold(work: Work): void {
    if (!work.held) return;
    this.#held[work.held.by]--;
    delete work.held;
  }

  #wakeHeld(now: number): void {
    for (const [key, work] of this.#work) {
      if (!work.held || work.held.retryAt > now || this.#ready.has(key)) continue;
      this.#unhold(work);
      this.#ready.add(key);
    }
  }

  #lowest(counts: (work: Work) => boolean): number {
    let lowest = this.#received + 1;
    for (const work of this.#work.values()) if (counts(work) && work.first < lowest) lowest = work.first;
    return lowest;
  }
}
