/** The port to Argo CD's UI, which shows agents' clusters; its adapter is loaded only if configured. */

/** One of Argo CD's clusters. */
export interface Cluster {
  agent: string;
  /** The name that Applications give in `spec.destination.name`. */
  name: string;
  server: string;
  /** The version that a person notes of it; absent: none. */
  kubernetesVersion?: string;
}

/** Which cluster an agent is. */
export interface AgentClusters {
  /** The cluster of an agent; undefined: none is known. */
  of(agent: string): Cluster | undefined;
}

/** An agent's report of its cluster cache. */
export interface CacheInfo {
  applications: number;
  apis: number;
  resources: number;
}

/** Where agents' states are shown. */
export interface ClusterInfo {
  connected(agent: string, connected: boolean): void;
  cacheInfo(agent: string, info: CacheInfo): void;
  close(): Promise<void>;
}

/** Nowhere. */
export const NO_CLUSTER_INFO: ClusterInfo = {
  connected: () => {},
  cacheInfo: () => {},
  close: () => Promise.resolve(),
};
