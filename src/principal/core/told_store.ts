/** A store that tells of each write of this principal and of each change that it reports, where that is wanted. */
import type { Tell } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import { keyOfObject } from "../../domain/resources/keys.ts";
import type { Store, StoreEvent, Write } from "../ports/store.ts";

/** The kinds that hold no credentials, and whose objects may stand in a log. */
const SHOWN: readonly string[] = ["Application", "ApplicationSet", "AppProject"];

/** Tells with `action` of writes and with `change` of changes; undefined: of none. */
export function toldStore(store: Store, action: Tell | undefined, change: Tell | undefined): Store {
  if (!action && !change) return store;
  return {
    get: (key) => store.get(key),
    list: (kind) => store.list(kind),
    each: (visit) => store.each(visit),
    write: action ? (write) => written(store, write, action) : (write) => store.write(write),
    watch: change ? (signal) => watched(store, signal, change) : (signal) => store.watch(signal),
    examine: (namespaces, fields) => store.examine(namespaces, fields),
    status: () => store.status(),
    close: () => store.close(),
  };
}

async function written(store: Store, write: Write, tell: Tell): ReturnType<Store["write"]> {
  const key = write.op === "put" ? keyOfObject(write.object) : write.key;
  const detail = () => write.op === "put" ? textOf(write.object) : "";
  try {
    const result = await store.write(write);
    if (result.changed) tell("object written", { action: write.op, key }, detail);
    return result;
  } catch (error) {
    tell("object not written", { action: write.op, key, reason: reasonOf(error) }, detail);
    throw error;
  }
}

async function* watched(store: Store, signal: AbortSignal, tell: Tell): AsyncGenerator<StoreEvent[]> {
  for await (const events of store.watch(signal)) {
    for (const event of events) {
      if (event.type === "put") {
        const { object } = event;
        tell("change seen", { action: "put", key: keyOfObject(object) }, () => textOf(object));
      }
      if (event.type === "delete") tell("change seen", { action: "delete", key: event.key }, () => "");
    }
    yield events;
  }
}

function textOf(object: ApiObject): string {
  return SHOWN.includes(object.kind) ? JSON.stringify(object) : "";
}
