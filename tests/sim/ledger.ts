/**
 * The book of I14: the Applications that people wrote and did not delete. When the trouble is over each must exist at rest somewhere: in
 * a side's store, served or kept, or in a loss manifest. Only a store that was lost, and alone held an Application, may take it along.
 */
import type { Key } from "../../src/domain/resources/keys.ts";
import type { Disk } from "./disk.ts";

/**
 * A principal keeps what it heard of its peer's store within 5 s, or when its own store takes writes again: what was written so shortly
 * before it died may be rolled back by a peer whose store was restored.
 */
const UNKEPT_MS = 30_000;
/** A deletion may still be on its way to the other side for so long: the longest pause, and the writes after it. */
const ON_ITS_WAY_MS = 200_000;

export class Ledger {
  /** By key: when it was written last. */
  readonly #written = new Map<Key, number>();
  readonly #deletedAtMs = new Map<Key, number>();
  /** Where another writer deleted what the other side has. */
  readonly #byHand = new Map<Key, Disk>();
  /** By side: Applications that a restored store of the other one may roll back. */
  readonly #unkept = { a: new Set<Key>(), b: new Set<Key>() };
  /** Sides of which no process has begun since the last one was gone. */
  readonly #down = new Set<"a" | "b">();
  /** Sides whose store was restored. */
  readonly #restored = new Set<"a" | "b">();
  /** Stores that were lost or restored in this story. */
  losses = 0;

  wrote(key: Key, nowMs: number): void {
    this.#written.set(key, nowMs);
    for (const name of ["a", "b"] as const) if (!this.#down.has(name)) this.#unkept[name].delete(key);
  }

  /** The process of a side has died. */
  died(name: "a" | "b", nowMs: number): void {
    this.#down.add(name);
    for (const [key, atMs] of this.#written) if (nowMs - atMs < UNKEPT_MS) this.#unkept[name].add(key);
  }

  /** Somebody deleted it, or an operator discarded what was kept of it. */
  deleted(key: Key, nowMs: number): void {
    this.#written.delete(key);
    this.#deletedAtMs.set(key, nowMs);
  }

  /** Somebody deleted it on a standby: for good where the other side does not have it. */
  deletedByHand(key: Key, at: Disk, other: Disk, nowMs: number): void {
    if (exists(other, key)) this.#byHand.set(key, at);
    else this.deleted(key, nowMs);
  }

  /** A process has begun and takes its store as it is: what somebody deleted there before stays deleted if that side becomes ACTIVE. */
  opened(name: "a" | "b", disk: Disk, nowMs: number): void {
    this.#down.delete(name);
    for (const [key, at] of this.#byHand) {
      if (at !== disk) continue;
      this.#byHand.delete(key);
      if (disk.now(key) === "") this.deleted(key, nowMs);
    }
  }

  /** A store is lost; `left`: its backup has this key; undefined: there is none. */
  storeLost(name: "a" | "b", other: Disk, left: ((key: Key) => boolean) | undefined, nowMs: number): void {
    this.losses++;
    if (left) this.#restored.add(name);
    // With two stores that went back nothing says which is the newer.
    if (this.#restored.size > 0 && other.lostAtMs > 0) this.#written.clear();
    for (const key of this.#written.keys()) {
      const deletedMs = nowMs - (this.#deletedAtMs.get(key) ?? -Infinity);
      if (deletedMs < ON_ITS_WAY_MS || !(left?.(key) || exists(other, key))) this.#written.delete(key);
    }
  }

  /** The Applications that no side has although nobody deleted them. */
  missing(a: Disk, b: Disk): Key[] {
    const unkept = [...this.#restored].map((name) => this.#unkept[name === "a" ? "b" : "a"]);
    const must = [...this.#written.keys()].filter((key) => !unkept.some((keys) => keys.has(key)));
    return must.filter((key) => !exists(a, key) && !exists(b, key));
  }

  get size(): number {
    return this.#written.size;
  }
}

/** Whether a side has some state of a key, in its store or its loss manifest. */
function exists(disk: Disk, key: Key): boolean {
  return disk.now(key) !== "" || [...disk.saved].some((saved) => saved.startsWith(`${key} `));
}
