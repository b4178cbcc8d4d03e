/**
 * The book of I14: the Applications that people wrote and did not delete. When the trouble is over each must exist at rest somewhere: in
 * a side's store, served or kept, or in a loss manifest. Only a store that was lost, and alone held an Application, may take it along.
 */
import type { Key } from "../../src/domain/resources/keys.ts";
import type { Disk } from "./disk.ts";

/** A deletion may still be on its way to the other side for so long: the longest pause, and the writes after it. */
const ON_ITS_WAY_MS = 200_000;

export class Ledger {
  readonly #written = new Set<Key>();
  readonly #deletedAtMs = new Map<Key, number>();
  /** Stores that were lost or restored in this story. */
  losses = 0;

  wrote(key: Key): void {
    this.#written.add(key);
  }

  /** Somebody deleted it, or an operator discarded what was kept of it. */
  deleted(key: Key, nowMs: number): void {
    this.#written.delete(key);
    this.#deletedAtMs.set(key, nowMs);
  }

  /** Somebody deleted it on a standby: for good where the other side does not have it. */
  deletedByHand(key: Key, other: Disk, nowMs: number): void {
    if (!exists(other, key)) this.deleted(key, nowMs);
  }

  /** A store is lost; `left`: its backup has this key. */
  storeLost(other: Disk, left: (key: Key) => boolean, nowMs: number): void {
    this.losses++;
    for (const key of this.#written) {
      const deletedMs = nowMs - (this.#deletedAtMs.get(key) ?? -Infinity);
      if (deletedMs < ON_ITS_WAY_MS || !(left(key) || exists(other, key))) this.#written.delete(key);
    }
  }

  /** The Applications that no side has although nobody deleted them. */
  missing(a: Disk, b: Disk): Key[] {
    return [...this.#written].filter((key) => !exists(a, key) && !exists(b, key));
  }

  get size(): number {
    return this.#written.size;
  }
}

/** Whether a side has some state of a key, in its store or its loss manifest. */
function exists(disk: Disk, key: Key): boolean {
  return disk.now(key) !== "" || [...disk.saved].some((saved) => saved.startsWith(`${key} `));
}
