/**
 * The *replicated form* of an object is the form both sides must agree on: all fields except those that the API server
 * owns (UID, versions, times, managedFields), that only this cluster understands (owner UIDs) or that are a one-time
 * request (the refresh annotation). Digests cover its canonical JSON, so sides in sync have equal digests though UIDs
 * differ. The first source's UID travels as an annotation: agents see one identity, whichever side is ACTIVE.
 */
import { type ApiObject, type OwnerReference, SERVER_OWNED, SOURCE_UID } from "./object.ts";
import type { Kind } from "./kinds.ts";

/** Asks Argo CD to refresh an Application, and is removed afterwards. */
export const REFRESH = "argocd.argoproj.io/refresh";

const NOT_REPLICATED = [...SERVER_OWNED, "generateName"];

const NOT_REPLICATED_ANNOTATIONS = [
  "kubectl.kubernetes.io/last-applied-configuration",
  REFRESH,
];

/** The replicated form of an object of this kind. Pure: the input is not changed. */
export function replicatedForm(object: ApiObject, kind: Kind): ApiObject {
  const metadata = { ...object.metadata };
  for (const field of NOT_REPLICATED) delete metadata[field];
  const annotations = { ...metadata.annotations };
  for (const name of NOT_REPLICATED_ANNOTATIONS) delete annotations[name];
  if (kind.stampsSourceUid && !annotations[SOURCE_UID] && object.metadata.uid) {
    annotations[SOURCE_UID] = object.metadata.uid;
  }
  const owners = (metadata.ownerReferences ?? []).filter(isApplicationSetOwner).map(({ uid: _, ...rest }) =>
    rest
  );
  setOrDelete(metadata, "annotations", Object.keys(annotations).length > 0 ? annotations : undefined);
  setOrDelete(metadata, "labels", nonEmpty(metadata.labels) ? metadata.labels : undefined);
  setOrDelete(metadata, "finalizers", metadata.finalizers?.length ? metadata.finalizers : undefined);
  setOrDelete(metadata, "ownerReferences", owners.length > 0 ? owners : undefined);
  return { ...object, metadata };
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

function isApplicationSetOwner(owner: OwnerReference): boolean {
  return owner.kind === "ApplicationSet" && owner.apiVersion.startsWith("argoproj.io/");
}

function nonEmpty(map: Record<string, string> | undefined): boolean {
  return map !== undefined && Object.keys(map).length > 0;
}

function setOrDelete<T extends object>(target: T, field: keyof T, value: T[keyof T] | undefined): void {
  if (value === undefined) delete target[field];
  else target[field] = value;
}
