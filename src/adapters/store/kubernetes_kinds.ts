/** The objects to watch in a cluster and the rights that this takes: both derive from the domain's one table of kinds. */
import { API_KINDS, type ApiKind, apiKindOf, SECRET_TYPE } from "../../domain/resources/kinds.ts";
import { StoreError } from "../../principal/ports/store.ts";
import type { Resource } from "../kube/discovery.ts";
import type { Watched } from "../kube/reflector.ts";

/** The verbs that reading, watching and writing a resource take. */
const VERBS = ["get", "list", "watch", "create", "patch", "delete"];

/** Verbs on a resource; `subresource` empty: the resource itself, `namespace` empty: everywhere. */
export interface Rights {
  resource: Resource;
  subresource: string;
  namespace: string;
  verbs: readonly string[];
}

export const NAMESPACES: Resource = {
  apiVersion: "v1",
  kind: "Namespace",
  plural: "namespaces",
  statusSubresource: false,
};

/** The lock on the store, in the principal's namespace. */
export const LEASES: Resource = {
  apiVersion: "coordination.k8s.io/v1",
  kind: "Lease",
  plural: "leases",
  statusSubresource: false,
};

/** The rights that holding it takes. */
export function lockRights(namespace: string): Rights {
  return { resource: LEASES, subresource: "", namespace, verbs: ["get", "create", "patch"] };
}

/** The rights that `--namespace-create-enable` takes beside those of the kinds. */
export const NAMESPACE_CREATION: Rights = {
  resource: NAMESPACES,
  subresource: "",
  namespace: "",
  verbs: ["create"],
};

/** The watches of a principal of this namespace, one for each API kind; `labelSelector` is the operator's. */
export function watchesOf(
  { namespace, labelSelector }: { namespace: string; labelSelector: string },
): Watched[] {
  return API_KINDS.map(({ apiVersion, kind, scope, secretTypes, selectable }) => ({
    apiVersion,
    kind,
    namespace: scope === "principal" ? namespace : "",
    labelSelector: [
      ...(secretTypes ? [`${SECRET_TYPE} in (${secretTypes.join(",")})`] : []),
      ...(selectable && labelSelector !== "" ? [labelSelector] : []),
    ].join(","),
  }));
}

/** The rights that a watched resource takes, in the namespace where it is watched. */
export function rightsOf(resource: Resource, namespace: string): Rights[] {
  const whole = { resource, subresource: "", namespace, verbs: VERBS };
  return resource.statusSubresource
    ? [whole, { resource, subresource: "status", namespace, verbs: ["patch"] }]
    : [whole];
}

/** The API kind that a key names. @throws StoreError `invalid`: this store keeps nothing of that kind */
export function knownKind(kind: string): ApiKind {
  const found = apiKindOf({ kind });
  if (found) return found;
  const known = API_KINDS.map((one) => one.kind).join(", ");
  throw new StoreError("invalid", `the kubernetes store keeps no ${kind}; it keeps ${known}`);
}
