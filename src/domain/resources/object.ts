/** Kubernetes objects as this project handles them: JSON with the few metadata fields that it reads. */
import { isExactNumber } from "../../base/json.ts";

/** One entry of `metadata.ownerReferences`. */
export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid?: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

/** `metadata`; its other fields travel untouched. */
export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
  [field: string]: unknown;
}

/** A Kubernetes object of any kind. */
export interface ApiObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

/** An object of the store, which always has the server-owned metadata. */
export type StoredObject = ApiObject & {
  metadata: ObjectMeta & { namespace: string; uid: string; resourceVersion: string };
};

/** The UID of the object at its source, kept over any number of failovers (the Go principal's contract). */
export const SOURCE_UID = "argocd.argoproj.io/source-uid";

/** The metadata that an API server owns; a write cannot set it. */
export const SERVER_OWNED: readonly string[] = [
  "uid",
  "resourceVersion",
  "generation",
  "creationTimestamp",
  "deletionTimestamp",
  "deletionGracePeriodSeconds",
  "selfLink",
  "managedFields",
];

/** Whether a value is a JSON object (not null, not an array, not a number). */
export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !isExactNumber(value);
}

/** A field of a Secret as text; empty if it is missing or not base64. */
export function secretText(secret: ApiObject, field: string): string {
  const data = secret["data"];
  const value = isRecord(data) ? data[field] : undefined;
  if (typeof value !== "string") return "";
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(value), (c) => c.charCodeAt(0)));
  } catch {
    return "";
  }
}

/** The first fault that makes `value` no storable object; undefined if there is none. */
export function objectProblem(value: unknown): string | undefined {
  if (!isRecord(value)) return "not an object";
  if (typeof value["apiVersion"] !== "string" || value["apiVersion"] === "") return "apiVersion is missing";
  if (typeof value["kind"] !== "string" || value["kind"] === "") return "kind is missing";
  const metadata = value["metadata"];
  if (!isRecord(metadata)) return "metadata is missing";
  if (typeof metadata["name"] !== "string" || metadata["name"] === "") return "metadata.name is missing";
  for (const map of ["labels", "annotations"]) {
    const entries = metadata[map];
    if (entries === undefined || entries === null) continue;
    if (!isRecord(entries) || Object.values(entries).some((v) => typeof v !== "string")) {
      return `metadata.${map} must map strings to strings`;
    }
  }
  const owners = metadata["ownerReferences"];
  if (owners !== undefined && owners !== null && !(Array.isArray(owners) && owners.every(isOwner))) {
    return "metadata.ownerReferences is malformed";
  }
  const finalizers = metadata["finalizers"];
  if (finalizers !== undefined && finalizers !== null) {
    if (!Array.isArray(finalizers) || finalizers.some((f) => typeof f !== "string")) {
      return "metadata.finalizers must be a list of strings";
    }
  }
  return undefined;
}

function isOwner(value: unknown): boolean {
  return isRecord(value) && ["apiVersion", "kind", "name"].every((field) => typeof value[field] === "string");
}
