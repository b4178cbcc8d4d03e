/**
 * The Kubernetes store: a principal's truth is its own cluster. Informers keep a copy of what a principal cares for, from which it
 * is read and watched; writes go to the API server. Loaded only where it is used.
 */
import type { StoredObject } from "../../domain/resources/object.ts";
import { byKey, type Key, parseKey } from "../../domain/resources/keys.ts";
import type { Missing } from "../../domain/resources/missing.ts";
import { Access, type AccessOptions } from "../kube/access.ts";
import { ApiFailure, KubeApi, storeError } from "../kube/dynamic_client.ts";
import { KubeCache } from "./kubernetes_cache.ts";
import { examine } from "./kubernetes_examination.ts";
import { Informer, type InformerLimits } from "../kube/reflector.ts";
import { Transport } from "../kube/transport.ts";
import { apiVersionOf, KubeWriter, type NamespaceCreation } from "./kubernetes_writer.ts";
import {
  type Store,
  StoreError,
  type StoreEvent,
  type StoreStatus,
  type Write,
  type Written,
} from "../../principal/ports/store.ts";

export interface KubernetesOptions extends AccessOptions {
  /** The principal's namespace: AppProjects, Secrets and ConfigMaps are watched there only. */
  namespace: string;
  /** Whether objects of a namespace are looked at. */
  admits: (namespace: string) => boolean;
  /** More selectors for Applications, AppProjects, ApplicationSets and repositories; empty: none. */
  labelSelector: string;
  writeConcurrency: number;
  createNamespaces: NamespaceCreation | undefined;
  informers?: InformerLimits;
}

/** Secrets of other types are never looked at. */
const SECRETS = "argocd.argoproj.io/secret-type in (repository,repo-creds,cluster)";

/** Opens the store; informers start at the first watch. @throws StoreError */
export function openKubernetes(options: KubernetesOptions): KubernetesStore {
  return new KubernetesStore(Access.load(options), options);
}

export class KubernetesStore implements Store {
  readonly #transport: Transport;
  readonly #api: KubeApi;
  readonly #cache = new KubeCache();
  readonly #writer: KubeWriter;
  readonly #informers: Informer[];
  readonly #admits: (namespace: string) => boolean;
  readonly #closing = new AbortController();
  #running: Promise<unknown> | undefined;

  constructor(access: Access, private readonly options: KubernetesOptions) {
    this.#transport = new Transport(access);
    this.#api = new KubeApi(this.#transport);
    this.#writer = new KubeWriter(this.#api, this.#cache, {
      concurrency: options.writeConcurrency,
      createNamespaces: options.createNamespaces,
      covers: (kind, namespace) =>
        this.#informers.some((informer) => informer.what.kind === kind && informer.covers(namespace)),
    });
    const { namespace, labelSelector } = options;
    this.#admits = (candidate) => candidate === namespace || options.admits(candidate);
    this.#informers = [
      { kind: "AppProject", namespace, labelSelector },
      { kind: "ApplicationSet", namespace: "", labelSelector },
      { kind: "Secret", namespace, labelSelector: SECRETS },
      { kind: "ConfigMap", namespace, labelSelector: "" },
      { kind: "Application", namespace: "", labelSelector },
    ].map((what) =>
      new Informer(
        { ...what, apiVersion: apiVersionOf(what.kind) },
        this.#api,
        this.#cache,
        this.#admits,
        options.informers,
      )
    );
  }

  examine(namespaces: readonly string[]): Promise<Missing> {
    const kinds = this.#informers.map(({ what }) => what);
    const { createNamespaces: creation, writeConcurrency: concurrency } = this.options;
    return this.#asking(() => examine(this.#api, { kinds, namespaces, creation, concurrency }));
  }

  status(): StoreStatus {
    const problems = new Set(this.#informers.map(({ problem }) => problem).filter(Boolean));
    const lists = this.#informers.reduce((sum, informer) => sum + informer.lists, 0);
    return { problem: [...problems].join("; "), writes: this.#writer.requests, lists };
  }

  async get(key: Key): Promise<StoredObject | undefined> {
    const cached = this.#cache.get(key);
    if (cached) return cached;
    const parts = parseKey(key);
    if (!parts) throw new StoreError("invalid", `"${key.slice(0, 300)}" is not a key (Kind/namespace/name)`);
    return await this.#asking(async () => {
      const resource = await this.#api.resource(apiVersionOf(parts.kind), parts.kind);
      return await this.#api.get(resource, parts.namespace, parts.name);
    });
  }

  async list(kind?: string): Promise<StoredObject[]> {
    const wanted = this.#informers.filter(({ what }) => kind === undefined || what.kind === kind);
    const found = await this.#asking(async () => {
      const all: StoredObject[] = [];
      for (const { what } of wanted) {
        const resource = await this.#api.resource(what.apiVersion, what.kind);
        for await (const { items } of this.#api.pages(resource, what)) {
          all.push(
            ...items.filter(({ metadata }) => this.#admits(metadata.namespace ?? "")) as StoredObject[],
          );
        }
      }
      return all;
    });
    return found.sort(byKey);
  }

  write(write: Write): Promise<Written> {
    if (this.#closing.signal.aborted) {
      return Promise.reject(new StoreError("unavailable", "the store is closed"));
    }
    return this.#writer.write(write);
  }

  async *watch(signal: AbortSignal): AsyncGenerator<StoreEvent[]> {
    const ending = new AbortController();
    const ended = ending.signal;
    for (const source of [signal, this.#closing.signal]) {
      if (source.aborted) ending.abort();
      source.addEventListener("abort", () => ending.abort(), { once: true });
    }
    this.#running ??= Promise.all(this.#informers.map((informer) => informer.run(this.#closing.signal)));
    const stopped = new Promise<void>((resolve) => ended.addEventListener("abort", () => resolve()));
    await Promise.race([stopped, Promise.all(this.#informers.map(({ synced }) => synced))]);
    if (!ended.aborted) yield* this.#cache.watch(ended);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
    this.#transport.close();
  }

  async #asking<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw error instanceof ApiFailure ? storeError(error) : error;
    }
  }
}
