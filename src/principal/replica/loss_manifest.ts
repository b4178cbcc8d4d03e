/**
 * The loss manifest. A principal that was ACTIVE and now follows may hold writes that never reached the new active. Until
 * it has caught up, it keeps every object that it is about to overwrite or delete, whole and durably; `ha reconcile` adopts or discards
 * it later.
 */
import { sameJson } from "../../base/json.ts";
import type { Log } from "../../base/log.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import type { KeptObjects } from "../core/kept_objects.ts";
import type { Store } from "../ports/store.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import { kindOf, losable } from "../../domain/resources/kinds.ts";
import { replicatedForm } from "../../domain/resources/transform.ts";
import { digestOf, payloadOf } from "../../domain/changes/content.ts";

/** A resourceVersion, or that there is no such object; undefined: it does not matter. */
export type Expected = string | "absent" | undefined;

/** The part of the principal that the manifest needs. */
export interface LossManifestParts {
  model(): Pick<Model, "memory">;
  readonly store: Pick<Store, "get">;
  readonly settings: { readonly scope: Scope };
  readonly log: Log;
  readonly index: Pick<ChangeIndex, "get">;
  readonly kept: Pick<KeptObjects, "keep">;
}

export class LossManifest {
  /** A state that replication wrote is the new active's; overwriting it saves nothing. */
  readonly #handled = new Set<Key>();
  #proved = 0;
  #told = false;
  readonly #openedAtMs = Date.now();

  constructor(private readonly parts: LossManifestParts) {}

  /** The peer has proved that it holds everything up to this revision of the index; 0: nothing is proved any more. */
  proved(revision: number): void {
    this.#proved = revision;
    if (revision === 0) this.#handled.clear();
  }

  /**
   * Call before `key` is overwritten with `next` (undefined: deleted). What the write must find in its place, that nothing later is
   * overwritten unseen; undefined: anything. Another observed status is no loss and not kept. @param foreign what is in its place never was the leader's
   * @throws StoreError: then it must not be written
   */
  async beforeWrite(key: Key, next: ApiObject | undefined, foreign = false): Promise<Expected> {
    const { memory } = this.parts.model();
    if (foreign) return await this.#keep(key, memory.epoch, next);
    if (!memory.formerActive || this.#handled.has(key)) return undefined;
    const entry = this.parts.index.get(key);
    if (entry && entry.revision <= this.#proved) return entry.deleted ? "absent" : entry.version;
    return await this.#keep(key, memory.epoch, next);
  }

  /** Call when that write is durable: what is in its place now is the active's. */
  written(key: Key): void {
    if (this.parts.model().memory.formerActive) this.#handled.add(key);
  }

  async #keep(key: Key, epoch: number, next: ApiObject | undefined): Promise<Expected> {
    const object = await this.parts.store.get(key);
    if (!object) return "absent";
    const expected = object.metadata.resourceVersion;
    const kind = kindOf(object, this.parts.settings.scope);
    if (!kind || kind.bookkeeping) return expected;
    const form = replicatedForm(object, kind);
    if (next && sameJson(losable(form, kind), losable(next, kind))) return expected;
    const writtenAtMs = this.parts.index.get(key)?.contentAt ?? 0;
    const { resourceVersion: _, managedFields: __, ...metadata } = object.metadata;
    await this.parts.kept.keep({
      key,
      reason: "overwritten",
      digest: digestOf(key, payloadOf(object, kind)),
      epoch,
      newActiveHas: next ? "another state" : "nothing",
      atMs: Date.now(),
      cause: "",
      ...(writtenAtMs > this.#openedAtMs ? { writtenAtMs } : {}),
      object: { ...object, metadata },
    });
    this.#tell();
    return expected;
  }

  #tell(): void {
    if (this.#told) return;
    this.#told = true;
    this.parts.log.warn(
      "this principal was ACTIVE and holds writes that the new active never received; each is saved before it is overwritten: " +
        "ha reconcile lists them, and adopts or discards each",
      { event: "losses_kept" },
    );
  }
}
