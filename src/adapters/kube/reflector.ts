/**
 * A reflector (client-go's word) keeps a copy of one kind current: list once in pages, then watch from there; bookmarks move the place
 * where a broken watch goes on; 410 Gone means list again, and a key that the new list does not name was deleted meanwhile.
 *
 * client-node's informer would not do: docs/decisions/0001-kubernetes-client.md.
 */
import { onAbort } from "../../base/abort.ts";
import { delay } from "@std/async/delay";
import { type BackoffPolicy, delayMs } from "../../base/backoff.ts";
import { monotonicMs } from "../../base/clock.ts";
import { reasonOf } from "../../base/reason.ts";
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import { ApiFailure } from "./api_failure.ts";
import type { Resource } from "./discovery.ts";
import type { DynamicClient, Selection } from "./dynamic_client.ts";
import { isNewer } from "./resource_version.ts";

/** After an error: soon, then less often, up to every 10 to 20 s. */
const RETRY: BackoffPolicy = { firstMs: 200, maxMs: 20_000, factor: 2 };
/** The server is asked to end a watch after this long, and up to twice as long, so that not all end together. */
const WATCH_SECONDS = 300;
/**
 * The API server sends a bookmark about every minute, so a watch silent for longer is taken for dead. An API server whose etcd does not
 * notify of progress sends none for a quiet kind: then the watch is merely opened once more.
 */
const SILENCE_MS = 90_000;
/** A watch that ends sooner than this without an event has not worked. */
const SHORT_WATCH_MS = 1_000;

/** The objects of one kind that a reflector watches. */
export interface Watched extends Selection {
  apiVersion: string;
  kind: string;
}

/** The copy that a reflector keeps current; `rewound`: the cluster itself went back in time. */
/**
 * Where a state comes from. A listing or the answer to a request (`read`) shows what the server has now; an event may have been decoded
 * with the schema of a moment before, when a CustomResourceDefinition changes. `rewound`: read from a cluster that went back in time.
 */
export type StateSource = "event" | "read" | "rewound";

export interface ReflectorStore {
  put(object: ApiObject, source: StateSource): void;
  remove(key: Key, version: string, how?: { rewound: boolean; listed: boolean }): void;
  /** The keys of a kind, and their versions. */
  versions(kind: string): Iterable<[Key, string]>;
}

export interface ReflectorLimits {
  silenceMs?: number;
}

export class Reflector {
  readonly #synced = Promise.withResolvers<void>();
  #version = "";
  /** The newest version seen: a list that is older comes from an etcd that was restored. */
  #newest = "";
  #problem = "";
  #lists = 0;

  constructor(
    readonly watched: Watched,
    private readonly client: DynamicClient,
    private readonly store: ReflectorStore,
    private readonly admits: (namespace: string) => boolean,
    private readonly limits: ReflectorLimits = {},
  ) {}

  /** Resolves when the copy has had everything once. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Whether the copy receives every object of a namespace: it was listed, and no selector hides any. */
  covers(namespace: string): boolean {
    const { namespace: own, labelSelector } = this.watched;
    return this.#lists > 0 && labelSelector === "" && (own === "" || own === namespace) &&
      this.admits(namespace);
  }

  /** Full listings made. */
  get lists(): number {
    return this.#lists;
  }

  /** The reason why the copy is not current, in words; empty: it is. */
  get problem(): string {
    return this.#problem;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = monotonicMs();
      let watching = false;
      try {
        if (failures > 0 && this.#version !== "") await this.#checkHistory();
        if (this.#version === "") await this.#list(signal);
        this.#problem = "";
        this.#synced.resolve();
        watching = true;
        const events = await this.#watch(signal);
        failures = events === 0 && monotonicMs() - startedAt < SHORT_WATCH_MS ? failures + 1 : 0;
      } catch (error) {
        if (signal.aborted) return;
        failures = monotonicMs() - startedAt > SILENCE_MS ? 1 : failures + 1;
        this.#failed(error, watching && failures === 1);
      }
      if (failures > 0) await delay(delayMs(RETRY, failures, Math.random()), { signal }).catch(() => {});
    }
  }

  /** @param first a watch that had worked broke: whether that is a problem is what the next request says */
  #failed(error: unknown, first: boolean): void {
    if (error instanceof ApiFailure && (error.status === 410 || error.reason === "Expired")) {
      this.#version = "";
      return;
    }
    if (error instanceof ApiFailure && error.status === 404) {
      this.client.discovery.invalidate();
      this.#version = "";
    }
    if (!first) this.#problem = reasonOf(error);
  }

  /** After a failure: an etcd restored from a backup is behind this copy, and its API server takes the old watch without a word. */
  async #checkHistory(): Promise<void> {
    const resource = await this.#resource();
    const { resourceVersion } = await this.client.list(resource, this.watched, 1);
    if (isNewer(this.#newest, resourceVersion)) this.#version = "";
  }

  #resource(): Promise<Resource> {
    return this.client.discovery.resource(this.watched.apiVersion, this.watched.kind);
  }

  async #list(signal: AbortSignal): Promise<void> {
    const resource = await this.#resource();
    const seen = new Set<string>();
    let version = "";
    let rewound = false;
    for await (const page of this.client.pages(resource, this.watched)) {
      signal.throwIfAborted();
      version = page.resourceVersion;
      rewound = this.#newest !== "" && isNewer(this.#newest, version);
      for (const object of page.items) {
        if (!this.admits(object.metadata.namespace ?? "")) continue;
        seen.add(keyOfObject(object));
        this.store.put(object, rewound ? "rewound" : "read");
      }
    }
    for (const [key, cached] of [...this.store.versions(this.watched.kind)]) {
      if (!seen.has(key) && (rewound || !isNewer(cached, version))) {
        this.store.remove(key, version, { listed: true, rewound });
      }
    }
    this.#version = version;
    this.#newest = version;
    this.#lists++;
  }

  /** The number of events that came. An API server under load ends watches that it finds slow: the next goes on from there at once. */
  async #watch(signal: AbortSignal): Promise<number> {
    const resource = await this.#resource();
    const ending = new AbortController();
    const unlisten = onAbort(signal, (reason) => ending.abort(reason));
    const silenceMs = this.limits.silenceMs ?? SILENCE_MS;
    const silent = () =>
      ending.abort(new ApiFailure(0, `the watch of ${resource.plural} was silent for ${silenceMs} ms`));
    let timer = setTimeout(silent, silenceMs);
    let events = 0;
    const seconds = Math.round(WATCH_SECONDS * (1 + Math.random()));
    try {
      for await (
        const { type, object } of this.client.watch(
          resource,
          this.watched,
          this.#version,
          seconds,
          ending.signal,
        )
      ) {
        clearTimeout(timer);
        timer = setTimeout(silent, silenceMs);
        events++;
        const version = object.metadata.resourceVersion ?? "";
        if (type !== "BOOKMARK" && this.admits(object.metadata.namespace ?? "")) {
          if (type === "DELETED") this.store.remove(keyOfObject(object), version);
          else this.store.put(object, "event");
        }
        if (version !== "") this.#version = this.#newest = version;
      }
      if (ending.signal.aborted && !signal.aborted) throw ending.signal.reason;
      return events;
    } finally {
      clearTimeout(timer);
      unlisten();
      if (ending.signal.aborted && !signal.aborted) this.client.renew();
    }
  }
}
