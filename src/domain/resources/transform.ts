/**
 * The *replicated form* of an object is the form both sides must agree on: its normal form (normal.ts) without what only this
 * cluster understands (owner UIDs, owners that are not replicated) and without a one-time request (the refresh annotation). Digests
 * cover its canonical JSON, so sides in sync have equal digests though UIDs differ. The first source's UID travels as an annotation:
 * agents see one identity, whichever side is ACTIVE.
 */
import { type ApiObject, type OwnerReference, SOURCE_UID } from "./object.ts";
import type { Kind } from "./kinds.ts";
import { type Key, keyOf } from "./keys.ts";
import { normalForm } from "./normal.ts";

/**
 * Since when the deletion of an object is requested (RFC 3339). Of an object that is being deleted the form says so in this annotation; a
 * copy carries it as an intention, which deletes nothing.
 */
export const DELETION_REQUESTED = "argocd-agent.argoproj-labs.io/ha-deletion-requested";

/** Asks Argo CD to refresh an Application, and is removed afterwards. */
export const REFRESH = "argocd.argoproj.io/refresh";

/** The last input of `kubectl apply`, by which the next one knows the fields to remove. */
export const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

/** The bytes that an API server allows for all annotations of an object, names and values. */
export const MAX_ANNOTATION_BYTES = 262_144;

/**
 * The replicated form of an object of this kind. Pure: the input is not changed. Where the source's UID leaves the annotations no
 * room, the form has no last-applied configuration.
 */
export function replicatedForm(object: ApiObject, kind: Kind): ApiObject {
  const form = normalForm(object);
  const metadata = { ...form.metadata };
  const annotations = { ...metadata.annotations };
  delete annotations[REFRESH];
  if (kind.stampsSourceUid && !annotations[SOURCE_UID] && object.metadata.uid) {
    annotations[SOURCE_UID] = object.metadata.uid;
  }
  const { deletionTimestamp } = object.metadata;
  if (deletionTimestamp) annotations[DELETION_REQUESTED] = deletionTimestamp;
  if (annotations[LAST_APPLIED] && annotationBytes(annotations) > MAX_ANNOTATION_BYTES) {
    delete annotations[LAST_APPLIED];
  }
  const references = owners(form).map(({ uid: _, ...rest }) => rest);
  setOrDelete(metadata, "annotations", Object.keys(annotations).length > 0 ? annotations : undefined);
  setOrDelete(metadata, "ownerReferences", references.length > 0 ? references : undefined);
  return { ...form, metadata };
}

/** The size of annotations as an API server counts it. */
export function annotationBytes(annotations: Readonly<Record<string, string>>): number {
  const encoder = new TextEncoder();
  return Object.entries(annotations).reduce((sum, pair) => sum + encoder.encode(pair.join("")).length, 0);
}

/** Since when the deletion of an object is requested; empty: it is not. */
export function deletionRequested({ metadata }: ApiObject): string {
  return metadata.deletionTimestamp ?? metadata.annotations?.[DELETION_REQUESTED] ?? "";
}

/** The object without the intention to delete it. */
export function withoutDeletion(object: ApiObject): ApiObject {
  const { [DELETION_REQUESTED]: _, ...annotations } = object.metadata.annotations ?? {};
  const { deletionTimestamp: __, ...metadata } = object.metadata;
  return { ...object, metadata: { ...metadata, annotations } };
}

/**
 * The ApplicationSets that own an object of this form. Other owners never travel: their UIDs do not exist in
 * the other cluster, whose garbage collector would delete the copy.
 */
export function owners(form: ApiObject): OwnerReference[] {
  return (form.metadata.ownerReferences ?? []).filter(isApplicationSetOwner);
}

/**
 * The object to write on the replica: the form with owner references that name this cluster's UIDs. An owner
 * that `uidOf` does not know is left out; `missing` names it, so that the reference can be repaired later.
 */
export function localize(
  form: ApiObject,
  uidOf: (owner: OwnerReference) => string | undefined,
): { object: ApiObject; missing: OwnerReference[] } {
  const missing: OwnerReference[] = [];
  const references: OwnerReference[] = [];
  for (const owner of owners(form)) {
    const uid = uidOf(owner);
    if (uid === undefined) missing.push(owner);
    else references.push({ ...owner, uid });
  }
  const metadata = { ...form.metadata };
  setOrDelete(metadata, "ownerReferences", references.length > 0 ? references : undefined);
  return { object: { ...form, metadata }, missing };
}

/** The key of an owner of this form. */
export function ownerKey(form: ApiObject, owner: OwnerReference): Key {
  return keyOf(owner.kind, form.metadata.namespace ?? "", owner.name);
}

function isApplicationSetOwner(owner: OwnerReference): boolean {
  return owner.kind === "ApplicationSet" && owner.apiVersion.startsWith("argoproj.io/");
}

function setOrDelete<T extends object>(target: T, field: keyof T, value: T[keyof T] | undefined): void {
  if (value === undefined) delete target[field];
  else target[field] = value;
}
