/**
 * Writes agents' clusters into Argo CD's Redis for its UI: connected or not, and the contents of the agent's cache. The data
 * is for people only, so a Redis that is down costs a log line and nothing else: no event waits for it, and a timer rewrites
 * the data.
 */
import { gzipSync } from "node:zlib";
import { createClient } from "@redis/client";
import { Coalesced } from "../../base/coalesced.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import { CACHE_FORMAT } from "../../domain/redis/keys.ts";
import type { AgentClusters, CacheInfo, ClusterInfo } from "../../principal/ports/cluster_info.ts";
import { hostAndPort, type UpstreamTls } from "./upstream.ts";

const TTL_S = 600;
const REFRESH_MS = 180_000;
const RETRY_MS = 5_000;
/** A write that the server has not answered in this time has failed. */
const COMMAND_MS = 5_000;

/** The Redis server, and its credentials. */
export interface RedisOptions {
  address: string;
  password: string;
  compression: "gzip" | "none";
  tls: UpstreamTls | undefined;
}

export class RedisClusterInfo implements ClusterInfo {
  readonly #client;
  readonly #known = new Map<string, { connected: boolean; atMs: number; info: CacheInfo | undefined }>();
  /** Agents whose state is not written yet: one entry an agent. */
  readonly #waiting = new Set<string>();
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #writing = new Coalesced(() => this.#run());
  #problem = "";
  #closed = false;

  constructor(
    private readonly settings: RedisOptions,
    private readonly clusters: AgentClusters,
    private readonly log: Log,
    /** Is told why Redis cannot be written; empty: it can. */
    private readonly tell: (problem: string) => void,
  ) {
    const ca = settings.tls?.ca() ?? "";
    this.#client = createClient({
      socket: {
        ...hostAndPort(settings.address),
        connectTimeout: COMMAND_MS,
        reconnectStrategy: () => RETRY_MS,
        ...(settings.tls
          ? {
            tls: true as const,
            rejectUnauthorized: !settings.tls.insecure,
            ...(ca === "" ? {} : { ca }),
          }
          : {}),
      },
      ...(settings.password ? { password: settings.password } : {}),
      disableOfflineQueue: true,
      commandOptions: { timeout: COMMAND_MS },
    });
    this.#client.on("error", (error: Error) => this.#failed(reasonOf(error)));
    this.#client.on("ready", () => {
      this.#all();
      void this.#writing.request();
    });
    this.#client.connect().catch(() => {});
    this.#timer = setInterval(() => this.#all(), REFRESH_MS);
  }

  /** Counts are the agent's last word only while it is connected: a disconnected agent is shown with none, as the Go principal does. */
  connected(agent: string, connected: boolean): void {
    const info = connected ? this.#known.get(agent)?.info : undefined;
    this.#known.set(agent, { connected, atMs: Date.now(), info });
    this.#write(agent);
  }

  cacheInfo(agent: string, info: CacheInfo): void {
    const before = this.#known.get(agent);
    this.#known.set(agent, { connected: true, atMs: before?.atMs ?? Date.now(), info });
    this.#write(agent);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#client.destroy();
    await Promise.resolve();
  }

  #all(): void {
    for (const agent of this.#known.keys()) this.#write(agent);
  }

  #write(agent: string): void {
    this.#waiting.add(agent);
    void this.#writing.request();
  }

  async #run(): Promise<void> {
    try {
      for (const agent of this.#waiting) {
        if (this.#closed || !this.#client.isReady) return;
        this.#waiting.delete(agent);
        await this.#put(agent);
      }
      if (this.#problem !== "") this.log.info("Redis is written again", { address: this.settings.address });
      this.#problem = "";
      this.tell("");
    } catch (error) {
      this.#failed(reasonOf(error));
    }
  }

  async #put(agent: string): Promise<void> {
    const server = this.clusters.of(agent)?.server;
    const known = this.#known.get(agent);
    if (!server || !known) return;
    const json = JSON.stringify(clusterInfo(agent, server, known));
    const zipped = this.settings.compression === "gzip";
    const key = `cluster|info|${server}|${CACHE_FORMAT}${zipped ? ".gz" : ""}`;
    await this.#client.set(key, zipped ? gzipSync(json) : json, { expiration: { type: "EX", value: TTL_S } });
  }

  #failed(problem: string): void {
    if (problem === this.#problem || this.#closed) return;
    this.#problem = problem;
    const { address } = this.settings;
    this.tell(
      `"${address}" cannot be written: ${problem}; see --redis-server-address, --redis-password and whether the network lets this principal there`,
    );
    this.log.warn("Redis cannot be written; the UI does not show agents' connections", {
      address,
      reason: problem,
    });
  }
}

/** Argo CD's `ClusterInfo`. */
export function clusterInfo(
  agent: string,
  server: string,
  { connected, atMs, info }: { connected: boolean; atMs: number; info: CacheInfo | undefined },
): Record<string, unknown> {
  const at = new Date(atMs).toISOString().replace(/\.\d+Z$/, "Z");
  return {
    server,
    connectionState: {
      status: connected ? "Successful" : "Failed",
      message: `Agent: '${agent}' is ${connected ? "connected" : "disconnected"} with principal`,
      attemptedAt: at,
    },
    applicationsCount: info?.applications ?? 0,
    cacheInfo: {
      apisCount: info?.apis ?? 0,
      resourcesCount: info?.resources ?? 0,
      ...(info ? { lastCacheSyncTime: at } : {}),
    },
  };
}
