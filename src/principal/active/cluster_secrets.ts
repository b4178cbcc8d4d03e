/**
 * Which cluster of Argo CD an agent is: the cluster Secrets that carry the Go principal's agent-name label. They are looked at whether
 * they are replicated or not. Of several that name one agent, the first by name counts. The token of a self-registered one is known by
 * its digest: the side that signed it may be the other one, with another key.
 */
import { parseJson } from "../../base/json.ts";
import { sha256 } from "../../base/sha256.ts";
import { KUBERNETES_VERSION } from "../../domain/proxy/version.ts";
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import { SECRET_TYPE, SELF_REGISTERED } from "../../domain/resources/kinds.ts";
import { type ApiObject, isRecord, secretText, type StoredObject } from "../../domain/resources/object.ts";
import type { Observer } from "../core/feed.ts";
import type { AgentClusters, Cluster } from "../ports/cluster_info.ts";

export const AGENT_NAME = "argocd-agent.argoproj-labs.io/agent-name";

export class ClusterSecrets implements Observer, AgentClusters {
  readonly #byKey = new Map<Key, Cluster>();
  /** Digests of the tokens of self-registered clusters. */
  readonly #tokens = new Map<Key, string>();

  /** Hears of an agent that a Secret was seen to name, and none names any more. */
  onGone: (agent: string) => void = () => {};

  reset(): void {
    this.#byKey.clear();
    this.#tokens.clear();
  }

  synced(): void {}

  put(object: StoredObject): void {
    const key = keyOfObject(object);
    const before = this.#byKey.get(key)?.agent;
    const cluster = clusterOf(object);
    this.#forget(key);
    if (cluster) this.#byKey.set(key, cluster);
    const token = object.metadata.labels?.[SELF_REGISTERED] === "true" ? tokenOf(object) : undefined;
    if (cluster && token !== undefined) this.#tokens.set(key, sha256(token));
    this.#tell(before);
  }

  removed(key: Key, concluded: boolean): void {
    const before = this.#byKey.get(key)?.agent;
    this.#forget(key);
    if (!concluded) this.#tell(before);
  }

  #forget(key: Key): void {
    this.#byKey.delete(key);
    this.#tokens.delete(key);
  }

  #tell(agent: string | undefined): void {
    if (agent !== undefined && !this.of(agent)) this.onGone(agent);
  }

  /** The agent in whose self-registered cluster Secret a token stands; undefined: in none. */
  agentOfToken(token: string): string | undefined {
    const digest = sha256(token);
    for (const [key, known] of this.#tokens) if (known === digest) return this.#byKey.get(key)?.agent;
    return undefined;
  }

  /** The cluster of an agent; undefined: no Secret names it. */
  of(agent: string): Cluster | undefined {
    const keys = [...this.#byKey].filter(([, cluster]) => cluster.agent === agent).map(([key]) => key).sort();
    return keys[0] === undefined ? undefined : this.#byKey.get(keys[0]);
  }
}

/** The token of a cluster's Secret; undefined: it has none that can be read. */
export function tokenOf(object: ApiObject): string | undefined {
  try {
    const config: unknown = parseJson(secretText(object, "config"));
    const token = isRecord(config) ? config["bearerToken"] : undefined;
    return typeof token === "string" && token !== "" ? token : undefined;
  } catch {
    return undefined;
  }
}

/** The cluster that a Secret is. */
export function clusterOf(object: ApiObject): Cluster | undefined {
  const { labels = {}, annotations = {} } = object.metadata;
  const agent = labels[AGENT_NAME] ?? "";
  if (object.kind !== "Secret" || labels[SECRET_TYPE] !== "cluster" || agent === "") return undefined;
  const field = (name: string) => secretText(object, name);
  const kubernetesVersion = annotations[KUBERNETES_VERSION];
  return {
    ...{ agent, name: field("name") || agent, server: field("server") },
    ...(kubernetesVersion === undefined ? {} : { kubernetesVersion }),
  };
}
