/** The part of a cluster that a principal is responsible for: one value that every reader and writer asks. */
import type { LabelSelector } from "./label_selector.ts";
import type { ApiObject } from "./object.ts";
import { isRecord } from "./object.ts";
import { type NamePattern, patternOf } from "./patterns.ts";

export interface Scope {
  /** The principal's own namespace; always part of the scope. */
  namespace: string;
  /** Further namespaces of Applications and ApplicationSets; empty: none. */
  allowedNamespaces: readonly NamePattern[];
  /** Which Applications, AppProjects and ApplicationSets; undefined: all. */
  labelSelector: LabelSelector | undefined;
  /** Whether the destination's name, rather than the namespace, names an Application's agent. */
  destinationMapping: boolean;
  /** `self-registered`: only cluster secrets that agents registered themselves; `all`: also those that people made. */
  clusterSecrets: "self-registered" | "all";
  /** Whether Applications that Argo CD deploys into its own cluster replicate too: the other side's Argo CD would deploy them there. */
  inClusterApplications: boolean;
  /** Secrets that this principal reads its own keys from, beside those of reserved.ts. */
  ownSecrets: readonly string[];
}

/** The pattern of all namespaces. */
export const EVERY_NAMESPACE = patternOf("*");

/** A scope of everything, for a principal of this namespace. */
export function wholeScope(namespace: string): Scope {
  return {
    namespace,
    allowedNamespaces: [EVERY_NAMESPACE],
    labelSelector: undefined,
    destinationMapping: false,
    clusterSecrets: "all",
    inClusterApplications: false,
    ownSecrets: [],
  };
}

/** Whether objects of a namespace may be read and written. */
export function admits({ namespace, allowedNamespaces }: Scope, candidate: string): boolean {
  return candidate === namespace || allowedNamespaces.some((pattern) => pattern.matches(candidate));
}

/** Argo CD's own cluster, as a destination. */
export const IN_CLUSTER = { name: "in-cluster", server: "https://kubernetes.default.svc" } as const;

/** Whether Argo CD deploys an Application into its own cluster: it is in the principal's namespace, and its destination is that cluster. */
export function isInCluster({ metadata, spec }: ApiObject, { namespace }: Scope): boolean {
  if (metadata.namespace !== namespace || !isRecord(spec) || !isRecord(spec["destination"])) return false;
  const { name, server } = spec["destination"];
  return name === IN_CLUSTER.name ||
    (typeof server === "string" && server.replace(/\/+$/, "") === IN_CLUSTER.server);
}

/** The agent of an Application; empty if it has none. */
export function agentOf(application: ApiObject, { destinationMapping }: Scope): string {
  if (!destinationMapping) return application.metadata.namespace ?? "";
  const spec = application["spec"];
  const destination = isRecord(spec) && isRecord(spec["destination"])
    ? spec["destination"]["name"]
    : undefined;
  return typeof destination === "string" && destination !== IN_CLUSTER.name ? destination : "";
}
