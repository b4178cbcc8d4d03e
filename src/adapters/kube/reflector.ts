/**
 * An informer keeps the copy of one kind current: list once in pages, then watch from there; bookmarks move the place where a
 * broken watch goes on; 410 Gone means list again, and what the new list does not name was deleted meanwhile.
 *
 * client-node's own informer was weighed: it lists without pages, stops at the first error, speaks only over that library's
 * transport, and does not notice a watch that has gone silent.
 */
import { delay } from "@std/async/delay";
import { keyOfObject } from "../../domain/resources/keys.ts";
import { type BackoffPolicy, delayMs } from "../../base/backoff.ts";
import { ApiFailure, type KubeApi, type Selection } from "./dynamic_client.ts";
import { isNewer, type KubeCache } from "../store/kubernetes_cache.ts";

/** After an error: soon, then less often; what does not heal by itself is asked every 10 to 20 s. */
const RETRY: BackoffPolicy = { firstMs: 200, maxMs: 20_000, factor: 2 };
/** The server is asked to end a watch after this long, with up to as much again added so that not all end together. */
const WATCH_SECONDS = 300;
/**
 * The API server sends a bookmark about every minute, so a watch silent for longer is taken for dead. One whose etcd does not notify of
 * progress sends none for a kind that nothing happens to: then the watch is merely opened again.
 */
const SILENCE_MS = 90_000;
/** A watch that ends sooner than this and told nothing has not worked. */
const SHORT_WATCH_MS = 1_000;

/** What an informer watches. */
export interface Informed extends Selection {
  apiVersion: string;
  kind: string;
}

export interface InformerLimits {
  silenceMs?: number;
}

export class Informer {
  readonly #synced = Promise.withResolvers<void>();
  #version = "";
  /** The newest version ever heard of: a list that is older comes from an etcd that was restored. */
  #newest = "";
  #problem = "";
  #lists = 0;

  constructor(
    readonly what: Informed,
    private readonly api: KubeApi,
    private readonly cache: KubeCache,
    private readonly admits: (namespace: string) => boolean,
    private readonly limits: InformerLimits = {},
  ) {}

  /** Resolves when the copy has had everything once. */
  get synced(): Promise<void> {
    return this.#synced.promise;
  }

  /** Whether this informer watches, and tells whatever is written in a namespace: no selector can hide it. */
  covers(namespace: string): boolean {
    const { namespace: own, labelSelector } = this.what;
    return this.#lists > 0 && labelSelector === "" && (own === "" || own === namespace) &&
      this.admits(namespace);
  }

  /** Full listings made. */
  get lists(): number {
    return this.#lists;
  }

  /** What keeps the copy from being current, in words; empty: nothing. */
  get problem(): string {
    return this.#problem;
  }

  /** Runs until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const startedAt = performance.now();
      let watching = false;
      try {
        if (failures > 0 && this.#version !== "") await this.#checkHistory();
        if (this.#version === "") await this.#list(signal);
        this.#problem = "";
        this.#synced.resolve();
        watching = true;
        const told = await this.#watch(signal);
        failures = told === 0 && performance.now() - startedAt < SHORT_WATCH_MS ? failures + 1 : 0;
      } catch (error) {
        if (signal.aborted) return;
        failures = performance.now() - startedAt > SILENCE_MS ? 1 : failures + 1;
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
      this.api.forgetResources();
      this.#version = "";
    }
    if (!first) this.#problem = error instanceof Error ? error.message : String(error);
  }

  /**
   * An etcd that was restored from a backup is behind what this informer has seen, and its API server takes a watch from there without
   * a word: after each failure the present version is asked for.
   */
  async #checkHistory(): Promise<void> {
    const resource = await this.api.resource(this.what.apiVersion, this.what.kind);
    const { resourceVersion } = await this.api.list(resource, this.what, 1);
    if (isNewer(this.#newest, resourceVersion)) this.#version = "";
  }

  async #list(signal: AbortSignal): Promise<void> {
    const resource = await this.api.resource(this.what.apiVersion, this.what.kind);
    const seen = new Set<string>();
    let version = "";
    let rewound = false;
    for await (const page of this.api.pages(resource, this.what)) {
      signal.throwIfAborted();
      version = page.resourceVersion;
      rewound = this.#newest !== "" && isNewer(this.#newest, version);
      for (const object of page.items) {
        if (!this.admits(object.metadata.namespace ?? "")) continue;
        seen.add(keyOfObject(object));
        this.cache.put(object, rewound);
      }
    }
    for (const [key, cached] of [...this.cache.versions(this.what.kind)]) {
      if (!seen.has(key) && (rewound || !isNewer(cached, version))) this.cache.remove(key, version, rewound);
    }
    this.#version = version;
    this.#newest = version;
    this.#lists++;
  }

  /** How many events came. An API server under load ends watches that it finds slow: what came is kept, and one goes on at once. */
  async #watch(signal: AbortSignal): Promise<number> {
    const resource = await this.api.resource(this.what.apiVersion, this.what.kind);
    const ending = new AbortController();
    const end = () => ending.abort(signal.reason);
    signal.addEventListener("abort", end);
    const silenceMs = this.limits.silenceMs ?? SILENCE_MS;
    const silent = () =>
      ending.abort(new ApiFailure(0, `the watch of ${resource.plural} was silent for ${silenceMs} ms`));
    let timer = setTimeout(silent, silenceMs);
    let told = 0;
    const seconds = Math.round(WATCH_SECONDS * (1 + Math.random()));
    try {
      for await (
        const { type, object } of this.api.watch(resource, this.what, this.#version, seconds, ending.signal)
      ) {
        clearTimeout(timer);
        timer = setTimeout(silent, silenceMs);
        told++;
        const version = object.metadata.resourceVersion ?? "";
        if (type !== "BOOKMARK" && this.admits(object.metadata.namespace ?? "")) {
          if (type === "DELETED") this.cache.remove(keyOfObject(object), version);
          else this.cache.put(object);
        }
        if (version !== "") this.#version = this.#newest = version;
      }
      if (ending.signal.aborted && !signal.aborted) throw ending.signal.reason;
      return told;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      if (ending.signal.aborted && !signal.aborted) this.api.transport.renew();
    }
  }
}
