/**
 * Watches of channels of agents' Redis: one subscription there for all who watch a channel here. An agent forgets its
 * subscriptions when it restarts and does not say so, therefore each one is made afresh, under a name of its own, whenever the agent's
 * stream opens; those who watch are told afterwards, since notices may have been missed.
 *
 * Invariant: a channel that is watched is subscribed to, or is going to be as soon as its agent can be asked.
 */
import { type BackoffPolicy, delayMs } from "../../base/backoff.ts";
import type { AgentRedis } from "./agent_redis.ts";

/** When a watch does what. */
export interface WatchTiming {
  /** An agent ends a subscription 10 minutes after the last ping. */
  pingMs: number;
  retry: BackoffPolicy;
}

const TIMING: WatchTiming = { pingMs: 120_000, retry: { firstMs: 1_000, maxMs: 30_000, factor: 2 } };
/** Channels that are watched at a time; one more is not notified. */
const MAX_WATCHES = 10_000;

interface Watch {
  readonly agent: string;
  readonly channel: string;
  readonly viewers: Set<() => void>;
  /** The present subscription's name at the agent; empty: there is none. */
  connection: string;
  failures: number;
  retry: ReturnType<typeof setTimeout> | undefined;
}

/** Hears of subscriptions. */
interface Told {
  noticed(agent: string, channel: string): void;
  failed(agent: string): void;
}

export class CacheWatches {
  readonly #byAgent = new Map<string, Map<string, Watch>>();
  readonly #byConnection = new Map<string, Watch>();
  /** Runs while there are watches. */
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly redis: AgentRedis,
    private readonly told: Told,
    private readonly timing: WatchTiming = TIMING,
  ) {
    redis.onNotice((agent, { channel, connection }) => {
      const watch = this.#byConnection.get(connection);
      if (watch?.agent === agent && watch.channel === channel) this.#notice(watch);
    });
    redis.onStream((agent, open) => {
      for (const watch of this.#byAgent.get(agent)?.values() ?? []) {
        if (open) this.#subscribe(watch);
        else if (!redis.isConnected(agent)) this.#unsubscribed(watch);
      }
    });
  }

  /** Tells a viewer of changes until the result is called. */
  add(agent: string, channel: string, viewer: () => void): () => void {
    const watch = this.#byAgent.get(agent)?.get(channel) ?? this.#begin(agent, channel);
    const own = () => viewer();
    watch?.viewers.add(own);
    return () => watch?.viewers.delete(own);
  }

  /** Ends every watch. */
  close(): void {
    this.#rest();
    for (const watches of this.#byAgent.values()) {
      for (const watch of watches.values()) this.#unsubscribed(watch);
    }
    this.#byAgent.clear();
  }

  #begin(agent: string, channel: string): Watch | undefined {
    const watches = this.#byAgent.get(agent) ?? new Map<string, Watch>();
    let count = 0;
    for (const { size } of this.#byAgent.values()) count += size;
    if (count >= MAX_WATCHES) return undefined;
    const watch: Watch = {
      agent,
      channel,
      viewers: new Set(),
      connection: "",
      failures: 0,
      retry: undefined,
    };
    this.#byAgent.set(agent, watches.set(channel, watch));
    this.#timer ??= setInterval(() => this.#tick(), this.timing.pingMs);
    this.#subscribe(watch);
    return watch;
  }

  #subscribe(watch: Watch): void {
    this.#unsubscribed(watch);
    if (!this.redis.isConnected(watch.agent)) return;
    const connection = crypto.randomUUID();
    watch.connection = connection;
    this.#byConnection.set(connection, watch);
    const { agent, channel } = watch;
    void this.redis.ask(agent, { subscribe: { channel } }, { connection }).then((said) => {
      if (watch.connection !== connection) return;
      if (said.said === "subscribed") {
        watch.failures = 0;
        return this.#notice(watch);
      }
      this.told.failed(agent);
      watch.failures++;
      const wait = delayMs(this.timing.retry, watch.failures, Math.random());
      watch.retry = setTimeout(() => this.#subscribe(watch), wait);
    });
  }

  #unsubscribed(watch: Watch): void {
    clearTimeout(watch.retry);
    this.#byConnection.delete(watch.connection);
    watch.connection = "";
  }

  #notice(watch: Watch): void {
    this.told.noticed(watch.agent, watch.channel);
    for (const viewer of watch.viewers) viewer();
  }

  /** Keeps alive what is watched; who reloads a page meanwhile finds the subscription still there. */
  #tick(): void {
    for (const [agent, watches] of this.#byAgent) {
      for (const [channel, watch] of watches) {
        if (watch.viewers.size === 0) {
          this.#unsubscribed(watch);
          watches.delete(channel);
        } else if (watch.connection !== "") {
          void this.redis.ask(agent, { ping: {} }, { connection: watch.connection });
        }
      }
      if (watches.size === 0) this.#byAgent.delete(agent);
    }
    if (this.#byAgent.size === 0) this.#rest();
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}
