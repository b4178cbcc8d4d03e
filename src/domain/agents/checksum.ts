/**
 * The peer's checksums for resync: SHA-256 over what two sides have of a resource, or over the list of what they have. Hashing is
 * the runtime's and is passed in.
 */
import { keptJson } from "../../base/json.ts";
import { type ApiObject, isRecord } from "../resources/object.ts";

/** SHA-256 of a text, as base64. */
export type Sha256 = (text: string) => string;

/** JSON as Go's encoder writes a map: sorted keys, no spaces, and five characters escaped. */
export function goJson(value: unknown): string {
  return keptJson(value).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The checksum of a resource: of its `spec` without destination, or of its `data`. */
export function specChecksum(object: ApiObject, sha256: Sha256): string {
  const content = object["spec"] ?? object["data"];
  const { destination: _, ...rest } = isRecord(content) ? content : {};
  return sha256(goJson(rest));
}

/** One entry of a list of what a side has. */
export interface Listed {
  /** The Go principal's name of the kind. */
  kind: string;
  name: string;
  uid: string;
}

/** The checksum of a list; empty for an empty one. */
export function listChecksum(list: readonly Listed[], sha256: Sha256): string {
  if (list.length === 0) return "";
  return sha256(list.map(({ kind, name, uid }) => `${kind}/${name}/${uid}`).sort().join(""));
}
