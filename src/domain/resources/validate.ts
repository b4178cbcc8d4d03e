/**
 * Checks the changes of a peer, which is authenticated but not trusted. A change is refused with the reason, counted and
 * never written if its key is malformed, if replication does not carry its kind, namespace or Secret type, or if its
 * object is not the one that the key names.
 */
import { parseForeign } from "../../base/bounds.ts";
import { OutOfBounds } from "../../base/json.ts";
import { type ApiObject, objectProblem } from "./object.ts";
import { type Key, keyOfObject, parseKey } from "./keys.ts";
import { isUnselected, type Kind, kindOf, mayReplicate } from "./kinds.ts";
import { EVERY_NAMESPACE, type Scope } from "./scope.ts";

/** An accepted change, or the reason of its refusal. */
export type Verdict = { ok: true; object?: ApiObject; kind?: Kind } | { ok: false; reason: string };

/** Checks a deletion of `key`. */
export function acceptDelete(key: Key, scope: Scope): Verdict {
  const parts = parseKey(key);
  if (!parts) return { ok: false, reason: "malformed key" };
  if (!mayReplicate(parts, scope)) {
    return {
      ok: false,
      reason: `${parts.kind} "${parts.name}" in namespace "${parts.namespace}" is not replicated${
        mayReplicate(parts, { ...scope, allowedNamespaces: [EVERY_NAMESPACE] })
          ? " by this side's --allowed-namespaces"
          : ""
      }`,
    };
  }
  return { ok: true };
}

/** Checks an object that a peer sent for `key`; `json` is its text. */
export function acceptObject(key: Key, json: string, scope: Scope): Verdict {
  const named = acceptDelete(key, scope);
  if (!named.ok) return named;
  let value: unknown;
  try {
    value = parseForeign(json);
  } catch (error) {
    return { ok: false, reason: error instanceof OutOfBounds ? error.message : "the object is not JSON" };
  }
  const problem = objectProblem(value);
  if (problem) return { ok: false, reason: problem };
  const object = value as ApiObject;
  if (keyOfObject(object) !== key) {
    return { ok: false, reason: `the object is ${keyOfObject(object).slice(0, 300)}` };
  }
  const kind = kindOf(object, scope);
  if (isUnselected(object, scope)) {
    return { ok: false, reason: "its labels are not those of this side's --label-selector" };
  }
  if (!kind) return { ok: false, reason: "this kind of object, Secret or ConfigMap is not replicated" };
  return { ok: true, object, kind };
}
