/**
 * The one table of what is replicated. Everything that differs between kinds of resource stands here as data;
 * index, replication and stores treat all kinds alike.
 */
import type { ApiObject } from "./object.ts";
import type { KeyParts } from "./keys.ts";
import { AGENTS_NAME } from "./agents.ts";
import { admits, agentOf, type Scope } from "./scope.ts";

/** Labels by which Argo CD and the peer tell what a Secret is. */
export const SECRET_TYPE = "argocd.argoproj.io/secret-type";
export const SELF_REGISTERED = "argocd-agent.argoproj-labs.io/self-registered-cluster";
const IGNORE_SYNC = "argocd-agent.argoproj-labs.io/ignore-sync";

/** One kind of replicated resource. */
export interface Kind {
  /** The peer's name for it in snapshots (`Repository`, not `Secret`). */
  name: string;
  apiVersion: string;
  /** The API's kind. */
  kind: string;
  /** Lower ranks are applied first, so that an Application finds its ApplicationSet. */
  rank: number;
  /** `principal`: only in the principal's own namespace; `any`: wherever Argo CD has it. */
  scope: "principal" | "any";
  /** Whether a replica's copy carries the source's UID as an annotation (peer contract). */
  stampsSourceUid: boolean;
  /** The `dataschema` of the peer's incremental events; undefined: the plain contract has none. */
  target?: string;
  /** Whether an object of this API kind is this kind of resource. */
  matches(object: ApiObject, scope: Scope): boolean;
}

const ARGO = "argoproj.io/v1alpha1";
const always = () => true;
const label = (object: ApiObject, name: string) => object.metadata.labels?.[name];

/** All replicated kinds; the first match of an object's API kind wins. */
export const KINDS: readonly Kind[] = [
  argo("AppProject", 0, "principal"),
  argo("ApplicationSet", 1, "any"),
  core("Repository", "Secret", 2, {
    stampsSourceUid: true,
    target: "repository",
    matches: (object) => ["repository", "repo-creds"].includes(label(object, SECRET_TYPE) ?? ""),
  }),
  core("ClusterSecret", "Secret", 2, {
    matches: (object, { clusterSecrets }) =>
      label(object, SECRET_TYPE) === "cluster" &&
      (clusterSecrets === "all" || label(object, SELF_REGISTERED) === "true"),
  }),
  core("GPGKey", "ConfigMap", 2, {
    stampsSourceUid: true,
    matches: (object) => object.metadata.name === "argocd-gpg-keys-cm",
  }),
  core("Agents", "ConfigMap", 2, { matches: (object) => object.metadata.name === AGENTS_NAME }),
  core("Blocklist", "ConfigMap", 2, {
    matches: (object) => object.metadata.name === "argocd-agent-tls-blocklist",
  }),
  { ...argo("Application", 3, "any"), matches: (object, scope) => agentOf(object, scope) !== "" },
];

function argo(kind: string, rank: number, scope: Kind["scope"]): Kind {
  const target = kind.toLowerCase();
  return { name: kind, apiVersion: ARGO, kind, rank, scope, stampsSourceUid: true, target, matches: always };
}

function core(name: string, kind: string, rank: number, rest: Pick<Kind, "matches"> & Partial<Kind>): Kind {
  return { name, apiVersion: "v1", kind, rank, scope: "principal", stampsSourceUid: false, ...rest };
}

/**
 * The kind of a replicated object, or undefined when the object is not replicated: another kind, another
 * Secret type, outside the namespaces that the scope admits, or labelled ignore-sync.
 */
export function kindOf(object: ApiObject, scope: Scope): Kind | undefined {
  if (label(object, IGNORE_SYNC) === "true") return undefined;
  return KINDS.find((kind) =>
    kind.kind === object.kind && kind.apiVersion === object.apiVersion && kind.matches(object, scope) &&
    isWithin(kind, object.metadata.namespace ?? "", scope)
  );
}

/** The kind with the peer's name (`Repository`, `ClusterSecret`, …). */
export function kindNamed(name: string): Kind | undefined {
  return KINDS.find((kind) => kind.name === name);
}

/** The rank of a key by its API kind: what an object's content would add does not change the order. */
export function rankOf(parts: Pick<KeyParts, "kind">): number {
  return KINDS.find((kind) => kind.kind === parts.kind)?.rank ?? 0;
}

/** Whether replication may write or delete such a key at all, before anything is known of its content. */
export function mayReplicate(parts: KeyParts, scope: Scope): boolean {
  return KINDS.some((kind) => kind.kind === parts.kind && isWithin(kind, parts.namespace, scope));
}

function isWithin(kind: Kind, namespace: string, scope: Scope): boolean {
  return kind.scope === "any" ? admits(scope, namespace) : namespace === scope.namespace;
}
