/**
 * Writes to one API server: a bounded number at a time, those of one key in their order. What the informers' copy shows to be
 * right already is not written. Conflicts are read again and decided again; 429 and 5xx are tried again when the server says,
 * and everybody waits then; a request whose answer was lost is simply made again, because each write says what must be true
 * afterwards and finds that it is.
 */
import { isDeepStrictEqual } from "node:util";
import { delay } from "@std/async/delay";
import pLimit from "p-limit";
import {
  type ApiObject,
  objectProblem,
  SERVER_OWNED,
  type StoredObject,
} from "../../domain/resources/object.ts";
import { type Key, keyOfObject, type KeyParts, parseKey } from "../../domain/resources/keys.ts";
import { type BackoffPolicy, delayMs } from "../../base/backoff.ts";
import {
  ApiFailure,
  type KubeApi,
  type PatchOperation,
  type Resource,
  storeError,
} from "../kube/dynamic_client.ts";
import type { KubeCache } from "./kubernetes_cache.ts";
import { StoreError, type Write, type Written } from "../../principal/ports/store.ts";

const RETRY: BackoffPolicy = { firstMs: 200, maxMs: 5_000, factor: 2 };
/** Then the write is given back as `unavailable`; whoever asked for it decides when to ask again. */
const MAX_ATTEMPTS = 6;
const MAX_RETRY_AFTER_MS = 30_000;
/** A conflict is read again this often before it is given back. */
const MAX_CONFLICTS = 10;
/** A deletion waits this long for finalizers and the garbage collector. */
const GONE_MS = 20_000;
const GONE_LOOK_MS = 100;

/** Namespaces that may be created when an object needs one. */
export interface NamespaceCreation {
  /** Only names that match. */
  pattern: RegExp | undefined;
  labels: Record<string, string>;
}

/** Whether a namespace of this name would be created. */
export function mayCreate(creation: NamespaceCreation | undefined, namespace: string): boolean {
  return creation !== undefined && (creation.pattern?.test(namespace) ?? true);
}

export interface WriterOptions {
  concurrency: number;
  /** Undefined: namespaces are never created. */
  createNamespaces: NamespaceCreation | undefined;
  /** Whether the informers' copy holds every object of this kind in this namespace. */
  covers(kind: string, namespace: string): boolean;
}

/** What a write is about. */
interface Target {
  key: Key;
  resource: Resource;
  namespace: string;
  name: string;
}

/** What a write came to; after a deletion, also when the object is gone. */
interface Outcome {
  written: Written;
  gone?: () => Promise<void>;
}

export class KubeWriter {
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #tails = new Map<Key, Promise<unknown>>();
  #pausedUntil = 0;
  /** Requests that changed something or might have: what the API server was burdened with. */
  requests = 0;

  constructor(
    private readonly api: KubeApi,
    private readonly cache: KubeCache,
    private readonly options: WriterOptions,
  ) {
    this.#limit = pLimit(options.concurrency);
  }

