/**
 * The one table of what is replicated. Everything that differs between kinds of resource stands here as data;
 * index, replication and stores treat all kinds alike.
 */
import type { ApiObject } from "./object.ts";
import type { KeyParts } from "./keys.ts";
import { ROSTER_NAME } from "./roster.ts";
import { isReserved } from "./reserved.ts";
import { admits, agentOf, isInCluster, type Scope } from "./scope.ts";

/** The label by which Argo CD and the Go principal mark a Secret's type. */
export const SECRET_TYPE = "argocd.argoproj.io/secret-type";
export const SELF_REGISTERED = "argocd-agent.argoproj-labs.io/self-registered-cluster";
/** The ConfigMap of revoked certificates, as in the Go principal: a key is a fingerprint, upper-case hex SHA-256. */
export const BLOCKLIST_NAME = "argocd-agent-tls-blocklist";
/** The Go principal's label for what stays on its side. */
export const IGNORE_SYNC = "argocd-agent.argoproj-labs.io/ignore-sync";

/** One kind of replicated resource. */
export interface Kind {
  /** The Go principal's name for it in snapshots (`Repository`, not `Secret`). */
  name: string;
  apiVersion: string;
  /** The API's kind. */
  kind: string;
  /** Lower ranks are applied first, so that an Application finds its ApplicationSet. */
  rank: number;
  /** `principal`: only in the principal's own namespace; `any`: wherever Argo CD has it. */
  scope: "principal" | "any";
  /** Whether a replica's copy carries the source's UID as an annotation, as in the Go principal. */
  stampsSourceUid: boolean;
  /** The `dataschema` of the Go principal's incremental events; undefined: there are none. */
  target?: string;
  /** The values of the label `SECRET_TYPE` that mark it; undefined: the label says nothing about it. */
  secretTypes?: readonly string[];
  /** The names of its objects; undefined: any. */
  names?: readonly string[];
  /** Whether `--label-selector` chooses among its objects. */
  selectable: boolean;
  /** Whether its objects own others: deleting one on a replica must leave those in place. */
  ownsOthers: boolean;
  /** Whether its status is only what a controller observed, and comes again by itself: one that is overwritten is no loss. */
  statusObserved: boolean;
  /** Whether a principal keeps it for itself and writes it anew by itself: a state of it that is overwritten is no loss. */
  bookkeeping: boolean;
  /** Whether an object of this API kind and Secret type is this kind of resource. */
  matches(object: ApiObject, scope: Scope): boolean;
}

const ARGO = "argoproj.io/v1alpha1";
const always = () => true;
const label = (object: ApiObject, name: string) => object.metadata.labels?.[name];

/** All replicated kinds; the first match of an object's API kind wins. */
export const KINDS: readonly Kind[] = [
  argo("AppProject", 0, "principal"),
  { ...argo("ApplicationSet", 1, "any"), ownsOthers: true, statusObserved: true },
  core("Repository", "Secret", 2, {
    stampsSourceUid: true,
    target: "repository",
    secretTypes: ["repository", "repo-creds"],
    matches: always,
  }),
  // Argo CD's credentials for pushing hydrated manifests; no agent gets them, and the Go principal has no name for them.
  core("WriteRepository", "Secret", 2, {
    secretTypes: ["repository-write", "repo-write-creds"],
    matches: always,
  }),
  core("ClusterSecret", "Secret", 2, {
    secretTypes: ["cluster"],
    matches: (object, { clusterSecrets }) =>
      clusterSecrets === "all" || label(object, SELF_REGISTERED) === "true",
  }),
  core("GPGKey", "ConfigMap", 2, {
    stampsSourceUid: true,
    names: ["argocd-gpg-keys-cm"],
    matches: always,
  }),
  core("Agents", "ConfigMap", 2, {
    bookkeeping: true,
    names: [ROSTER_NAME],
    matches: always,
  }),
  core("Blocklist", "ConfigMap", 2, { names: [BLOCKLIST_NAME], matches: always }),
  {
    ...argo("Application", 3, "any"),
    statusObserved: true,
    matches: (object, scope) =>
      isInCluster(object, scope) ? scope.inClusterApplications : agentOf(object, scope) !== "",
  },
];

function argo(kind: string, rank: number, scope: Kind["scope"]): Kind {
  return {
    name: kind,
    apiVersion: ARGO,
    kind,
    rank,
    scope,
    stampsSourceUid: true,
    target: kind.toLowerCase(),
    selectable: true,
    ownsOthers: false,
    statusObserved: false,
    bookkeeping: false,
    matches: always,
  };
}

