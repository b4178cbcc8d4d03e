/** The feed: the store's watch into the change index. Everything that leaves a principal passes here first. */
import { canonicalJson } from "../../base/json.ts";
import { digestOf, localOf } from "../../domain/changes/content.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { Owners } from "../../domain/changes/owners.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import { kindOf } from "../../domain/resources/kinds.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import { replicatedForm } from "../../domain/resources/transform.ts";
import type { Store, StoreEvent } from "../ports/store.ts";

/** Single reads of the store at once, where there are many. */
export const READS_AT_ONCE = 16;

/** Sees every object of the store, replicated or not, before the index does. */
export interface Observer {
  /** A full listing follows. */
  reset(): void;
  put(object: StoredObject): void;
  removed(key: Key): void;
}

/** Feeds `index` from `store` until the signal aborts. */
export class Feed {
  readonly #synced = Promise.withResolvers<void>();
  #unlisted: Set<string> | undefined;
  /** Versions that were read before the watch told of them. */
  readonly #ahead = new Map<Key, number>();
  readonly #owners: Owners;

  constructor(
    private readonly store: Store,
    private readonly index: ChangeIndex,
    private readonly scope: Scope,
    private readonly observer: Observer | undefined = undefined,
    private readonly excluded: { has(key: Key): boolean } = new Set<Key>(),
  ) {
    this.#owners = new Owners(index);
  }

  /** Resolves when the index has everything that the store had at the start. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Runs until the signal aborts. @throws StoreError when the store cannot be read */
  async run(signal: AbortSignal): Promise<void> {
    try {
      for await (const events of this.store.watch(signal)) for (const event of events) this.#take(event);
    } catch (error) {
      this.#synced.promise.catch(() => {});
      this.#synced.reject(error);
      throw error;
    }
  }

  /**
   * Reads a key from the store if the index has never heard of it: before something is called deleted because it is not in the index,
   * whose watch may be late (after a pause of this process by much). @throws StoreError
   */
  async lookUp(key: Key): Promise<void> {
    if (this.index.get(key)) return;
    const object = await this.store.get(key);
    if (!object || this.index.get(key)) return;
    this.#put(key, object);
    if (this.index.get(key)) this.#ahead.set(key, Number(object.metadata.resourceVersion));
  }

  /** Reads a key anew: whether it is excluded has changed. @throws StoreError */
  async refresh(key: Key): Promise<void> {
    if (this.excluded.has(key)) return this.#remove(key, "", Date.now());
    const object = await this.store.get(key);
    const version = Number(object?.metadata.resourceVersion);
    if (!object || Number(this.index.present(key)?.version) >= version) return;
    this.#put(key, object);
    this.#ahead.set(key, version);
  }

  #take(event: StoreEvent): void {
    const now = Date.now();
    switch (event.type) {
      case "reset":
        this.observer?.reset();
        this.#unlisted = new Set([...this.index.live()].map((entry) => entry.key));
        this.#ahead.clear();
        break;
      case "synced":
        for (const key of this.#unlisted ?? []) this.#remove(key, "", now);
        this.#unlisted = undefined;
        this.#synced.resolve();
        break;
      case "delete":
        if (this.#isPast(event.key, event.resourceVersion)) break;
        this.observer?.removed(event.key);
        this.#remove(event.key, event.resourceVersion, now);
        break;
      case "put": {
        const key = keyOfObject(event.object);
        if (!this.#isPast(key, event.object.metadata.resourceVersion)) this.#put(key, event.object);
      }
    }
  }

  /** Whether the index knows a newer state already, because the watch was overtaken. */
  #isPast(key: Key, version: string): boolean {
    const ahead = this.#ahead.get(key);
    if (ahead === undefined) return false;
    if (Number(version) < ahead) return true;
    this.#ahead.delete(key);
    return false;
  }

  #put(key: Key, object: StoredObject): void {
    const now = Date.now();
    const version = object.metadata.resourceVersion;
    const kind = this.excluded.has(key) ? undefined : kindOf(object, this.scope);
    this.#unlisted?.delete(key);
    this.observer?.put(object);
    if (!kind) {
      this.#remove(key, version, now);
      return;
    }
    const payload = canonicalJson(this.#owners.counted(key, replicatedForm(object, kind)));
    const before = this.index.present(key);
    this.index.put(key, { payload, digest: digestOf(key, payload), version, now, local: localOf(object) });
    if (!before) this.#restate(key, now);
  }

  #remove(key: Key, version: string, now: number): void {
    this.#owners.forget(key);
    if (this.index.remove(key, version, now)) this.#restate(key, now);
  }

  /** An owner has come or gone: its references count, or do not count any more. */
  #restate(owner: Key, now: number): void {
    for (const key of this.#owners.ownedBy(owner)) {
      const entry = this.index.present(key);
      if (!entry) continue;
      const payload = this.#owners.restated(entry);
      const { version, local } = entry;
      this.index.put(key, { payload, digest: digestOf(key, payload), version, now, local });
    }
  }
}
