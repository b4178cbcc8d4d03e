/**
 * Writes to one API server: a bounded number at a time, those of one key in their order. A state that the copy shows already is not
 * written. After a conflict the object is read and compared once more; 429 and 5xx are retried when the server says, and all writes
 * pause until then. A request whose answer was lost is simply repeated: each write says what must be true afterwards.
 */
import { delay } from "@std/async/delay";
import pLimit from "p-limit";
import { sameJson } from "../../base/json.ts";
import { type BackoffPolicy, delayMs } from "../../base/backoff.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Pattern } from "../../base/pattern.ts";
import { type Key, keyOfObject, type KeyParts } from "../../domain/resources/keys.ts";
import { apiKindOf } from "../../domain/resources/kinds.ts";
import { mustReplace } from "../../domain/resources/immutable.ts";
import { normalForm } from "../../domain/resources/normal.ts";
import { type ApiObject, objectProblem, type StoredObject } from "../../domain/resources/object.ts";
import { StoreError, type Write, type Written } from "../../principal/ports/store.ts";
import type { ApiRequestMeter } from "../../principal/ports/telemetry.ts";
import { ApiFailure } from "../kube/api_failure.ts";
import type { Resource } from "../kube/discovery.ts";
import type { DynamicClient } from "../kube/dynamic_client.ts";
import type { KubernetesCache } from "./kubernetes_cache.ts";
import { storeError } from "./kubernetes_errors.ts";
import { knownKind, NAMESPACES } from "./kubernetes_kinds.ts";
import { differences, onlyAt } from "./kubernetes_patch.ts";
import { checkExpected, partsOf } from "./preconditions.ts";

const RETRY: BackoffPolicy = { firstMs: 200, maxMs: 5_000, factor: 2 };
/** After so many failures the write ends as `unavailable`; its caller decides when to retry. */
const MAX_ATTEMPTS = 6;
const MAX_RETRY_AFTER_MS = 30_000;
/** After so many conflicts in a row the write ends as `conflict`. */
const MAX_CONFLICTS = 10;
/** A deletion waits this long for finalizers and the garbage collector. */
const GONE_MS = 20_000;
const GONE_LOOK_MS = 100;
/** The name of an object that is never written. */
const TRIAL_NAME = "argocd-agent-ha-trial";

/** Namespaces that may be created when an object needs one. */
export interface NamespaceCreation {
  /** Only names that match. */
  pattern: Pattern | undefined;
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
  meter: Pick<ApiRequestMeter, "retried" | "waited">;
  /** Whether this process may write now. */
  mayWrite(): boolean;
  /** Whether the copy holds every object of this kind in this namespace. */
  covers(kind: string, namespace: string): boolean;
}

type Put = Extract<Write, { op: "put" }>;

/** The object of a write. */
interface Target {
  key: Key;
  resource: Resource;
  namespace: string;
  name: string;
}

/** The result of a write; after a deletion, also the wait until the object is gone. */
interface Outcome {
  written: Written;
  gone?: () => Promise<void>;
}

export class KubernetesWriter {
  readonly #limit: ReturnType<typeof pLimit>;
  readonly #tails = new Map<Key, Promise<unknown>>();
  #pausedUntil = 0;
  /** Requests to the API server that changed something or might have. */
  requests = 0;

  constructor(
    private readonly client: DynamicClient,
    private readonly cache: KubernetesCache,
    private readonly options: WriterOptions,
  ) {
    this.#limit = pLimit(options.concurrency);
  }