function core(name: string, kind: string, rank: number, rest: Pick<Kind, "matches"> & Partial<Kind>): Kind {
  return {
    name,
    apiVersion: "v1",
    kind,
    rank,
    scope: "principal",
    stampsSourceUid: false,
    selectable: false,
    ownsOthers: false,
    statusObserved: false,
    bookkeeping: false,
    ...rest,
  };
}

/** One kind of the API: what the rows of `KINDS` with this API kind need together. */
export type ApiKind = Pick<
  Kind,
  "apiVersion" | "kind" | "scope" | "secretTypes" | "selectable" | "ownsOthers"
>;

/** The API kinds behind `KINDS`, each once. */
export const API_KINDS: readonly ApiKind[] = [...Map.groupBy(KINDS, ({ kind }) => kind).values()].map(
  together,
);

function together(rows: readonly Kind[]): ApiKind {
  const [{ apiVersion, kind }] = rows as [Kind];
  const labelled = rows.every(({ secretTypes }) => secretTypes);
  return {
    apiVersion,
    kind,
    scope: rows.some(({ scope }) => scope === "any") ? "any" : "principal",
    ...(labelled ? { secretTypes: rows.flatMap(({ secretTypes = [] }) => secretTypes) } : {}),
    selectable: rows.every(({ selectable }) => selectable),
    ownsOthers: rows.some(({ ownsOthers }) => ownsOthers),
  };
}

/** The API kind that keys name (`Secret`, `Application`, …); undefined: nothing of it is replicated. */
export function apiKindOf({ kind }: Pick<KeyParts, "kind">): ApiKind | undefined {
  return API_KINDS.find((candidate) => candidate.kind === kind);
}

/**
 * The kind of a replicated object, or undefined when the object is not replicated: another kind, another
 * Secret type, outside the namespaces or labels of the scope, or labelled ignore-sync.
 */
export function kindOf(object: ApiObject, scope: Scope): Kind | undefined {
  if (label(object, IGNORE_SYNC) === "true") return undefined;
  const { kind: api, metadata: { namespace = "", name } } = object;
  return KINDS.find((kind) =>
    kind.apiVersion === object.apiVersion && hasSecretType(kind, object) && kind.matches(object, scope) &&
    mayBe(kind, { kind: api, namespace, name }, scope) && isSelected(kind, object, scope)
  );
}

/** Whether the labels of an object alone keep it out of the scope. */
export function isUnselected(object: ApiObject, scope: Scope): boolean {
  return !kindOf(object, scope) && kindOf(object, { ...scope, labelSelector: undefined }) !== undefined;
}

/** The kind with the Go principal's name (`Repository`, `ClusterSecret`, …). */
export function kindNamed(name: string): Kind | undefined {
  return KINDS.find((kind) => kind.name === name);
}

/** A replicated form as far as overwriting it could be a loss. */
export function losable(form: ApiObject, { statusObserved }: Kind): ApiObject {
  const { status: _, ...rest } = form;
  return statusObserved ? rest as ApiObject : form;
}

/** The rank of a key by its API kind: what an object's content would add does not change the order. */
export function rankOf(parts: Pick<KeyParts, "kind">): number {
  return KINDS.find((kind) => kind.kind === parts.kind)?.rank ?? 0;
}

/** Whether replication may write or delete such a key at all, before anything is known of its content. */
export function mayReplicate(parts: KeyParts, scope: Scope): boolean {
  return KINDS.some((kind) => mayBe(kind, parts, scope));
}

function mayBe(kind: Kind, { kind: api, namespace, name }: KeyParts, scope: Scope): boolean {
  return kind.kind === api && (kind.names?.includes(name) ?? !isReserved(api, name, scope)) &&
    isWithin(kind, namespace, scope);
}

function hasSecretType({ secretTypes }: Kind, object: ApiObject): boolean {
  return secretTypes === undefined || secretTypes.includes(label(object, SECRET_TYPE) ?? "");
}

function isSelected({ selectable }: Kind, { metadata }: ApiObject, { labelSelector }: Scope): boolean {
  return !selectable || !labelSelector || labelSelector.selects(metadata.labels ?? {});
}

function isWithin(kind: Kind, namespace: string, scope: Scope): boolean {
  return kind.scope === "any" ? admits(scope, namespace) : namespace === scope.namespace;
}
