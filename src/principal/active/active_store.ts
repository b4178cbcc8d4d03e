/**
 * The store for all that only the ACTIVE writes. It refuses a write that begins after this principal ceased to be ACTIVE, and a
 * step-down waits for the writes in flight: no write of an earlier role lands over what the next active sends.
 */
import { type Store, StoreError, type Write, type Written } from "../ports/store.ts";

export class ActiveStore {
  readonly #inFlight = new Set<Promise<unknown>>();

  /** @param active the scope in which this principal is ACTIVE; undefined: it is not */
  constructor(private readonly store: Store, private readonly active: () => AbortSignal | undefined) {}

  /** Whether this principal is ACTIVE. */
  get writable(): boolean {
    return this.active() !== undefined;
  }

  /** As `Store.get`. */
  get(key: string): ReturnType<Store["get"]> {
    return this.store.get(key);
  }

  /** As `Store.write`. @throws StoreError `unavailable` when this principal is not ACTIVE */
  async write(write: Write): Promise<Written> {
    if (!this.active()) throw new StoreError("unavailable", "this principal is not ACTIVE any more");
    const writing = this.store.write(write);
    this.#inFlight.add(writing);
    try {
      return await writing;
    } finally {
      this.#inFlight.delete(writing);
    }
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.allSettled(this.#inFlight);
  }
}