  /** Carries out one write. @throws StoreError */
  write(write: Write): Promise<Written> {
    const problem = write.op === "put" ? objectProblem(write.object) : undefined;
    if (problem) return Promise.reject(new StoreError("invalid", `cannot store this object: ${problem}`));
    const key = write.op === "put" ? keyOfObject(write.object) : write.key;
    const parts = parseKey(key);
    if (!parts) {
      return Promise.reject(
        new StoreError("invalid", `"${key.slice(0, 300)}" is not a key (Kind/namespace/name)`),
      );
    }
    const before = this.#tails.get(key) ?? Promise.resolve();
    const done = before.then(() => this.#whole(key, parts, write)).catch((error) => {
      throw error instanceof ApiFailure ? storeError(error, `${key}: `) : error;
    });
    const tail = done.catch(() => {}).then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    this.#tails.set(key, tail);
    return done;
  }

  /** Only requests count against the limit; waiting for an object to go does not. */
  async #whole(key: Key, parts: KeyParts, write: Write): Promise<Written> {
    const { written, gone } = await this.#limit(() => this.#carryOut(key, parts, write));
    await gone?.();
    return written;
  }

  async #carryOut(key: Key, { kind, namespace, name }: KeyParts, write: Write): Promise<Outcome> {
    const apiVersion = write.op === "put" ? write.object.apiVersion : apiVersionOf(kind);
    const resource = await this.#retried(() => this.api.resource(apiVersion, kind), false);
    const target = { key, resource, namespace, name };
    if (write.op === "put") return { written: await this.#put(target, write.object, write.expect) };
    if (write.op === "patchStatus") return { written: await this.#patchStatus(target, write.status) };
    return await this.#delete(target, write.expect);
  }

  async #put(target: Target, object: ApiObject, expect: string | undefined): Promise<Written> {
    const { key, resource } = target;
    let current = this.cache.get(key);
    let live = false;
    for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts++) {
      if (expect !== undefined && expect !== (current?.metadata.resourceVersion ?? "absent") && !live) {
        current = await this.#get(target);
        live = true;
      }
      checkExpected(key, current, expect);
      try {
        if (!current) return await this.#create(resource, object);
        if (current.metadata.deletionTimestamp && expect === undefined) {
          await this.#end(target, current);
          throw new StoreError(
            "unavailable",
            `${key} is still being deleted in this cluster; it is written when it is gone`,
          );
        }
        return await this.#update(resource, current, object);
      } catch (error) {
        if (!(error instanceof ApiFailure)) throw error;
        const vanished = current !== undefined && error.status === 404;
        if (error.status !== 409 && !vanished) throw error;
        current = await this.#get(target);
        live = true;
      }
    }
    throw new StoreError("conflict", `${key} is being changed by others all the time; giving up for now`);
  }

  async #create(resource: Resource, object: ApiObject): Promise<Written> {
    const body = withoutServerOwned(object);
    let created: StoredObject;
    try {
      created = await this.#retried(() => this.api.create(resource, body));
    } catch (error) {
      if (!(error instanceof ApiFailure && error.status === 404 && error.about === "namespaces")) throw error;
      await this.#createNamespace(object.metadata.namespace ?? "", error);
      created = await this.#retried(() => this.api.create(resource, body));
    }
    if (resource.statusSubresource && object["status"] !== undefined) {
      created = await this.#writeStatus(resource, created, object["status"]);
    }
    return this.#written(undefined, created);
  }

  async #createNamespace(namespace: string, because: ApiFailure): Promise<void> {
    const { createNamespaces } = this.options;
    if (!createNamespaces || !mayCreate(createNamespaces, namespace)) {
      const why = createNamespaces
        ? `"${namespace}" does not match --namespace-create-pattern`
        : "namespaces are not created without --namespace-create-enable";
      throw new StoreError(
        "notFound",
        `namespace "${namespace}" does not exist in this cluster, and ${why}; create it: kubectl create namespace ` +
          `${namespace} (${because.message})`,
      );
    }
    await this.#retried(() => this.api.createNamespace(namespace, createNamespaces.labels));
  }

  /** Brings an existing object to the state wanted: only the fields that differ are sent, and nothing where none does. */
  async #update(resource: Resource, current: StoredObject, object: ApiObject): Promise<Written> {
    const { namespace, name } = current.metadata;
    const patch = differences(current, object, resource.statusSubresource);
    let written = current;
    if (patch.length > 0) {
      written = await this.#retried(() =>
        this.api.patch(resource, namespace, name, [...at(current), ...patch])
      );
    }
    const sameStatus = isDeepStrictEqual(current["status"] ?? null, object["status"] ?? null);
    if (resource.statusSubresource && !sameStatus) {
      written = await this.#writeStatus(resource, written, object["status"]);
    }
    return this.#written(current, written);
  }

  #writeStatus(resource: Resource, { metadata }: StoredObject, status: unknown): Promise<StoredObject> {
    return this.#retried(() =>
      this.api.writeStatus(resource, metadata.namespace, metadata.name, status ?? {})
    );
  }

  #written(before: StoredObject | undefined, after: StoredObject): Written {
    // The copy has it before the watch tells: what follows is compared with what is there.
    if (this.options.covers(after.kind, after.metadata.namespace)) this.cache.put(after);
    return { object: after, changed: before?.metadata.resourceVersion !== after.metadata.resourceVersion };
  }

  async #patchStatus(target: Target, status: unknown): Promise<Written> {
    const { key, resource } = target;
    const current = this.cache.get(key) ?? await this.#get(target);
    if (!current) throw new StoreError("notFound", `cannot patch the status of ${key}: it does not exist`);
    if (isDeepStrictEqual(current["status"] ?? null, status ?? null)) {
      return { object: current, changed: false };
    }
    return this.#written(current, await this.#writeStatus(resource, current, status));
  }

  async #delete(target: Target, expect: string | undefined): Promise<Outcome> {
    const current = await this.#get(target);
    checkExpected(target.key, current, expect);
    if (current) await this.#end(target, current);
    return {
      written: { changed: current !== undefined },
      gone: () => this.#gone(target, current?.metadata.uid),
    };
  }

  /**
   * Finalizers are taken off and the object is deleted; it may stay a while. Its dependants stay for good (propagation Orphan where
   * it may have any): what the active deleted with it comes as deletions of their own (I5).
   */
  async #end({ resource, namespace, name }: Target, current: StoredObject): Promise<void> {
    const { finalizers = [], resourceVersion } = current.metadata;
    let version = resourceVersion;
    try {
      if (finalizers.length > 0) {
        const patch = [...at(current), { op: "remove", path: "/metadata/finalizers" } as const];
        const freed = await this.#retried(() => this.api.patch(resource, namespace, name, patch));
        version = freed.metadata.resourceVersion;
      }
      const propagation = resource.kind === "ApplicationSet" ? "Orphan" : "Background";
      await this.#retried(() => this.api.delete(resource, namespace, name, propagation, version));
    } catch (error) {
      if (!(error instanceof ApiFailure) || error.status !== 404) throw error;
    }
  }

  /** Resolves when an object that was deleted is gone from the copy and the cluster. Other keys are written meanwhile. */
  async #gone(target: Target, uid: string | undefined): Promise<void> {
    const { key } = target;
    const limit = performance.now() + GONE_MS;
    if (this.cache.has(key)) {
      if (!(await this.cache.gone(key, GONE_MS))) throw stillThere(key);
      return;
    }
    while (uid !== undefined && (await this.#get(target))?.metadata.uid === uid) {
      if (performance.now() > limit) throw stillThere(key);
      await delay(GONE_LOOK_MS);
    }
  }

  #get({ resource, namespace, name }: Target): Promise<StoredObject | undefined> {
    return this.#retried(() => this.api.get(resource, namespace, name), false);
  }

  async #retried<T>(ask: () => Promise<T>, counts = true): Promise<T> {
    for (let failures = 0;;) {
      const pause = this.#pausedUntil - performance.now();
      if (pause > 0) await delay(pause);
      if (counts) this.requests++;
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof ApiFailure) || !error.passing || ++failures === MAX_ATTEMPTS) throw error;
        if (error.retryAfterMs > 0) {
          this.#pausedUntil = performance.now() + Math.min(error.retryAfterMs, MAX_RETRY_AFTER_MS);
        }
        await delay(delayMs(RETRY, failures, Math.random()));
      }
    }
  }
}

