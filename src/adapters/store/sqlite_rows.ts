/** The rows of the embedded store, and the objects in them. */
import { parseStored } from "../../base/bounds.ts";
import { sha256 } from "../../base/sha256.ts";
import { isDnsSubdomain, keyOf, parseKey } from "../../domain/resources/keys.ts";
import { type ApiObject, objectProblem, type StoredObject } from "../../domain/resources/object.ts";
import { type StoreEvent, UnfitObject } from "../../principal/ports/store.ts";

/** One object, or its tombstone; the body is canonical JSON. */
export interface Row {
  kind: string;
  namespace: string;
  name: string;
  revision: number;
  deleted: number;
  body: string;
  sum: string;
}

/** The object of a row. */
export function objectOf(row: Row): StoredObject {
  const object = parseStored(row.body) as StoredObject;
  object.metadata.resourceVersion = String(row.revision);
  return object;
}

/** The sum that a row has of its body. */
export function checksum(body: string): string {
  return sha256(body).slice(0, 32);
}

/** The event of a tombstone. */
export function deletion(row: Row): StoreEvent {
  return {
    type: "delete",
    key: keyOf(row.kind, row.namespace, row.name),
    resourceVersion: String(row.revision),
  };
}

/** @throws UnfitObject where a value has no form of an object, or no name */
export function checkForm(object: ApiObject): void {
  const problem = objectProblem(object) ?? nameProblem(object);
  if (problem) throw new UnfitObject(problem);
}

function nameProblem(object: ApiObject): string | undefined {
  const { name, namespace } = object.metadata;
  if (!namespace) return "metadata.namespace is missing";
  if (!isDnsSubdomain(name)) return `metadata.name "${name.slice(0, 300)}" is not a DNS-1123 subdomain`;
  if (!parseKey(keyOf(object.kind, namespace, name))) return `kind or namespace is malformed`;
  return undefined;
}