  /** Carries out one write. @throws StoreError */
  async write(write: Write): Promise<Written> {
    const problem = write.op === "put" ? objectProblem(write.object) : undefined;
    if (problem) throw new StoreError("invalid", `cannot store this object: ${problem}`);
    const key = write.op === "put" ? keyOfObject(write.object) : write.key;
    const parts = partsOf(key);
    const before = this.#tails.get(key) ?? Promise.resolve();
    const done = before.then(() => this.#whole(key, parts, write)).catch((error) => {
      throw storeError(error, `${key}: `);
    });
    const tail = done.catch(() => {}).then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    this.#tails.set(key, tail);
    return await done;
  }

  /** Only requests count against the limit; waiting for an object to go does not. */
  async #whole(key: Key, parts: KeyParts, write: Write): Promise<Written> {
    const askedAtMs = monotonicMs();
    const { written, gone } = await this.#limit(() => {
      const method = write.op === "delete" ? "DELETE" : "PATCH";
      this.options.meter.waited(method, (monotonicMs() - askedAtMs) / 1_000);
      return this.#carryOut(key, parts, write);
    });
    await gone?.();
    return written;
  }

  async #carryOut(key: Key, { kind, namespace, name }: KeyParts, write: Write): Promise<Outcome> {
    const apiVersion = write.op === "put" ? write.object.apiVersion : knownKind(kind).apiVersion;
    const resource = await this.#retried(() => this.client.discovery.resource(apiVersion, kind), false);
    const target = { key, resource, namespace, name };
    if (write.op === "put") return { written: await this.#put(target, write) };
    return await this.#delete(target, write);
  }

  async #put(target: Target, write: Put): Promise<Written> {
    const { object, expect, replace = false } = write;
    const { key, resource } = target;
    let current = this.cache.get(key);
    let live = false;
    for (let conflicts = 0; conflicts < MAX_CONFLICTS; conflicts++) {
      if (expect !== undefined && expect !== (current?.metadata.resourceVersion ?? "absent") && !live) {
        current = await this.#get(target);
        live = true;
      }
      checkExpected(key, current, write);
      try {
        if (!current) return await this.#create(resource, object);
        if (replace && (current.metadata.deletionTimestamp || mustReplace(current, object))) {
          return await this.#replace(target, current, object);
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
    throw new StoreError(
      "conflict",
      `cannot write ${key}: others changed it ${MAX_CONFLICTS} times in a row; retry later`,
    );
  }

  async #create(resource: Resource, object: ApiObject): Promise<Written> {
    const body = normalForm(object);
    let created: StoredObject;
    try {
      created = await this.#retried(() => this.client.create(resource, body));
    } catch (error) {
      if (!(error instanceof ApiFailure && error.status === 404 && error.about === "namespaces")) throw error;
      await this.#createNamespace(object.metadata.namespace ?? "", error);
      created = await this.#retried(() => this.client.create(resource, body));
    }
    if (resource.statusSubresource && body["status"] !== undefined) {
      created = await this.#writeStatus(resource, created, body["status"]);
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
    const object = {
      apiVersion: NAMESPACES.apiVersion,
      kind: NAMESPACES.kind,
      metadata: { name: namespace, labels: createNamespaces.labels },
    };
    try {
      await this.#retried(() => this.client.create(NAMESPACES, object));
    } catch (error) {
      if (!(error instanceof ApiFailure && error.reason === "AlreadyExists")) throw error;
    }
  }

  /** Brings an existing object to the state wanted: only the fields that differ are sent, and nothing where none does. */
  async #update(resource: Resource, current: StoredObject, object: ApiObject): Promise<Written> {
    const { namespace, name } = current.metadata;
    const patch = differences(current, object, resource.statusSubresource);
    let written = current;
    if (patch.length > 0) {
      written = await this.#retried(() =>
        this.client.patch(resource, namespace, name, [...onlyAt(current), ...patch])
      );
    }
    if (resource.statusSubresource) {
      const { status } = normalForm(object);
      if (!sameJson(normalForm(current)["status"], status)) {
        written = await this.#writeStatus(resource, written, status);
      }
    }
    return this.#written(current, written);
  }

  /**
   * Deletes an object and creates it as wanted. A dry run under another name goes first, so that the old one stays where the API
   * server would refuse the new one. After a failure in between the object is missing until the write is retried, and the failure
   * says so.
   */
  async #replace(target: Target, current: StoredObject, object: ApiObject): Promise<Written> {
    const { key, resource } = target;
    const trial = { ...normalForm(object), metadata: { ...normalForm(object).metadata, name: TRIAL_NAME } };
    await this.#retried(() => this.client.create(resource, trial, { dryRun: true }), false);
    await this.#end(target, current);
    await this.#away(target, current.metadata.uid);
    try {
      return await this.#create(resource, object);
    } catch (error) {
      if (!(error instanceof ApiFailure) || error.status === 409) throw error;
      const failure = storeError(error) as StoreError;
      throw new StoreError(
        failure.code,
        `${key} was deleted because it cannot change in place, and could not be recreated yet: ${error.message}`,
      );
    }
  }

  #writeStatus(resource: Resource, { metadata }: StoredObject, status: unknown): Promise<StoredObject> {
    return this.#retried(() =>
      this.client.writeStatus(resource, metadata.namespace, metadata.name, status ?? {})
    );
  }

  #written(before: StoredObject | undefined, after: StoredObject): Written {
    // The copy has it before the watch's event: the next write is compared with the present state.
    if (this.options.covers(after.kind, after.metadata.namespace)) this.cache.put(after, "read");
    return { object: after, changed: before?.metadata.resourceVersion !== after.metadata.resourceVersion };
  }

  async #delete(target: Target, write: Extract<Write, { op: "delete" }>): Promise<Outcome> {
    const { graceful } = write;
    const current = await this.#get(target);
    checkExpected(target.key, current, write);
    if (current?.metadata.finalizers?.length && graceful) {
      return { written: await this.#ask(target, current) };
    }
    if (current) await this.#end(target, current);
    return {
      written: { changed: current !== undefined },
      gone: () => this.#gone(target, current?.metadata.uid),
    };
  }

  /** Asks for the deletion as a user does: the object stays until its finalizers are taken off. */
  async #ask(target: Target, current: StoredObject): Promise<Written> {
    const { resource, namespace, name } = target;
    const { resourceVersion, deletionTimestamp } = current.metadata;
    if (!deletionTimestamp) {
      await this.#retried(() => this.client.delete(resource, namespace, name, "Background", resourceVersion));
    }
    const object = await this.#get(target);
    return object ? this.#written(current, object) : { changed: true };
  }

  /**
   * Removes finalizers and deletes the object; it may stay a while. Objects that it owns stay (propagation Orphan): those that the
   * ACTIVE deleted with it arrive as deletions of their own.
   */
  async #end({ resource, namespace, name }: Target, current: StoredObject): Promise<void> {
    const { finalizers = [], resourceVersion } = current.metadata;
    let version = resourceVersion;
    try {
      if (finalizers.length > 0) {
        const patch = [...onlyAt(current), { op: "remove", path: "/metadata/finalizers" } as const];
        const freed = await this.#retried(() => this.client.patch(resource, namespace, name, patch));
        version = freed.metadata.resourceVersion;
      }
      const propagation = apiKindOf(resource)?.ownsOthers ? "Orphan" : "Background";
      await this.#retried(() => this.client.delete(resource, namespace, name, propagation, version));
    } catch (error) {
      if (!(error instanceof ApiFailure) || error.status !== 404) throw error;
    }
  }

  /** Resolves when an object that was deleted is gone from the copy and the cluster. Other keys are written meanwhile. */
  async #gone(target: Target, uid: string | undefined): Promise<void> {
    const { key } = target;
    if (this.cache.has(key)) {
      if (!(await this.cache.gone(key, GONE_MS))) throw stillThere(key);
      return;
    }
    await this.#away(target, uid);
  }

  /** Resolves when the cluster has no object of this UID any more. */
  async #away(target: Target, uid: string | undefined): Promise<void> {
    const { key } = target;
    const limit = monotonicMs() + GONE_MS;
    while (uid !== undefined && (await this.#get(target))?.metadata.uid === uid) {
      if (monotonicMs() > limit) throw stillThere(key);
      await delay(GONE_LOOK_MS);
    }
  }

  #get({ resource, namespace, name }: Target): Promise<StoredObject | undefined> {
    return this.#retried(() => this.client.get(resource, namespace, name), false);
  }

  async #retried<T>(ask: () => Promise<T>, counts = true): Promise<T> {
    for (let failures = 0;;) {
      const pause = this.#pausedUntil - monotonicMs();
      if (pause > 0) await delay(pause);
      if (counts && !this.options.mayWrite()) {
        throw new StoreError("unavailable", "this process does not hold the lock on its store any more");
      }
      if (counts) this.requests++;
      try {
        return await ask();
      } catch (error) {
        if (!(error instanceof ApiFailure) || !error.passing || ++failures === MAX_ATTEMPTS) throw error;
        this.options.meter.retried(error.method, String(error.status || "<error>"));
        if (error.retryAfterMs > 0) {
          this.#pausedUntil = monotonicMs() + Math.min(error.retryAfterMs, MAX_RETRY_AFTER_MS);
        }
        await delay(delayMs(RETRY, failures, Math.random()));
      }
    }
  }
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
