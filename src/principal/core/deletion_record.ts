/**
 * The record of deletions. The object of every deletion that this store's watch tells is kept for a while, and the deletions that
 * this side applied as a replica stand in its history with their keys and their cause: a few entries at once, then seldom ones that
 * gather, so that many deletions never push everything else out of it.
 */
import { deadline } from "@std/async/deadline";
import { parseJson } from "../../base/json.ts";
import { Newest } from "../../base/newest.ts";
import { Budget } from "../../base/token_bucket.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Entry } from "../../domain/changes/index.ts";
import type { HistoryEntry } from "../../domain/ha/history.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import type { KeptObjects } from "./kept_objects.ts";

/** Deletions that come together stand together. */
const GATHER_MS = 1_000;
const FLUSH_MS = 2_000;
/** Of the history's 500 entries: so many at once, then one in ten minutes. */
const BURST = 20;
const PER_SECOND = 1 / 600;
/** The keys of one entry. */
const MAX_TEXT = 1_000;
/** Deletions written here of which the watch has not told yet. */
const MAX_WRITTEN = 10_000;

/** The part of the principal that the record needs. */
export interface DeletionRecordParts {
  readonly settings: { readonly scope: Scope };
  readonly kept: Pick<KeptObjects, "keepDeleted" | "flush">;
  readonly history: { add(entry: HistoryEntry): void };
  model(): Pick<Model, "state" | "memory">;
}

export class DeletionRecord {
  /** By key: why replication deleted it here. */
  readonly #written = new Newest<Key, string>(MAX_WRITTEN);
  /** By cause: the keys that are not in the history yet. */
  #applied = new Map<string, Key[]>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #budget = new Budget(PER_SECOND, BURST);

  constructor(private readonly parts: DeletionRecordParts) {}

  /** Replication is about to delete this. @param concluded the leader does not have it, and did not see it go */
  applying(key: Key, concluded: boolean): void {
    const { epoch } = this.parts.model().memory;
    const cause = concluded ? "absent at" : "deleted at";
    this.#written.set(key, `${cause} the ACTIVE in epoch ${epoch}`);
  }

  /** The store's watch told of a deletion. @param concluded a listing lacks the key, no watch saw it go */
  gone({ key, payload, digest }: Entry, concluded: boolean): void {
    const { state, memory: { epoch } } = this.parts.model();
    const here = concluded ? "absent from a listing of this store" : "deleted in this store";
    const written = this.#written.get(key);
    const cause = written ?? `${here}, which was ${state.toUpperCase()}`;
    if (written !== undefined) this.#toHistory(key, written);
    this.#written.delete(key);
    const atMs = Date.now();
    this.parts.kept.keepDeleted(() => ({
      key,
      reason: "deleted",
      digest,
      epoch,
      newActiveHas: "nothing",
      atMs,
      cause,
      object: parseJson(payload) as ApiObject,
    }));
  }

  /** Makes durable what is gathered, as far as the store answers soon. */
  async flush(): Promise<void> {
    this.#tell();
    await deadline(this.parts.kept.flush(), FLUSH_MS).catch(() => {});
  }

  #toHistory(key: Key, cause: string): void {
    const keys = this.#applied.get(cause) ?? [];
    keys.push(key);
    this.#applied.set(cause, keys);
    this.#timer ??= setTimeout(
      () => this.#tell(),
      Math.max(GATHER_MS, this.#budget.spend(monotonicMs())),
    );
  }

  #tell(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const applied = this.#applied;
    this.#applied = new Map();
    const { state, memory: { epoch } } = this.parts.model();
    for (const [cause, keys] of applied) {
      const text = `${keys.length} ${cause}: ${named(keys)}; ha reconcile lists the objects`;
      this.parts.history.add({ atMs: Date.now(), epoch, state, what: "deleted", who: "", text });
    }
  }
}

function named(keys: readonly Key[]): string {
  let length = 0;
  const first = keys.filter((key) => (length += key.length + 2) <= MAX_TEXT);
  const more = keys.length - first.length;
  return first.join(", ") + (more > 0 ? ` and ${more.toLocaleString("en-US")} more` : "");
}
