/**
 * The store, for what only the ACTIVE does: a write that begins when this principal has ceased to be ACTIVE is refused, and whoever
 * steps down waits for those under way. So nothing of an earlier role lands over what the next active sends.
 */
import { type Store, StoreError, type Write, type Written } from "../ports/store.ts";

export class ActiveStore {
  readonly #underWay = new Set<Promise<unknown>>();

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
    this.#underWay.add(writing);
    try {
      return await writing;
    } finally {
      this.#underWay.delete(writing);
    }
  }

  /** Resolves when nothing is being written. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }
}
