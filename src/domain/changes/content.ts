/** The content of an object as the change index keeps it: its replicated form as text, and the digest that both sides compare. */
import { canonicalJson, keptNumbers } from "../../base/json.ts";
import { sha256 } from "../../base/sha256.ts";
import type { Kind } from "../resources/kinds.ts";
import type { ApiObject } from "../resources/object.ts";
import { REFRESH, replicatedForm } from "../resources/transform.ts";
import type { Digest } from "./digest.ts";

/** The digest of a resource: of its key and of its content as an API server keeps it, whatever form its numbers have here. */
export function digestOf(key: string, payload: string): Digest {
  return sha256(`${key}\n${keptNumbers(payload)}`).slice(0, 32);
}

/** The replicated form of an object as canonical JSON. */
export function payloadOf(object: ApiObject, kind: Kind): string {
  return canonicalJson(replicatedForm(object, kind));
}

/** The facts of an object for agents and not for replicas: a requested refresh, and a deletion in progress. */
export function localOf({ metadata }: ApiObject): string {
  const refresh = metadata.annotations?.[REFRESH];
  const { deletionTimestamp } = metadata;
  return refresh || deletionTimestamp ? JSON.stringify({ refresh, deletionTimestamp }) : "";
}
