/** Checks that every store makes of a write, in the same words. */
import { type Key, type KeyParts, parseKey } from "../../domain/resources/keys.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import { StoreError } from "../../principal/ports/store.ts";

/** The parts of a key. @throws StoreError `invalid` */
export function partsOf(key: Key): KeyParts {
  const parts = parseKey(key);
  if (!parts) throw new StoreError("invalid", `"${key.slice(0, 300)}" is not a key (Kind/namespace/name)`);
  return parts;
}

/** Holds a write to the version that it expects; undefined expects none. @throws StoreError `conflict` */
export function checkExpected(key: Key, current: StoredObject | undefined, expect: string | undefined): void {
  const actual = current?.metadata.resourceVersion ?? "absent";
  if (expect === undefined || actual === expect) return;
  throw new StoreError(
    "conflict",
    `${key} is at "${actual}", not at "${expect}" as expected; re-read it and retry`,
  );
}
