/** Which part of a cluster a principal is responsible for: one value, asked wherever something is looked at or accepted. */
import type { ApiObject } from "./object.ts";
import { isRecord } from "./object.ts";

export interface Scope {
  /** The principal's own namespace; always part of the scope. */
  namespace: string;
  /** Namespaces of Applications and ApplicationSets beside it; empty: all. */
  allowedNamespaces: readonly RegExp[];
  /** Whether an Application's agent is its destination's name, and not its namespace. */
  destinationMapping: boolean;
  /** `self-registered`: only cluster secrets that agents registered themselves; `all`: those that people made as well. */
  clusterSecrets: "self-registered" | "all";
}

/** A scope of everything, for a principal of this namespace. */
export function wholeScope(namespace: string): Scope {
  return { namespace, allowedNamespaces: [], destinationMapping: false, clusterSecrets: "self-registered" };
}

/** Whether objects of a namespace are looked at and may be written. */
export function admits({ namespace, allowedNamespaces }: Scope, candidate: string): boolean {
  if (candidate === namespace || allowedNamespaces.length === 0) return true;
  return allowedNamespaces.some((pattern) => pattern.test(candidate));
}

/** The agent that an Application is handed to; empty: none, the Application is not an agent's. */
export function agentOf(application: ApiObject, { destinationMapping }: Scope): string {
  if (!destinationMapping) return application.metadata.namespace ?? "";
  const spec = application["spec"];
  const destination = isRecord(spec) && isRecord(spec["destination"])
    ? spec["destination"]["name"]
    : undefined;
  return typeof destination === "string" && destination !== "in-cluster" ? destination : "";
}
