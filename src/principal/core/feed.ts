/** The feed: the store's watch into the change index. Everything that leaves a principal passes here first. */
import { checkBounds } from "../../base/bounds.ts";
import { canonicalJson } from "../../base/json.ts";
import { reasonOf } from "../../base/reason.ts";
import { digestOf, localOf } from "../../domain/changes/content.ts";
import type { ChangeIndex, Entry } from "../../domain/changes/index.ts";
import { Owners } from "../../domain/changes/owners.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import { kindOf } from "../../domain/resources/kinds.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import { deletionRequested, replicatedForm } from "../../domain/resources/transform.ts";
import type { Store, StoreEvent } from "../ports/store.ts";
import { ResourceTally } from "./resource_tally.ts";

/** Single reads of the store at once, where there are many. */
export const READS_AT_ONCE = 16;

/** Sees every object of the store, replicated or not, before the index does. */
export interface Observer {
  /** A full listing follows. */
  reset(): void;
  /** The listing has come. */
  synced(): void;
  put(object: StoredObject, replicated: boolean): void;
  /** @param concluded no watch saw it: the key is absent */
  removed(key: Key, concluded: boolean): void;
}

/** Hears of each change of a key that the store tells: the entry before it, and the writer's field manager; empty: not known. */
export type Changed = (key: Key, before: Entry | undefined, manager: string) => void;

/** Feeds `index` from `store` until the signal aborts. */
export class Feed {
  readonly #synced = Promise.withResolvers<void>();
  #unlisted: Set<string> | undefined;
  /** Versions that were read before the watch told of them. */
  readonly #ahead = new Map<Key, number>();
  readonly #owners: Owners;
  /** The resources that came, changed and went. */
  readonly tally = new ResourceTally();

  /** @param gone hears of each replicated object that is deleted, with its last state */
  constructor(
    private readonly store: Store,
    private readonly index: ChangeIndex,
    private readonly scope: Scope,
    private readonly observers: readonly Observer[] = [],
    private readonly excluded: { has(key: Key): boolean } = new Set<Key>(),
    private readonly changed: Changed = () => {},
    private readonly gone: (entry: Entry, concluded: boolean) => void = () => {},
  ) {
    this.#owners = new Owners(index);
  }

  /** Resolves when the index has everything that the store had at the start. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Resources whose owner is not replicated: their copies name none. */
  get alone(): { key: Key; owner: Key }[] {
    return this.#owners.alone;
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

  /** Makes the index show what the store has of a key now; whether it is excluded may have changed. @throws StoreError */
  async refresh(key: Key): Promise<void> {
    if (this.excluded.has(key)) return this.#remove(key, "", undefined, true);
    const object = await this.store.get(key);
    const known = Number(this.index.get(key)?.version ?? 0);
    if (!object) this.#removeAhead(key, known);
    else if (!this.index.present(key) || Number(object.metadata.resourceVersion) > known) {
      this.#putAhead(key, object);
    }
  }

  /** Makes the index show everything that the store has now, before the watch tells; its keys. @throws StoreError */
  async catchUp(): Promise<ReadonlySet<Key>> {
    const before = [...this.index.live()].map(({ key, version }) => ({ key, version }));
    const listed = new Set<Key>();
    let newest = 0;
    await this.store.each((object) => {
      const key = keyOfObject(object);
      const version = Number(object.metadata.resourceVersion);
      listed.add(key);
      newest = Math.max(newest, version);
      const known = this.index.get(key);
      if ((known || kindOf(object, this.scope)) && version > Number(known?.version ?? 0)) {
        this.#putAhead(key, object, "");
      }
    });
    for (const { key, version } of before) {
      if (!listed.has(key) && this.index.present(key)?.version === version) {
        this.#removeAhead(key, Math.max(newest, Number(version)), "");
      }
    }
    return listed;
  }

  #putAhead(key: Key, object: StoredObject, manager?: string): void {
    this.#ahead.set(key, Number(object.metadata.resourceVersion));
    this.#put(key, object, manager);
  }

