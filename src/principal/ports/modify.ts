/**
 * The one way to change an object that others write too: read, decide, write for exactly the state that was read, and retry where
 * another writer was faster. Each attempt decides from what it read, so that no writer's change is lost.
 */
import { delay } from "@std/async/delay";
import type { Key } from "../../domain/resources/keys.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { type Store, StoreError, type Written } from "./store.ts";

/** Attempts, the first included. */
const ATTEMPTS = 11;
/** The wait after the first conflict, in ms; after the second twice as long, and so on: about a second in all. */
const CONFLICT_MS = 20;

type Contended = Pick<Store, "get" | "write">;
type Change<Changed> = (existing: StoredObject | undefined) => Promise<Changed> | Changed;

/**
 * Changes the object of a key.
 *
 * @param change from what is there (undefined: nothing) to what is to be there; undefined: nothing is to be written
 * @returns what the write did; undefined when nothing was to be written
 * @throws StoreError, `conflict` after 11 attempts; or what `change` throws
 */
export function modify(store: Contended, key: Key, change: Change<ApiObject>): Promise<Written>;
export function modify(
  store: Contended,
  key: Key,
  change: Change<ApiObject | undefined>,
): Promise<Written | undefined>;
export function modify(
  store: Contended,
  key: Key,
  change: Change<ApiObject | undefined>,
): Promise<Written | undefined> {
  return contended(async () => {
    const existing = await store.get(key);
    const object = await change(existing);
    if (!object) return undefined;
    return await store.write({ op: "put", object, expect: existing?.metadata.resourceVersion ?? "absent" });
  });
}

/** Looks and writes, again where another writer came in between. @param attempt both @throws what it throws, `conflict` after 11 */
export async function contended<Done>(attempt: () => Promise<Done>): Promise<Done> {
  for (let attempts = 1;; attempts++) {
    try {
      return await attempt();
    } catch (error) {
      const conflict = error instanceof StoreError && error.code === "conflict";
      if (!conflict || attempts === ATTEMPTS) throw error;
      await delay(CONFLICT_MS * attempts);
    }
  }
}
