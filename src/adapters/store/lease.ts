/**
 * Leader election by a lease, as client-go's: the holder renews it, and another process takes it once it has seen no renewal for the
 * lease's duration, on its own clock. The holder gives itself less time than that, counted from before the renewal was sent, so that it
 * stops before another can begin. A renewal is written over exactly the version that was read.
 */
import { delay } from "@std/async/delay";
import { stopwatch } from "../../base/clock.ts";
import { reasonOf } from "../../base/reason.ts";
import { holderText } from "../../domain/ha/sentences.ts";
import type { Holder, Waiting } from "../../domain/ha/state.ts";
import type { StoreLock, Tenure } from "../../principal/ports/store_lock.ts";

/** The content of a lease. */
export interface LeaseRecord {
  /** The process that holds it; empty: none. */
  identity: string;
  holder: Holder;
  durationMs: number;
  /** How often another process has taken it. */
  transitions: number;
}

/** A lease as it was read: `version` changes with each write. */
export interface SeenLease extends LeaseRecord {
  version: string;
}

/** Another process has written the lease since it was read. */
export class LeaseConflict extends Error {}

/** Where the lease is kept. */
export interface Leases {
  /** @throws Error */
  read(): Promise<SeenLease | undefined>;
  /** Writes over exactly this version; undefined: there is none. @throws LeaseConflict where that is not so; Error */
  write(record: LeaseRecord, over: SeenLease | undefined): Promise<SeenLease>;
  close(): void;
}

/** The process that asks; `identity` may be another one's only after that one has ended for sure. */
export interface Candidate {
  identity: string;
  name: string;
  pid: number;
}

/** client-go's 15 s, 10 s and 2 s, as parts of the first. */
export const LEASE_MS = 15_000;
const RENEW_WITHIN = 10 / 15;
const RETRY_AFTER = 2 / 15;
/** A renewal that failed is retried sooner: an overloaded API server refuses some requests and takes others. */
const RETRY_FAILED_AFTER = RETRY_AFTER / 4;
const JITTER = 0.2;

export class LeaseLock implements StoreLock {
  constructor(
    private readonly leases: Leases,
    private readonly me: Candidate,
    private readonly durationMs = LEASE_MS,
  ) {}

  async acquire(waits: (why: Waiting) => void, signal: AbortSignal): Promise<Tenure> {
    let holder: Holder | undefined;
    let version: string | undefined;
    let age = () => Infinity;
    for (;;) {
      signal.throwIfAborted();
      try {
        const seen = await this.leases.read();
        if (seen) holder = seen.holder;
        if (holder && seen?.version !== version) [version, age] = [seen?.version, stopwatch()];
        if (this.#isFree(seen, age())) return await this.#take(seen, signal);
        waits({ holder, problem: "" });
      } catch (error) {
        signal.throwIfAborted();
        if (!(error instanceof LeaseConflict)) waits({ holder: undefined, problem: reasonOf(error) });
      }
      await delay(this.durationMs * RETRY_AFTER * (1 + Math.random() * JITTER), { signal });
    }
  }

  close(): void {
    this.leases.close();
  }

  /**
   * @param ageMs for how long it has been as it is; a lease that a person deletes is its holder's until that would have been over
   */
  #isFree(seen: SeenLease | undefined, ageMs: number): boolean {
    if (ageMs > Math.max(seen?.durationMs ?? 0, this.durationMs)) return true;
    return seen?.identity === "" || seen?.identity === this.me.identity;
  }

  async #take(over: SeenLease | undefined, signal: AbortSignal): Promise<Tenure> {
    const { identity, name, pid } = this.me;
    const record = {
      identity,
      holder: { name, pid, sinceMs: Date.now() },
      durationMs: this.durationMs,
      transitions: over ? over.transitions + (over.identity === identity ? 0 : 1) : 0,
    };
    const age = stopwatch();
    const taken = await this.leases.write(record, over);
    const tenure = new LeaseTenure(this.leases, taken, age, this.durationMs);
    if (!signal.aborted) return tenure;
    await tenure.release();
    throw signal.reason;
  }
}

class LeaseTenure implements Tenure {
  readonly #over = new AbortController();
  readonly #renewing: Promise<void>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #problem = "";
  #lapsed = false;

  /** @param age how long ago the last renewal was sent */
  constructor(
    private readonly leases: Leases,
    private lease: SeenLease,
    private age: () => number,
    private readonly durationMs: number,
  ) {
    this.#watch();
    this.#renewing = this.#renew();
  }

  get ended(): AbortSignal {
    return this.#over.signal;
  }

  holds(): boolean {
    if (this.#leftMs() <= 0) this.#lapsed = true;
    return !this.#lapsed && !this.ended.aborted;
  }

  /** Another process may take it at once, where it is still this one's. */
  async release(): Promise<void> {
    this.#end("the lock on the store is released");
    await this.#renewing;
    await this.leases.write({ ...this.lease, identity: "" }, this.lease).catch(() => {});
  }

  #leftMs(): number {
    return this.durationMs * RENEW_WITHIN - this.age();
  }

  #end(reason: string): void {
    clearTimeout(this.#timer);
    if (!this.ended.aborted) this.#over.abort(new Error(reason));
  }

  /** Ends this tenure in time, also while a renewal waits for its answer. */
  #watch(): void {
    clearTimeout(this.#timer);
    if (this.holds()) {
      this.#timer = setTimeout(() => this.#watch(), Math.max(1, this.#leftMs()));
      return;
    }
    const why = this.#problem && `: ${this.#problem}`;
    this.#end(`the lock on the store could not be renewed in time${why}`);
  }

  async #renew(): Promise<void> {
    for (let pause = RETRY_AFTER; this.holds();) {
      await delay(this.durationMs * pause, { signal: this.ended }).catch(() => {});
      if (!this.holds()) return;
      try {
        // A renewal that failed may have been written all the same.
        await (this.#problem ? this.#look() : this.#write(this.lease));
        pause = RETRY_AFTER;
      } catch (error) {
        const conflict = error instanceof LeaseConflict;
        this.#problem = conflict ? "the Lease was written by another" : reasonOf(error);
        pause = conflict ? 0 : RETRY_FAILED_AFTER;
      }
    }
  }

  async #write(over: SeenLease | undefined): Promise<void> {
    const age = stopwatch();
    this.lease = await this.leases.write(this.lease, over);
    this.age = age;
    this.#problem = "";
    this.#watch();
  }

  /**
   * A renewal whose answer was lost is this process's own, and so is a lease that a person deleted. Only another renewal extends the
   * tenure: others count from the version that they saw.
   */
  async #look(): Promise<void> {
    const seen = await this.leases.read();
    if (seen && seen.identity !== this.lease.identity) {
      this.#end(`${seen.identity ? holderText(seen.holder) : "no process"} holds the lock on the store now`);
    }
    if (this.holds()) await this.#write(seen);
  }
}
