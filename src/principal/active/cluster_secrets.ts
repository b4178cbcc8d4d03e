/**
 * Which cluster of Argo CD an agent is: the cluster Secrets that carry the Go principal's agent-name label. They are looked at whether
 * they are replicated or not. Of several that name one agent, the first by name counts.
 */
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import { SECRET_TYPE } from "../../domain/resources/kinds.ts";
import { type ApiObject, secretText, type StoredObject } from "../../domain/resources/object.ts";
import type { Observer } from "../core/feed.ts";
import type { AgentClusters, Cluster } from "../ports/cluster_info.ts";

export const AGENT_NAME = "argocd-agent.argoproj-labs.io/agent-name";

export class ClusterSecrets implements Observer, AgentClusters {
  readonly #byKey = new Map<Key, Cluster>();

  reset(): void {
    this.#byKey.clear();
  }

  synced(): void {}

  put(object: StoredObject): void {
    const cluster = clusterOf(object);
    if (cluster) this.#byKey.set(keyOfObject(object), cluster);
    else this.removed(keyOfObject(object));
  }

  removed(key: Key): void {
    this.#byKey.delete(key);
  }

  /** The cluster of an agent; undefined: no Secret names it. */
  of(agent: string): Cluster | undefined {
    const keys = [...this.#byKey].filter(([, cluster]) => cluster.agent === agent).map(([key]) => key).sort();
    return keys[0] === undefined ? undefined : this.#byKey.get(keys[0]);
  }
}

/** The cluster that a Secret is. */
export function clusterOf(object: ApiObject): Cluster | undefined {
  const { labels = {} } = object.metadata;
  const agent = labels[AGENT_NAME] ?? "";
  if (object.kind !== "Secret" || labels[SECRET_TYPE] !== "cluster" || agent === "") return undefined;
  const field = (name: string) => secretText(object, name);
  return { agent, name: field("name") || agent, server: field("server") };
}
