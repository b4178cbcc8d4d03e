/**
 * Deletions that are requested and not carried out, at the ACTIVE: those that wait for finalizers here, and requests of an earlier ACTIVE,
 * which go on only as far as an operator takes them.
 */
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { SOURCE_UID } from "../../domain/resources/object.ts";
import { deletionRequested, withoutDeletion } from "../../domain/resources/transform.ts";
import type { Store } from "../ports/store.ts";

/** One requested deletion. */
export interface PendingDeletion {
  key: Key;
  /** RFC 3339. */
  requested: string;
  waitsFor: "finalizers" | "an operator";
}

/** The part of the principal that pending deletions need. */
export interface PendingDeletionsParts {
  readonly index: Pick<ChangeIndex, "requested">;
  /** Written only while this principal is ACTIVE. */
  readonly activeStore: Pick<Store, "get" | "write">;
}

export class PendingDeletions {
  constructor(private readonly parts: PendingDeletionsParts) {}

  list(): PendingDeletion[] {
    return this.parts.index.requested().map(({ key, deletionRequested: requested, terminating }) => ({
      key,
      requested,
      waitsFor: terminating ? "finalizers" : "an operator",
    }));
  }

  /** Carries out the deletion of an object, as its user asked; of one that waits for finalizers already, without them. @throws StoreError */
  async release(key: Key): Promise<void> {
    const { activeStore } = this.parts;
    const object = await activeStore.get(key);
    if (!object || deletionRequested(object) === "") return;
    const graceful = object.metadata.deletionTimestamp === undefined;
    await activeStore.write({ op: "delete", key, expect: object.metadata.resourceVersion, graceful });
  }

  /** Takes the request back: the object is as any; one that waits for finalizers is recreated without them having run. @throws StoreError */
  async restore(key: Key): Promise<void> {
    const { activeStore } = this.parts;
    const object = await activeStore.get(key);
    if (!object || deletionRequested(object) === "") return;
    const expect = object.metadata.resourceVersion;
    const restored = withoutDeletion(object);
    const { annotations = {} } = restored.metadata;
    // A recreated object has another UID; to its agent it stays the same resource.
    if (object.metadata.deletionTimestamp) annotations[SOURCE_UID] ??= object.metadata.uid;
    const metadata = { ...restored.metadata, annotations };
    await activeStore.write({ op: "put", object: { ...restored, metadata }, expect, replace: true });
  }
}
