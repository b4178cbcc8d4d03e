/**
 * A resource key names one object everywhere: `Kind/namespace/name`, with the API's kind (a repository is a
 * `Secret`). Kubernetes names contain no slash, so the text form is unambiguous.
 */
import type { ApiObject } from "./object.ts";

/** `Kind/namespace/name`. */
export type Key = string;

/** The parts of a key. */
export interface KeyParts {
  kind: string;
  namespace: string;
  name: string;
}

/** The key of these parts. */
export function keyOf(kind: string, namespace: string, name: string): Key {
  return `${kind}/${namespace}/${name}`;
}

/** The key of an object. */
export function keyOfObject(object: ApiObject): Key {
  return keyOf(object.kind, object.metadata.namespace ?? "", object.metadata.name);
}

/** The order of listings: by kind, namespace and name. */
export function byKey(a: ApiObject, b: ApiObject): number {
  return keyOfObject(a) < keyOfObject(b) ? -1 : 1;
}

const DNS_SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** Whether `text` is a DNS-1123 subdomain of at most 253 characters (Kubernetes object names). */
export function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && DNS_SUBDOMAIN.test(text);
}

/** Whether `text` is a DNS-1123 label of at most 63 characters (namespaces, agent names). */
export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && DNS_LABEL.test(text);
}

/** The parts of a well-formed key; undefined for any other text, because a peer may send it. */
export function parseKey(key: Key): KeyParts | undefined {
  const parts = key.split("/");
  const [kind, namespace, name] = parts;
  if (parts.length !== 3 || kind === undefined || namespace === undefined || name === undefined) {
    return undefined;
  }
  if (!/^[A-Z][A-Za-z]{0,62}$/.test(kind) || !isDnsLabel(namespace) || !isDnsSubdomain(name)) {
    return undefined;
  }
  return { kind, namespace, name };
}
