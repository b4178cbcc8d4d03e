/**
 * Writes of this side that the change index does not show yet. Digests are compared from the index: before the watch has confirmed a
 * write, this side would deny what it has, and the active would not tell it that it is to be deleted.
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

/** Keys are looked through at this number, and then whenever it has doubled. */
const LOOK_AT = 1_000;
/** After this wait, a watch may never report the write. */
const WAIT_MS = 5_000;
const LOOK_EVERY_MS = 10;
const UNKNOWN = null;

/** Whether a write that failed so may have been carried out all the same. */
export function mayBeDone(error: unknown): boolean {
  return !(error instanceof StoreError) || error.code === "unavailable";
}

export class UnconfirmedWrites {
  /** The version that a key has since; empty: it does not exist. */
  readonly #versions = new Map<Key, string>();
  /** The store has not answered the last write. */
  readonly #uncertain = new Set<Key>();
  #lookAt = LOOK_AT;

  /** @param saw hears of the version of each object that was written */
  constructor(
    private readonly store: Pick<Store, "get">,
    private readonly index: ChangeIndex,
    private readonly saw: (key: Key, version: string) => void = () => {},
  ) {}

  /** A write was carried out. @param version of the object; empty: it does not exist any more */
  wrote(key: Key, version: string): void {
    this.#uncertain.delete(key);
    this.#versions.set(key, version);
    if (version !== "") this.saw(key, version);
    if (this.#versions.size > this.#lookAt) this.#forgetConfirmed();
  }

  /** A write may have been carried out. */
  uncertain(key: Key): void {
    this.#uncertain.add(key);
  }

  /** Whether the store may have an object under a key although the index does not show it. */
  mayHave(key: Key): boolean {
    return this.#uncertain.has(key) || (this.#versions.get(key) ?? "") !== "";
  }

  /** Waits until the index shows everything that was written here, 5 s at most. */
  async confirmed(signal: AbortSignal): Promise<void> {
    const until = monotonicMs() + WAIT_MS;
    const going = () => !signal.aborted && monotonicMs() < until;
    await abortable(deadline(this.#ask(going), WAIT_MS), signal).catch(() => {});
    for (this.#forgetConfirmed(); this.#versions.size > 0 && going(); this.#forgetConfirmed()) {
      await delay(LOOK_EVERY_MS);
    }
    if (!signal.aborted) this.#versions.clear();
  }

  /** Finds out what became of uncertain writes; without an answer of the store they stay uncertain. */
  async #ask(going: () => boolean): Promise<void> {
    await pLimit(READS_AT_ONCE).map(this.#uncertain, async (key) => {
      if (!going()) return;
      const found = await this.store.get(key).catch(() => UNKNOWN);
      if (found === UNKNOWN) return;
      this.wrote(key, found?.metadata.resourceVersion ?? "");
    });
  }

  #forgetConfirmed(): void {
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
