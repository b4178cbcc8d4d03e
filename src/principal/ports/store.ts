/**
 * The store port: a principal's truth. Adapters: SQLite (embedded), Kubernetes. All pass tests/contract.
 *
 * Ownership: objects passed in are not kept or changed by the store; objects returned belong to the caller.
 * Every write is durable before its promise resolves.
 */
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { Missing } from "../../domain/resources/missing.ts";

/** Why an object in the place of a write must stay as it is; empty: it need not. Asked of the very state that is written over. */
export type Keep = (present: StoredObject) => string;

/** One write. `keep`: only if it does not say otherwise of the object that is there; then the failure is `invalid`. */
export type Write =
  /**
   * Creates the object or replaces all of it that the store does not own itself (uid, resourceVersion,
   * generation, creationTimestamp, deletionTimestamp). `expect`: only if the object has this resourceVersion, or is "absent".
   * `replace`: where the object cannot become this one in place (it is being deleted, another type of Secret, immutable content), it
   * is deleted, without its finalizers, and recreated; without, that is refused, and what is being deleted stays so.
   */
  | { op: "put"; object: ApiObject; expect?: string | "absent"; replace?: boolean; keep?: Keep }
  /**
   * Removes the object for good, finalizers and all. Removing what does not exist succeeds. With `graceful`, as a user's deletion: an
   * object with finalizers stays, being deleted, until they are taken off.
   */
  | { op: "delete"; key: Key; expect?: string; graceful?: boolean; keep?: Keep };

/** The result of a write. */
export interface Written {
  /** The object as it is now; undefined after a deletion. */
  object?: StoredObject;
  /** False when the store held exactly this already and nothing was written. */
  changed: boolean;
}

/** An event of a watch, in order per key. */
export type StoreEvent =
  /** A full listing follows, up to the next `synced`; keys that it does not name do not exist. */
  | { type: "reset" }
  /** `manager`: the field manager of the last change, where the store knows. */
  | { type: "put"; object: StoredObject; manager?: string }
  /** `concluded`: a listing lacks it, no watch saw it go. */
  | { type: "delete"; key: Key; resourceVersion: string; concluded?: boolean }
  | { type: "synced" };

export interface StoreStatus {
  /** The problem that keeps the store from being current or reachable, with the remedy, in words; empty: none. */
  problem: string;
  /** Writes carried out since it was opened; of a server, write requests sent to it, failed ones included. */
  writes: number;
  /** Full listings since it was opened; more than one a kind means that watches were lost. */
  lists: number;
}

/** The store of one principal. */
export interface Store {
  /** The object, or undefined. */
  get(key: Key): Promise<StoredObject | undefined>;
  /** All objects, or those of one API kind, ordered by namespace and name. */
  list(kind?: string): Promise<StoredObject[]>;
  /** Shows every object once, in no order, without holding them all at a time. */
  each(visit: (object: StoredObject) => void): Promise<void>;
  /** @throws StoreError */
  write(write: Write): Promise<Written>;
  /**
   * The present state, then every change by anyone, in batches, until the signal aborts. States of a key may be
   * skipped in favour of later ones, never reordered.
   */
  watch(signal: AbortSignal): AsyncIterable<StoreEvent[]>;
  /**
   * Looks whether everything is there that an ACTIVE principal needs: these namespaces, and these fields of resources (`Kind path`),
   * beside rights and kinds. Undefined: there is nothing around this store that could be missing. Writes nothing. @throws StoreError
   */
  examine(namespaces: readonly string[], fields: readonly string[]): Promise<Missing | undefined>;
  /** How the store is, now. */
  status(): StoreStatus;
  /** Ends watches, and writes that wait for an answer (they may have been carried out), and releases files and connections. */
  close(): Promise<void>;
}

/** The kind of a store's failure. */
export type StoreErrorCode =
  /** `expect` does not hold: re-read and decide again. */
  | "conflict"
  /** The object, or what it needs (its namespace, its CRD), must exist and does not. */
  | "notFound"
  /** We lack the right. */
  | "forbidden"
  /** The object itself is refused; the same write will be refused again. */
  | "invalid"
  /** No room; nothing of the write was kept. */
  | "full"
  /** The stored data is damaged or foreign; nothing was changed. */
  | "corrupt"
  /** The store cannot be reached or is busy; the write may be retried. */
  | "unavailable";

/** A store's failure; the message says what was tried and what to do. */
export class StoreError extends Error {
  override readonly name = "StoreError";
  constructor(readonly code: StoreErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
  }
}

/** The object is at fault, whatever becomes of the store: its writer need not retry. */
export class UnfitObject extends StoreError {
  constructor(problem: string) {
    super("invalid", `cannot store this object: ${problem}`);
  }
}
