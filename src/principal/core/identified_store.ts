/**
 * A store whose objects keep the identity by which agents know them: the UID of a resource's first source, which a copy carries
 * as an annotation. `kubectl replace` and Argo CD's ApplicationSet controller remove it, and to its agent the copy would then be
 * another resource, deleted and recreated. An object whose own UID is unchanged is therefore shown with its former annotation;
 * `stripped` hears of it, so that the annotation can be written back before this process ends.
 */
import type { Missing } from "../../domain/resources/missing.ts";
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import { SOURCE_UID, type StoredObject } from "../../domain/resources/object.ts";
import type { Store, StoreEvent, StoreStatus, Write, Written } from "../ports/store.ts";

/** An identity, and the UID in this cluster of the object that has it. */
interface Identity {
  uid: string;
  source: string;
}

export class IdentifiedStore implements Store {
  readonly #identities = new Map<Key, Identity>();
  /** During a listing: the keys that it has not named yet. */
  #unnamed: Set<Key> | undefined;

  /** @param stripped hears of each state of an object that has lost its annotation */
  constructor(private readonly store: Store, private readonly stripped: (key: Key) => void = () => {}) {}

  async get(key: Key): Promise<StoredObject | undefined> {
    const object = await this.store.get(key);
    return object && this.#identified(object);
  }

  async list(kind?: string): Promise<StoredObject[]> {
    return (await this.store.list(kind)).map((object) => this.#identified(object));
  }

  each(visit: (object: StoredObject) => void): Promise<void> {
    return this.store.each((object) => visit(this.#identified(object)));
  }

  async write(write: Write): Promise<Written> {
    const written = await this.store.write(write);
    return written.object ? { ...written, object: this.#identified(written.object) } : written;
  }

  async *watch(signal: AbortSignal): AsyncGenerator<StoreEvent[]> {
    for await (const events of this.store.watch(signal)) yield events.map((event) => this.#told(event));
  }

  examine(...looked: Parameters<Store["examine"]>): Promise<Missing | undefined> {
    return this.store.examine(...looked);
  }

  status(): StoreStatus {
    return this.store.status();
  }

  close(): Promise<void> {
    return this.store.close();
  }

  #told(event: StoreEvent): StoreEvent {
    switch (event.type) {
      case "reset":
        this.#unnamed = new Set(this.#identities.keys());
        return event;
      case "synced":
        for (const key of this.#unnamed ?? []) this.#identities.delete(key);
        this.#unnamed = undefined;
        return event;
      case "delete":
        this.#identities.delete(event.key);
        return event;
      case "put":
        return { ...event, object: this.#seen(event.object) };
    }
  }

  #seen(object: StoredObject): StoredObject {
    const key = keyOfObject(object);
    const { uid, annotations } = object.metadata;
    const source = annotations?.[SOURCE_UID];
    this.#unnamed?.delete(key);
    if (source) this.#identities.set(key, { uid, source });
    else if (this.#identities.get(key)?.uid !== uid) this.#identities.delete(key);
    const identified = this.#identified(object);
    if (identified !== object) this.stripped(key);
    return identified;
  }

  #identified(object: StoredObject): StoredObject {
    const { metadata } = object;
    if (metadata.annotations?.[SOURCE_UID]) return object;
    const known = this.#identities.get(keyOfObject(object));
    if (!known || known.uid !== metadata.uid) return object;
    const annotations = { ...metadata.annotations, [SOURCE_UID]: known.source };
    return { ...object, metadata: { ...metadata, annotations } };
  }
}
