/** The part of a cluster that a principal is responsible for: one value that every reader and writer asks. */
import type { ApiObject } from "./object.ts";
import { isRecord } from "./object.ts";

export interface Scope {
  /** The principal's own namespace; always part of the scope. */
  namespace: string;
  /** Further namespaces of Applications and ApplicationSets; empty: all. */
  allowedNamespaces: readonly RegExp[];
  /** Whether the destination's name, rather than the namespace, names an Application's agent. */
  destinationMapping: boolean;
  /** `self-registered`: only cluster secrets that agents registered themselves; `all`: also those that people made. */
  clusterSecrets: "self-registered" | "all";
}

/** A scope of everything, for a principal of this namespace. */
export function wholeScope(namespace: string): Scope {
  return { namespace, allowedNamespaces: [], destinationMapping: false, clusterSecrets: "self-registered" };
}

/** Whether objects of a namespace may be read and written. */
export function admits({ namespace, allowedNamespaces }: Scope, candidate: string): boolean {
  if (candidate === namespace || allowedNamespaces.length === 0) return true;
  return allowedNamespaces.some((pattern) => pattern.test(candidate));
}

/** The agent of an Application; empty if it has none. */
export function agentOf(application: ApiObject, { destinationMapping }: Scope): string {
  if (!destinationMapping) return application.metadata.namespace ?? "";
  const spec = application["spec"];
  const destination = isRecord(spec) && isRecord(spec["destination"])
    ? spec["destination"]["name"]
    : undefined;
  return typeof destination === "string" && destination !== "in-cluster" ? destination : "";
}