/** The kinds that keys name: Argo CD's, and core ones. */
export function apiVersionOf(kind: string): string {
  return kind === "Secret" || kind === "ConfigMap" ? "v1" : "argoproj.io/v1alpha1";
}

function withoutServerOwned(object: ApiObject): ApiObject {
  const metadata = { ...object.metadata };
  for (const field of SERVER_OWNED) delete metadata[field];
  return { ...object, metadata };
}

/** Makes a patch one of exactly this state: the API server answers 409 when there is another by now. */
function at({ metadata }: StoredObject): PatchOperation[] {
  return [{ op: "add", path: "/metadata/resourceVersion", value: metadata.resourceVersion }];
}

/** What turns `from` into `to`, by whole fields of the object and of its metadata. */
function differences(from: ApiObject, to: ApiObject, exceptStatus: boolean): PatchOperation[] {
  const { metadata: before, ...old } = withoutServerOwned(from);
  const { metadata: after, ...wanted } = withoutServerOwned(to);
  if (exceptStatus) {
    delete old["status"];
    delete wanted["status"];
  }
  return [...fieldDifferences("", old, wanted), ...fieldDifferences("/metadata", before, after)];
}

function fieldDifferences(
  path: string,
  from: Record<string, unknown>,
  to: Record<string, unknown>,
): PatchOperation[] {
  const patch: PatchOperation[] = [];
  for (const field of new Set([...Object.keys(from), ...Object.keys(to)])) {
    const [old, wanted] = [from[field], to[field]];
    if (isDeepStrictEqual(old, wanted) || (isEmpty(old) && isEmpty(wanted))) continue;
    const at = `${path}/${field.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    patch.push(
      wanted === undefined || wanted === null
        ? { op: "remove", path: at }
        : { op: "add", path: at, value: wanted },
    );
  }
  return patch;
}

function isEmpty(value: unknown): boolean {
  return value === undefined || value === null ||
    (typeof value === "object" && Object.keys(value).length === 0);
}

function checkExpected(key: Key, current: StoredObject | undefined, expect: string | undefined): void {
  const actual = current?.metadata.resourceVersion ?? "absent";
  if (expect === undefined || actual === expect) return;
  throw new StoreError(
    "conflict",
    `${key} is at "${actual}", not at "${expect}" as expected; re-read it and try again`,
  );
}

function stillThere(key: Key): StoreError {
  return new StoreError(
    "unavailable",
    `${key} was deleted but is still there after ${
      GONE_MS / 1_000
    } s: is the garbage collector (kube-controller-manager) ` +
      "running, and does another controller keep a finalizer on it?",
  );
}
