/** The objects to watch in a cluster and the rights that this takes: both derive from the domain's one table of kinds. */
import { API_KINDS, type ApiKind, apiKindOf, KINDS, SECRET_TYPE } from "../../domain/resources/kinds.ts";
import { StoreError } from "../../principal/ports/store.ts";
import { DEPLOYMENTS, EVENTS } from "../kube/deployment_board.ts";
import type { Resource } from "../kube/discovery.ts";
import type { Watched } from "../kube/reflector.ts";

/** The verbs that reading, watching and writing a resource take: those that cannot be given for a name, and those that can. */
const UNNAMED = ["list", "watch", "create"];
const NAMED = ["get", "patch", "delete"];

/** Verbs on a resource; `subresource` empty: the resource itself, `namespace` empty: everywhere, `name` empty: whatever its name. */
export interface Rights {
  resource: Resource;
  subresource: string;
  namespace: string;
  name: string;
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

/** The name of the lock. */
export const LEASE_NAME = "argocd-agent-ha-lock";

/** The rights that holding it takes. */
export function lockRights(namespace: string): Rights[] {
  const lease = { resource: LEASES, subresource: "", namespace };
  return [{ ...lease, name: "", verbs: ["create"] }, { ...lease, name: LEASE_NAME, verbs: ["get", "patch"] }];
}

/** The rights that showing the state on a Deployment takes, see `--ha-deployment`: never its spec, which says what runs. */
export function boardRights(namespace: string, deployment: string): Rights[] {
  const about = { resource: DEPLOYMENTS, namespace, name: deployment };
  return [
    { resource: EVENTS, subresource: "", namespace, name: "", verbs: ["create"] },
    { ...about, subresource: "", verbs: ["get"] },
    { ...about, subresource: "status", verbs: ["patch"] },
  ];
}

/** The rights that `--namespace-create-enable` takes beside those of the kinds. */
export const NAMESPACE_CREATION: Rights = {
  resource: NAMESPACES,
  subresource: "",
  namespace: "",
  name: "",
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
  const whole = { resource, subresource: "", namespace, name: "" };
  const names = namesOf(resource);
  const rights = names
    ? [{ ...whole, verbs: UNNAMED }, ...names.map((name) => ({ ...whole, name, verbs: NAMED }))]
    : [{ ...whole, verbs: [...UNNAMED, ...NAMED] }];
  const status = { ...whole, subresource: "status", verbs: ["patch"] };
  return resource.statusSubresource ? [...rights, status] : rights;
}

/** The names of all replicated objects of an API kind; undefined: they may have any. */
function namesOf({ kind }: Resource): string[] | undefined {
  const kinds = KINDS.filter((one) => one.kind === kind);
  return kinds.every(({ names }) => names) ? kinds.flatMap(({ names = [] }) => names) : undefined;
}

/** The API kind that a key names. @throws StoreError `invalid`: this store keeps nothing of that kind */
export function knownKind(kind: string): ApiKind {
  const found = apiKindOf({ kind });
  if (found) return found;
  const known = API_KINDS.map((one) => one.kind).join(", ");
  throw new StoreError("invalid", `the kubernetes store keeps no ${kind}; it keeps ${known}`);
}
