/**
 * Reads agents' Redis for Argo CD's UI. Several who ask for one key at a time are answered by one request, and a value is good for a
 * moment, or until the agent notifies a change of its Application: a page of the UI asks several times for the same.
 */
import { onAbort } from "../../base/abort.ts";
import { abortable } from "@std/async/abortable";
import { parseJson } from "../../base/json.ts";
import { ownerOf } from "../../domain/agents/ownership.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { type ApplicationKey, applicationKey } from "../../domain/redis/keys.ts";
import type { RedisSaid } from "../../domain/redis/requests.ts";
import { keyOf } from "../../domain/resources/keys.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import type { Mode } from "../../domain/resources/roster.ts";
import { agentOf, type Scope } from "../../domain/resources/scope.ts";
import type { AgentCaches, CacheAnswer, CachePlace } from "../ports/agent_caches.ts";
import type { AgentClusters } from "../ports/cluster_info.ts";
import type { AgentRedis } from "./agent_redis.ts";
import { CacheWatches, type WatchTiming } from "./cache_watches.ts";
import type { Counting } from "./counters.ts";
import { RecentValues } from "./recent_values.ts";

/** The part of the principal that caches need. */
export interface AgentCachesParts {
  readonly settings: { readonly scope: Scope; readonly redisKeyPrefix: string };
  readonly index: Pick<ChangeIndex, "present">;
  readonly roster: { modeOf(agent: string): Mode | undefined };
  readonly clusters: AgentClusters;
  readonly redis: AgentRedis;
  readonly counters: Counting;
}

/** A request on its way, and who waits for it. */
interface Flight {
  readonly agent: string;
  readonly answer: Promise<CacheAnswer>;
  readonly ending: AbortController;
  waiters: number;
}

export class SharedCaches implements AgentCaches {
  readonly #flights = new Map<string, Flight>();
  readonly #values = new RecentValues();
  readonly #watches: CacheWatches;

  constructor(private readonly parts: AgentCachesParts, timing?: WatchTiming) {
    const told = {
      noticed: (agent: string, channel: string) => this.#forget(agent, channel),
      failed: (agent: string) => this.#count("redisProxyErrors", agent, "subscribe"),
    };
    this.#watches = new CacheWatches(parts.redis, told, timing);
  }

  /** Ends what it does by itself. */
  close(): void {
    this.#watches.close();
    this.#values.clear();
  }

  place(full: string): CachePlace | undefined {
    const { scope, redisKeyPrefix } = this.parts.settings;
    const key = applicationKey(full, redisKeyPrefix);
    const agent = key && this.#agentOf(key);
    if (!agent || !this.#isKnown(agent)) return undefined;
    const unfit = key.sharded && !scope.destinationMapping;
    return { agent, key: key.key, problem: unfit ? sharded(agent) : "" };
  }

  async get({ agent, key, problem }: CachePlace, signal: AbortSignal): Promise<CacheAnswer> {
    signal.throwIfAborted();
    this.#count("redisProxyRequests", agent, "get");
    const answer = problem === "" ? await this.#value(agent, key, signal) : { problem };
    if (answer !== "miss" && "problem" in answer) this.#count("redisProxyErrors", agent, "get");
    return answer;
  }

  watch({ agent, key }: CachePlace, changed: () => void): () => void {
    this.#count("redisProxyRequests", agent, "subscribe");
    return this.#watches.add(agent, key, changed);
  }

  async #value(agent: string, key: string, signal: AbortSignal): Promise<CacheAnswer> {
    const id = idOf(agent, key);
    const value = this.#values.get(id);
    if (value) return { value };
    const flight = this.#flights.get(id) ?? this.#take(agent, key, id);
    flight.waiters++;
    try {
      return await abortable(flight.answer, signal);
    } finally {
      flight.waiters--;
      if (flight.waiters === 0) flight.ending.abort(new Error("nobody waits for the value any more"));
    }
  }

  #take(agent: string, key: string, id: string): Flight {
    const ending = new AbortController();
    const asked = this.parts.redis.ask(agent, { get: { key } }, {
      connection: crypto.randomUUID(),
      signal: ending.signal,
    });
    const answer = asked.then((said) => {
      // A change that was notified meanwhile has put it aside.
      if (said.said === "value" && this.#flights.get(id) === flight) this.#values.set(id, said.value);
      return answerOf(agent, said);
    }).finally(() => {
      if (this.#flights.get(id) === flight) this.#flights.delete(id);
    });
    answer.catch(() => {});
    const flight: Flight = { agent, answer, ending, waiters: 0 };
    onAbort(ending.signal, () => {
      if (this.#flights.get(id) === flight) this.#flights.delete(id);
    });
    this.#flights.set(id, flight);
    return flight;
  }

  /** The values read of an agent's Application may have changed since. */
  #forget(agent: string, channel: string): void {
    const about = applicationKey(channel);
    for (const kept of [this.#values, this.#flights]) {
      for (const id of [...kept.keys()]) {
        const other = applicationKey(id.slice(agent.length + 1));
        if (
          !id.startsWith(`${agent} `) || other?.name !== about?.name || other?.namespace !== about?.namespace
        ) continue;
        kept.delete(id);
      }
    }
  }

  /** The agent of an Application; undefined or empty: it has none. */
  #agentOf({ namespace, name }: ApplicationKey): string | undefined {
    const { settings: { scope }, index } = this.parts;
    if (!scope.destinationMapping) return namespace;
    const entry = index.present(keyOf("Application", namespace || scope.namespace, name));
    const application = entry && parseJson(entry.payload) as ApiObject;
    return application && (ownerOf(application) || agentOf(application, scope));
  }

  /** In a namespace without an agent are the principal's own Applications. */
  #isKnown(agent: string): boolean {
    const { redis, roster, clusters } = this.parts;
    return redis.isConnected(agent) || roster.modeOf(agent) !== undefined || clusters.of(agent) !== undefined;
  }

  #count(name: "redisProxyRequests" | "redisProxyErrors", agent: string, command: "get" | "subscribe"): void {
    this.parts.counters.increment(name, { agent_name: agent, command });
  }
}

/** An agent's name has no space. */
function idOf(agent: string, key: string): string {
  return `${agent} ${key}`;
}

function answerOf(agent: string, said: RedisSaid): CacheAnswer {
  switch (said.said) {
    case "value":
      return { value: said.value };
    case "miss":
      return "miss";
    case "error":
      return { problem: said.message };
    default:
      return { problem: `agent "${agent}" has answered something else than a value` };
  }
}

function sharded(agent: string): string {
  return `agent "${agent}" cannot read a resource tree in pieces; unset ARGOCD_APPLICATION_TREE_SHARD_SIZE on its cluster, or use --destination-based-mapping`;
}
