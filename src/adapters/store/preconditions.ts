/** Checks that every store makes of a write, in the same words. */
import { type Key, type KeyParts, parseKey } from "../../domain/resources/keys.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import { StoreError, type Write } from "../../principal/ports/store.ts";

/** The parts of a key. @throws StoreError `invalid` */
export function partsOf(key: Key): KeyParts {
  const parts = parseKey(key);
  if (!parts) throw new StoreError("invalid", `"${key.slice(0, 300)}" is not a key (Kind/namespace/name)`);
  return parts;
}

/** Holds a write to what it expects of the present object. @throws StoreError `conflict`, or `invalid` where the object must stay */
export function checkExpected(
  key: Key,
  current: StoredObject | undefined,
  { expect, keep }: Pick<Write, "expect" | "keep">,
): void {
  const why = current && keep?.(current);
  if (why) throw new StoreError("invalid", why);
  const actual = current?.metadata.resourceVersion ?? "absent";
  if (expect === undefined || actual === expect) return;
  throw new StoreError(
    "conflict",
    `${key} is at "${actual}", not at "${expect}" as expected; re-read it and retry`,
  );
}
