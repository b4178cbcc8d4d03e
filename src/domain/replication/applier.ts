/**
 * The applier decides which change a replica writes next and which it may acknowledge. Each key has at most one write
 * in flight and one state waiting (latest wins); keys proceed in parallel, and a refused write holds only its key.
 * Invariants: `applied` never passes a change that is not durable; a key's states are written in the order in which
 * they arrived; `processed` passes held keys, so one bad key never stops the stream.
 */
import { type BackoffPolicy, delayMs, RETRY_WRITE } from "../../base/backoff.ts";

/** A change to write; `object` is the replicated form's JSON, absent for a deletion. */
export interface IncomingChange {
  sequence: number;
  key: string;
  object?: string;
  changedAt: number;
  /** Concluded by comparing with a store that never held this leader's data: a deletion must not be carried out. */
  foreign?: true;
}

/** A key that cannot be written now. */
export interface HeldKey {
  key: string;
  reason: string;
  /** The time of the next retry, on the clock passed to `take` and `failed`. */
  retryAt: number;
}

interface Work {
  /** The lowest sequence number of this key that is not durable. */
  first: number;
  waiting?: IncomingChange;
  /** The first state that arrived after the one in flight. `waiting` may hold a later one, which does not make it durable. */
  waitingSince?: number;
  inFlight?: IncomingChange;
  held?: { reason: string; attempts: number; retryAt: number };
}

/** The state of one replica's writes. */
export class Applier {
  readonly #work = new Map<string, Work>();
  readonly #ready = new Set<string>();
  #received: number;
  #inFlight = 0;
  #held = 0;

  /** @param received the sequence number up to which everything is applied already */
  constructor(received = 0, private readonly policy: BackoffPolicy = RETRY_WRITE) {
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
      if (work.held) {
        this.#held--;
        delete work.held;
      }
      if (!work.inFlight) this.#ready.add(change.key);
    }
  }

  /** The changes to write now, at most `limit`; each must come back through `succeeded` or `failed`. */
  take(limit: number, now: number): IncomingChange[] {
    if (this.#held > 0) this.#wakeHeld(now);
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
    if (work.waiting) {
      work.first = work.waitingSince ?? work.waiting.sequence;
      this.#ready.add(change.key);
    } else {
      this.#work.delete(change.key);
    }
  }

  /** The store refused the write: the key is held and retried later, as `policy` says. */
  failed(change: IncomingChange, reason: string, now: number, random: number, policy = this.policy): void {
    const work = this.#end(change);
    if (!work) return;
    if (work.waiting) {
      this.#ready.add(change.key);
      return;
    }
    const attempts = (this.#attempts.get(change) ?? 0) + 1;
    this.#attempts.set(change, attempts);
    work.waiting = change;
    work.held = { reason, attempts, retryAt: now + delayMs(policy, attempts, random) };
    this.#held++;
  }

  /** Everything up to this sequence number is durable. */
  get applied(): number {
    return this.#lowest(() => true) - 1;
  }

  /** Everything up to this sequence number is durable or held. */
  get processed(): number {
    return this.#lowest((work) => work.held === undefined) - 1;
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

  /** How many keys are held. */
  get heldCount(): number {
    return this.#held;
  }

  /** The held keys, at most `limit`. */
  held(limit: number): HeldKey[] {
    const result: HeldKey[] = [];
    if (this.#held === 0) return result;
    for (const [key, work] of this.#work) {
      if (result.length === limit) break;
      if (work.held) result.push({ key, reason: work.held.reason, retryAt: work.held.retryAt });
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

  #wakeHeld(now: number): void {
    for (const [key, work] of this.#work) {
      if (!work.held || work.held.retryAt > now || this.#ready.has(key)) continue;
      delete work.held;
      this.#held--;
      this.#ready.add(key);
    }
  }

  #lowest(counts: (work: Work) => boolean): number {
    let lowest = this.#received + 1;
    for (const work of this.#work.values()) if (counts(work) && work.first < lowest) lowest = work.first;
    return lowest;
  }
}
