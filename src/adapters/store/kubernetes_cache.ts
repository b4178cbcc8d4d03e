/**
 * The reflectors' copy of the cluster: the newest state of each key, as text, and for each watcher the set of keys that changed since
 * its last batch. Ten changes of a key in between are one event, so a slow watcher costs a set of keys and nothing more.
 *
 * Invariant: a key's state never goes back while the cluster's history goes on (an etcd restored from a backup is another history).
 */
import { onAbort } from "../../base/abort.ts";
import { parseJson } from "../../base/json.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import type { StoreEvent } from "../../principal/ports/store.ts";
import type { ReflectorStore, StateSource } from "../kube/reflector.ts";
import { lastManager } from "../kube/field_manager.ts";
import { isNewer } from "../kube/resource_version.ts";

interface Cached {
  version: string;
  /** The object without managedFields, as JSON. */
  text: string;
  /** The field manager of the last change; empty: not known. */
  manager: string;
}

/** The deletion of a key: its version, and whether a listing lacked the key rather than a watch saw it go. */
interface Deletion {
  version: string;
  concluded: boolean;
}

/** The changed keys that a watcher has not read yet; of a deleted one its deletion. */
class Watcher {
  readonly changed = new Map<Key, Deletion | undefined>();
  wake: () => void = () => {};
}

const BATCH = 1_000;
/** Deletions that are remembered. */
const MAX_DELETED = 10_000;

export class KubernetesCache implements ReflectorStore {
  readonly #objects = new Map<Key, Cached>();
  /** The versions of the latest deletions: the answer to a write may come after the event of a deletion that followed it. */
  readonly #deleted = new Map<Key, string>();
  readonly #watchers = new Set<Watcher>();
  readonly #waiting = new Map<Key, Set<() => void>>();

  /**
   * Takes a state; an older one than the copy is ignored, unless the cluster itself went back in time. What was read at the copy's own
   * version replaces it: the server may decode an unchanged object otherwise than before (another schema).
   */
  put(object: ApiObject, source: StateSource): void {
    const key = keyOfObject(object);
    const version = object.metadata.resourceVersion ?? "";
    const before = this.#objects.get(key);
    const same = version === before?.version;
    if (same ? source === "event" : source !== "rewound" && !this.#isNews(key, version)) return;
    const { managedFields: _, ...metadata } = object.metadata;
    const text = JSON.stringify({ ...object, metadata });
    if (same && text === before.text) return;
    this.#deleted.delete(key);
    this.#objects.set(key, { version, text, manager: lastManager(object) });
    this.#changed(key, undefined);
  }

  /**
   * Takes a deletion; one that is older than the copy is ignored, unless the cluster itself went back in time (`rewound`).
   * `listed`: a listing lacks the key.
   */
  remove(key: Key, version: string, { rewound = false, listed = false } = {}): void {
    const before = this.#objects.get(key);
    if (before && !rewound && isNewer(before.version, version)) return;
    this.#remember(key, version);
    if (!this.#objects.delete(key)) return;
    this.#changed(key, { version, concluded: listed });
    for (const resolve of this.#waiting.get(key) ?? []) resolve();
    this.#waiting.delete(key);
  }

  get(key: Key): StoredObject | undefined {
    const found = this.#objects.get(key);
    return found && parseJson(found.text) as StoredObject;
  }

  has(key: Key): boolean {
    return this.#objects.has(key);
  }

  /** The keys that begin with `Kind/`, and their versions. */
  *versions(kind: string): Generator<[Key, string]> {
    for (const [key, { version }] of this.#objects) if (key.startsWith(`${kind}/`)) yield [key, version];
  }

  /** Resolves when the key is gone from the copy; false when that takes longer than `timeoutMs`. */
  gone(key: Key, timeoutMs: number): Promise<boolean> {
    if (!this.#objects.has(key)) return Promise.resolve(true);
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, waiting);
      const timer = setTimeout(() => {
        waiting.delete(done);
        if (waiting.size === 0) this.#waiting.delete(key);
        resolve(false);
      }, timeoutMs);
      const done = () => {
        clearTimeout(timer);
        resolve(true);
      };
      waiting.add(done);
    });
  }

  /** Everything, then every change, until the signal aborts. */
  async *watch(signal: AbortSignal): AsyncGenerator<StoreEvent[]> {
    const watcher = new Watcher();
    this.#watchers.add(watcher);
    const unlisten = onAbort(signal, () => watcher.wake());
    try {
      const first = [...this.#objects.keys()];
      yield [{ type: "reset" }];
      for (let at = 0; at < first.length && !signal.aborted; at += BATCH) {
        const events = first.slice(at, at + BATCH).flatMap((key) => this.#event(key));
        yield events;
      }
      yield [{ type: "synced" }];
      while (!signal.aborted) {
        const sleep = new Promise<void>((resolve) => watcher.wake = resolve);
        const events: StoreEvent[] = [];
        for (const [key, deletion] of watcher.changed) {
          watcher.changed.delete(key);
          events.push(...this.#event(key, deletion));
          if (events.length === BATCH) break;
        }
        if (events.length > 0) yield events;
        else await sleep;
      }
    } finally {
      this.#watchers.delete(watcher);
      unlisten();
    }
  }

  #isNews(key: Key, version: string): boolean {
    return isNewer(version, this.#objects.get(key)?.version ?? this.#deleted.get(key) ?? "");
  }

  #remember(key: Key, version: string): void {
    if (isNewer(this.#deleted.get(key) ?? "", version)) return;
    this.#deleted.delete(key);
    this.#deleted.set(key, version);
    for (const [oldest] of this.#deleted) {
      if (this.#deleted.size <= MAX_DELETED) return;
      this.#deleted.delete(oldest);
    }
  }

  /** The event of a key for a watcher, by its present state. */
  #event(key: Key, deletion?: Deletion): StoreEvent[] {
    const object = this.get(key);
    const manager = this.#objects.get(key)?.manager ?? "";
    if (object) return [{ type: "put", object, ...(manager === "" ? {} : { manager }) }];
    if (!deletion) return [];
    const { version: resourceVersion, concluded } = deletion;
    return [{ type: "delete", key, resourceVersion, ...(concluded ? { concluded } : {}) }];
  }

  #changed(key: Key, deletion: Deletion | undefined): void {
    for (const watcher of this.#watchers) {
      watcher.changed.set(key, deletion);
      watcher.wake();
    }
  }
}
