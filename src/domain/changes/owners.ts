/**
 * An owner reference counts only while its owner is in the index itself. An ApplicationSet that is not replicated (labelled
 * ignore-sync, or outside the scope) has no copy that the other side's reference could name, and a copy without the reference would
 * differ for ever. References are kept here and restated whenever their owner enters or leaves the index.
 */
import { canonicalJson, parseJson } from "../../base/json.ts";
import type { Key } from "../resources/keys.ts";
import type { ApiObject, OwnerReference } from "../resources/object.ts";
import { ownerKey } from "../resources/transform.ts";
import type { ChangeIndex, Entry } from "./index.ts";

export class Owners {
  readonly #references = new Map<Key, { owner: Key; reference: OwnerReference }[]>();
  readonly #owned = new Map<Key, Set<Key>>();

  constructor(private readonly index: Pick<ChangeIndex, "present">) {}

  /** The form of `key` with the owners that count now; all of them are remembered. */
  counted(key: Key, form: ApiObject): ApiObject {
    this.forget(key);
    const references = (form.metadata.ownerReferences ?? []).map((reference) => (
      { owner: ownerKey(form, reference), reference }
    ));
    if (references.length === 0) return form;
    this.#references.set(key, references);
    for (const { owner } of references) {
      this.#owned.set(owner, (this.#owned.get(owner) ?? new Set()).add(key));
    }
    return this.#stated(key, form);
  }

  /** The key is gone, or not replicated. */
  forget(key: Key): void {
    for (const { owner } of this.#references.get(key) ?? []) {
      const owned = this.#owned.get(owner);
      owned?.delete(key);
      if (owned?.size === 0) this.#owned.delete(owner);
    }
    this.#references.delete(key);
  }

  /** The keys that name this owner. */
  ownedBy(owner: Key): Key[] {
    return [...this.#owned.get(owner) ?? []];
  }

  /** The keys with an owner that does not count, each with that owner. */
  get alone(): { key: Key; owner: Key }[] {
    return [...this.#owned].flatMap(([owner, keys]) =>
      this.index.present(owner) ? [] : [...keys].map((key) => ({ key, owner }))
    );
  }

  /** The payload of an entry with the owners that count now. */
  restated({ key, payload }: Entry): string {
    return canonicalJson(this.#stated(key, parseJson(payload) as ApiObject));
  }

  #stated(key: Key, form: ApiObject): ApiObject {
    const { ownerReferences: _, ...metadata } = form.metadata;
    const counting = (this.#references.get(key) ?? []).filter(({ owner }) => this.index.present(owner));
    if (counting.length > 0) metadata.ownerReferences = counting.map(({ reference }) => reference);
    return { ...form, metadata };
  }
}
