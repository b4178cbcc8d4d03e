/** This side's resources, as the peer asks for them: by kind and agent, by key, and in the form that people may see. */
import { parseJson } from "../../base/json.ts";
import { sha256 } from "../../base/sha256.ts";
import type { ChangeIndex, Entry } from "../../domain/changes/index.ts";
import { entriesOf, inventory } from "../../domain/changes/inventory.ts";
import { shownForm } from "../../domain/resources/fields.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import { MAX_FETCHED, MAX_REPAIRED } from "../ports/operations.ts";
import type { Fetched, Inventory } from "../ports/peer.ts";

/** Keys that one answer names at most. */
export const MAX_KEYS = 100_000;

/** Everything by group; of the `groups` named the keys too. */
export function holdings(index: ChangeIndex, groups: readonly string[]): Omit<Inventory, "standing"> {
  const entries = groups.length === 0 ? [] : [...entriesOf(index, new Set(groups), MAX_KEYS)];
  return {
    groups: [...inventory(index).values()],
    entries: entries.map(([key, digest]) => ({ key, digest })),
  };
}

/** Of the keys those that exist: their digests, and with a salt their shown forms. */
export function fetched(index: ChangeIndex, keys: readonly Key[], salt?: Uint8Array): Fetched[] {
  const limit = salt ? MAX_FETCHED : MAX_REPAIRED;
  return keys.slice(0, limit).flatMap((key) => {
    const entry = index.present(key);
    if (!entry) return [];
    return [{ key, digest: entry.digest, object: salt && shown(entry, salt) }];
  });
}

/** An object in which digests of the salt and the value stand in the place of a Secret's values. */
export function shown({ payload }: Entry, salt: Uint8Array): ApiObject {
  return shownForm(
    parseJson(payload) as ApiObject,
    (value) => `digest ${sha256(`${salt.toHex()}${value}`).slice(0, 12)}`,
  );
}
