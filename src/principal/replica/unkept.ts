/**
 * Changes of a comparison with another data set that failed and may yet go through: the own state in their place is neither kept nor
 * overwritten. While there are any, this store does not count as the leader's: over a new stream they would be taken for its own.
 */
import type { IncomingChange } from "../../domain/replication/applier.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { StoreError, type StoreErrorCode } from "../ports/store.ts";

const PASSING: readonly StoreErrorCode[] = ["unavailable", "conflict", "full"];

export class Unkept {
  readonly #keys = new Set<Key>();

  /** Applies a change with this. @throws what that throws */
  async applying(change: IncomingChange, apply: (change: IncomingChange) => Promise<void>): Promise<void> {
    try {
      await apply(change);
      this.#keys.delete(change.key);
    } catch (error) {
      const passing = error instanceof StoreError && PASSING.includes(error.code);
      if (change.foreign && passing) this.#keys.add(change.key);
      else this.#keys.delete(change.key);
      throw error;
    }
  }

  get some(): boolean {
    return this.#keys.size > 0;
  }
}
