/** The door to what Argo CD keeps in its Redis on agents' clusters: resource trees, and the objects that an Application manages. */

/** Where a key is read. */
export interface CachePlace {
  agent: string;
  /** The key, or the channel, as that agent is asked for it. */
  key: string;
  /** Why the agent cannot be asked for it; empty: it can. */
  problem: string;
}

/** The value of a key. */
export type CacheAnswer =
  | { value: Uint8Array }
  /** The agent has none. */
  | "miss"
  /** For people. */
  | { problem: string };

/** Agents' caches: the Redis of their clusters. */
export interface AgentCaches {
  /** The agent that has a key or a channel; undefined: it is the principal's own Redis. */
  place(key: string): CachePlace | undefined;
  /** Reads a key at an agent. @throws the reason of `signal`, which tells that nobody waits any more */
  get(place: CachePlace, signal: AbortSignal): Promise<CacheAnswer>;
  /**
   * Calls `changed` when the agent notifies a channel, and when notices may have been missed; the result ends that. Nothing is lost
   * while the agent or this principal is away: it subscribes once more as soon as the agent is back.
   */
  watch(place: CachePlace, changed: () => void): () => void;
}
