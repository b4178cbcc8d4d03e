/**
 * The Kubernetes store: a principal's truth is its own cluster. Reflectors keep a copy of the replicated kinds, from which it is read
 * and watched; writes go to the API server. Loaded only where it is used.
 */
import { onAbort } from "../../base/abort.ts";
import { byKey, type Key } from "../../domain/resources/keys.ts";
import type { Missing } from "../../domain/resources/missing.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import {
  type Store,
  StoreError,
  type StoreEvent,
  type StoreStatus,
  type Write,
  type Written,
} from "../../principal/ports/store.ts";
import type { ApiRequestCounting } from "../../principal/ports/telemetry.ts";
import { Access } from "../kube/access.ts";
import { DynamicClient } from "../kube/dynamic_client.ts";
import type { AccessOptions } from "../kube/kubeconfig.ts";
import { Reflector, type ReflectorLimits } from "../kube/reflector.ts";
import { Transport } from "../kube/transport.ts";
import { KubernetesCache } from "./kubernetes_cache.ts";
import { storeError } from "./kubernetes_errors.ts";
import { examine } from "./kubernetes_examination.ts";
import { knownKind, watchesOf } from "./kubernetes_kinds.ts";
import { KubernetesWriter, type NamespaceCreation } from "./kubernetes_writer.ts";
import { partsOf } from "./preconditions.ts";

export interface KubernetesOptions extends AccessOptions {
  /** The principal's namespace: AppProjects, Secrets and ConfigMaps are watched there only. */
  namespace: string;
  /** Whether objects of a namespace are looked at. */
  admits: (namespace: string) => boolean;
  /** The operator's selector of Applications, AppProjects and ApplicationSets; empty: all of them. */
  labelSelector: string;
  writeConcurrency: number;
  createNamespaces: NamespaceCreation | undefined;
  reflectors?: ReflectorLimits;
  /** Counts the requests; default: they are not counted. */
  requests?: ApiRequestCounting;
  /** Whether this process may write now; asked before each request. Default: it may. */
  mayWrite?: () => boolean;
}

/** Opens the store; reflectors start at the first watch. @throws StoreError */
export function openKubernetes(options: KubernetesOptions): KubernetesStore {
  try {
    return new KubernetesStore(Access.load(options), options);
  } catch (error) {
    throw storeError(error);
  }
}

export class KubernetesStore implements Store {
  readonly #transport: Transport;
  readonly #client: DynamicClient;
  readonly #cache = new KubernetesCache();
  readonly #writer: KubernetesWriter;
  readonly #reflectors: Reflector[];
  readonly #admits: (namespace: string) => boolean;
  readonly #closing = new AbortController();
  #running: Promise<unknown> | undefined;

  constructor(access: Access, private readonly options: KubernetesOptions) {
    this.#transport = new Transport(access, undefined, options.requests);
    this.#client = new DynamicClient(this.#transport);
    this.#writer = new KubernetesWriter(this.#client, this.#cache, {
      concurrency: options.writeConcurrency,
      createNamespaces: options.createNamespaces,
      mayWrite: options.mayWrite ?? (() => true),
      meter: this.#transport.meter,
      covers: (kind, namespace) =>
        this.#reflectors.some((reflector) => reflector.watched.kind === kind && reflector.covers(namespace)),
    });
    this.#admits = (candidate) => candidate === options.namespace || options.admits(candidate);
    this.#reflectors = watchesOf(options).map((watched) =>
      new Reflector(watched, this.#client, this.#cache, this.#admits, options.reflectors)
    );
  }

  examine(namespaces: readonly string[], fields: readonly string[]): Promise<Missing> {
    const { namespace, createNamespaces: creation, writeConcurrency: concurrency } = this.options;
    const watches = watchesOf(this.options);
    return this.#asking(() =>
      examine(this.#client, { watches, namespaces, namespace, fields, creation, concurrency })
    );
  }

  status(): StoreStatus {
    const problems = new Set(this.#reflectors.map(({ problem }) => problem).filter(Boolean));
    const lists = this.#reflectors.reduce((sum, reflector) => sum + reflector.lists, 0);
    return { problem: [...problems].join("; "), writes: this.#writer.requests, lists };
  }

  async get(key: Key): Promise<StoredObject | undefined> {
    const cached = this.#cache.get(key);
    if (cached) return cached;
    const { kind, namespace, name } = partsOf(key);
    const { apiVersion } = knownKind(kind);
    return await this.#asking(async () => {
      const resource = await this.#client.discovery.resource(apiVersion, kind);
      return await this.#client.get(resource, namespace, name);
    });
  }

  async list(kind?: string): Promise<StoredObject[]> {
    const found: StoredObject[] = [];
    await this.#visit((object) => found.push(object), kind);
    return found.sort(byKey);
  }

  each(visit: (object: StoredObject) => void): Promise<void> {
    return this.#visit(visit);
  }

  #visit(visit: (object: StoredObject) => void, kind?: string): Promise<void> {
    const wanted = watchesOf(this.options).filter((watched) => kind === undefined || watched.kind === kind);
    return this.#asking(async () => {
      for (const watched of wanted) {
        const resource = await this.#client.discovery.resource(watched.apiVersion, watched.kind);
        for await (const { items } of this.#client.pages(resource, watched)) {
          for (const item of items) {
            if (this.#admits(item.metadata.namespace ?? "")) visit(item as StoredObject);
          }
        }
      }
    });
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
    const unlisten = [signal, this.#closing.signal].map((source) => onAbort(source, () => ending.abort()));
    try {
      this.#running ??= Promise.all(this.#reflectors.map((reflector) => reflector.run(this.#closing.signal)));
      const stopped = new Promise<void>((resolve) => onAbort(ended, () => resolve()));
      await Promise.race([stopped, Promise.all(this.#reflectors.map(({ synced }) => synced))]);
      if (!ended.aborted) yield* this.#cache.watch(ended);
    } finally {
      for (const stop of unlisten) stop();
    }
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#transport.close();
    await this.#running;
  }

  async #asking<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      throw storeError(error);
    }
  }
}
