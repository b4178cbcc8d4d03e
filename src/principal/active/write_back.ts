/**
 * Writes the annotation back that says which resource a copy is to its agent, after another writer took it off: the next process must
 * know it too. Seldom, so that a controller that takes it off at every reconciliation is not driven in circles.
 */
import type { Key } from "../../domain/resources/keys.ts";
import { SOURCE_UID } from "../../domain/resources/object.ts";
import { StoreError } from "../ports/store.ts";
import type { ActiveStore } from "./active_store.ts";
import { monotonicMs } from "../../base/clock.ts";
import { Newest } from "../../base/newest.ts";
import type { Log } from "../../base/log.ts";

/** Between two writes of one object. */
const MIN_INTERVAL_MS = 600_000;
/** Objects whose last write is remembered; beyond that the oldest are forgotten. */
const MAX_REMEMBERED = 100_000;

export class WriteBack {
  readonly #lastMs = new Newest<Key, number>(MAX_REMEMBERED);
  /** Objects that lost their annotation while this side was not ACTIVE. */
  readonly #waiting = new Set<Key>();

  constructor(private readonly store: ActiveStore, private readonly log: Log) {}

  /** This side is ACTIVE: writes what waited for that. */
  serving(): void {
    const keys = [...this.#waiting];
    this.#waiting.clear();
    for (const key of keys) void this.annotation(key);
  }

  /** Writes the annotation of an object back, where this side is ACTIVE; never throws. */
  async annotation(key: Key): Promise<void> {
    const now = monotonicMs();
    if (!this.store.writable) {
      if (this.#waiting.size < MAX_REMEMBERED) this.#waiting.add(key);
      return;
    }
    if (now - (this.#lastMs.get(key) ?? -Infinity) < MIN_INTERVAL_MS) return;
    this.#lastMs.set(key, now);
    try {
      // Read through the identified store: it has the annotation already.
      const object = await this.store.get(key);
      if (!object?.metadata.annotations?.[SOURCE_UID]) return;
      await this.store.write({ op: "put", object, expect: object.metadata.resourceVersion });
      this.log.warn(
        "an annotation that says which resource this is to its agent was taken off, and is written back",
        {
          key,
          annotation: SOURCE_UID,
          hint:
            "if an ApplicationSet controller did it: applicationsetcontroller.global.preserved.annotations in argocd-cmd-params-cm",
        },
      );
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.#lastMs.delete(key);
      this.log.info("an annotation that was taken off could not be written back yet", {
        key,
        reason: error.message,
      });
    }
  }
}