  /** @param upTo states of the key up to this version are past */
  #removeAhead(key: Key, upTo: number, manager?: string): void {
    this.#ahead.set(key, upTo + 1);
    for (const observer of this.observers) observer.removed(key, true);
    this.#delete(key, String(upTo), true, manager);
  }

  #take(event: StoreEvent): void {
    switch (event.type) {
      case "reset":
        for (const observer of this.observers) observer.reset();
        this.#unlisted = new Set([...this.index.live()].map((entry) => entry.key))
          .union(new Set(this.index.withheld.keys()));
        this.#ahead.clear();
        break;
      case "synced":
        for (const key of this.#unlisted ?? []) this.#delete(key, "", true, "");
        this.#unlisted = undefined;
        for (const observer of this.observers) observer.synced();
        this.#synced.resolve();
        break;
      case "delete":
        if (this.#isPast(event.key, event.resourceVersion)) break;
        for (const observer of this.observers) observer.removed(event.key, event.concluded ?? false);
        this.#delete(event.key, event.resourceVersion, event.concluded ?? false, "");
        break;
      case "put": {
        const key = keyOfObject(event.object);
        if (!this.#isPast(key, event.object.metadata.resourceVersion)) {
          this.#put(key, event.object, event.manager ?? "");
        }
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

  /** The store does not have it any more. */
  #delete(key: Key, version: string, concluded: boolean, manager: string | undefined): void {
    const before = this.index.present(key);
    this.#remove(key, version, manager, concluded);
    if (before) this.gone(before, concluded);
  }

  /** @param manager who did it; empty: not known; undefined: the store has not told it */
  #remove(key: Key, version: string, manager: string | undefined, concluded: boolean): void {
    this.#owners.forget(key);
    this.index.withheld.delete(key);
    const before = this.index.get(key);
    if (!this.index.remove(key, version, Date.now(), concluded)) return;
    this.tally.removed(key);
    this.#restate(key);
    if (manager !== undefined) this.changed(key, before, manager);
  }

  /** A state that cannot be used, whatever its fault, is withheld: neither it nor its absence goes anywhere. */
  #put(key: Key, object: StoredObject, manager?: string): void {
    this.#unlisted?.delete(key);
    try {
      this.#show(key, object, manager);
      this.index.withheld.delete(key);
    } catch (error) {
      this.index.withhold(key, reasonOf(error));
    }
  }

  #show(key: Key, object: StoredObject, manager?: string): void {
    const version = object.metadata.resourceVersion;
    const excluded = this.excluded.has(key);
    const kind = excluded ? undefined : kindOf(object, this.scope);
    for (const observer of this.observers) observer.put(object, kind !== undefined);
    if (!kind) return this.#remove(key, version, manager, excluded);
    const payload = canonicalJson(this.#owners.counted(key, replicatedForm(object, kind)));
    checkBounds(payload);
    const before = this.index.get(key);
    const changed = this.index.put(key, {
      payload,
      digest: digestOf(key, payload),
      version,
      now: Date.now(),
      local: localOf(object),
      deletionRequested: deletionRequested(object),
      terminating: object.metadata.deletionTimestamp !== undefined,
    });
    this.tally.put(key, kind.name, object, changed);
    if (!before || before.deleted) this.#restate(key);
    if (changed && manager !== undefined) this.changed(key, before, manager);
  }

  /** An owner has come or gone: its references count, or do not count any more. */
  #restate(owner: Key): void {
    for (const key of this.#owners.ownedBy(owner)) {
      const entry = this.index.present(key);
      if (!entry) continue;
      const payload = this.#owners.restated(entry);
      this.index.put(key, { ...entry, payload, digest: digestOf(key, payload), now: Date.now() });
    }
  }
}
