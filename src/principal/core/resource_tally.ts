/**
 * How many resources of a kind came, changed and went since this process read its store, for the Go principal's counters. What was there at
 * the start counts as created, as its informers count it: created less deleted is what is there now.
 */
import type { ApiObject } from "../../domain/resources/object.ts";
import { isRecord } from "../../domain/resources/object.ts";
import type { Key } from "../../domain/resources/keys.ts";

/** The kinds that are counted, by their names in `KINDS`. */
export const TALLIED = ["Application", "AppProject", "Repository", "ApplicationSet"] as const;
export type Tallied = typeof TALLIED[number];
export const TALLIES = ["created", "updated", "deleted"] as const;
export type Tally = typeof TALLIES[number];

const GPG_KEYS = "GPGKey";

export class ResourceTally {
  readonly #counts = new Map<string, number>();
  readonly #kinds = new Map<Key, Tallied>();
  #gpgKeys: { key: Key; count: number } | undefined;

  /** Resources of a kind to which this happened. */
  of(kind: Tallied, tally: Tally): number {
    return this.#counts.get(`${kind} ${tally}`) ?? 0;
  }

  /** Keys in Argo CD's GPG keyring. */
  get gpgKeys(): number {
    return this.#gpgKeys?.count ?? 0;
  }

  /** The store shows this object; `changed`: otherwise than before. */
  put(key: Key, kind: string, object: ApiObject, changed: boolean): void {
    const before = this.#kinds.get(key);
    if (before === kind) {
      if (changed) this.#count(before, "updated");
      return;
    }
    this.removed(key);
    if (kind === GPG_KEYS) {
      const { data } = object;
      this.#gpgKeys = { key, count: Object.keys(isRecord(data) ? data : {}).length };
    }
    if (!isTallied(kind)) return;
    this.#kinds.set(key, kind);
    this.#count(kind, "created");
  }

  /** The store does not show it any more. */
  removed(key: Key): void {
    if (this.#gpgKeys?.key === key) this.#gpgKeys = undefined;
    const kind = this.#kinds.get(key);
    if (!kind) return;
    this.#kinds.delete(key);
    this.#count(kind, "deleted");
  }

  #count(kind: Tallied, tally: Tally): void {
    this.#counts.set(`${kind} ${tally}`, this.of(kind, tally) + 1);
  }
}

function isTallied(kind: string): kind is Tallied {
  return (TALLIED as readonly string[]).includes(kind);
}
