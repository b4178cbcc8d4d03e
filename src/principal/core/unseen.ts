/**
 * What was written here and the change index does not show yet. Digests are compared from the index: before its watch has told of them,
 * this side would deny what it has, and nobody would tell it that it is to be deleted.
 */
import { abortable } from "@std/async/abortable";
import { deadline } from "@std/async/deadline";
import { delay } from "@std/async/delay";
import pLimit from "p-limit";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { type Store, StoreError } from "../ports/store.ts";
import { monotonicMs } from "../../base/clock.ts";
import { READS_AT_ONCE } from "./feed.ts";

/** Keys are looked through when there are so many, and again when there are twice as many as then. */
const LOOK_AT = 1_000;
/** What a watch has not told after so long a wait it may never tell. */
const WAIT_MS = 5_000;
const LOOK_EVERY_MS = 10;
const UNKNOWN = null;

/** Whether a write that failed so may have been carried out all the same. */
export function mayBeDone(error: unknown): boolean {
  return !(error instanceof StoreError) || error.code === "unavailable";
}

export class Unseen {
  /** The version that a key has since; empty: it does not exist. */
  readonly #versions = new Map<Key, string>();
  /** Nobody knows what became of the last write. */
  readonly #doubtful = new Set<Key>();
  #lookAt = LOOK_AT;

  constructor(private readonly store: Pick<Store, "get">, private readonly index: ChangeIndex) {}

  /** A write was carried out. @param version of the object; empty: it does not exist any more */
  wrote(key: Key, version: string): void {
    this.#doubtful.delete(key);
    this.#versions.set(key, version);
    if (this.#versions.size > this.#lookAt) this.#forgetShown();
  }

  /** A write may have been carried out. */
  doubt(key: Key): void {
    this.#doubtful.add(key);
  }

  /** Waits until the index shows everything that was written here, 5 s at most. */
  async shown(signal: AbortSignal): Promise<void> {
    const until = monotonicMs() + WAIT_MS;
    const going = () => !signal.aborted && monotonicMs() < until;
    await abortable(deadline(this.#ask(going), WAIT_MS), signal).catch(() => {});
    for (this.#forgetShown(); this.#versions.size > 0 && going(); this.#forgetShown()) {
      await delay(LOOK_EVERY_MS);
    }
    if (!signal.aborted) this.#versions.clear();
  }

  /** Finds out what became of doubtful writes; what the store does not say now stays doubtful. */
  async #ask(going: () => boolean): Promise<void> {
    await pLimit(READS_AT_ONCE).map(this.#doubtful, async (key) => {
      if (!going()) return;
      const found = await this.store.get(key).catch(() => UNKNOWN);
      if (found === UNKNOWN) return;
      this.wrote(key, found?.metadata.resourceVersion ?? "");
    });
  }

  #forgetShown(): void {
    for (const [key, version] of this.#versions) {
      const entry = this.index.get(key);
      const shown = version === ""
        ? !entry || entry.deleted
        : entry !== undefined && Number(entry.version) >= Number(version);
      if (shown) this.#versions.delete(key);
    }
    this.#lookAt = Math.max(LOOK_AT, 2 * this.#versions.size);
  }
}
