/**
 * Applying one change on a replica: check it, give owner references this cluster's UIDs, write it, and compare the answer with what
 * was wanted. An Application that arrives before its ApplicationSet is written without the reference, and gets it when the
 * ApplicationSet comes.
 */
import { monotonicMs } from "../../base/clock.ts";
import { canonicalJson } from "../../base/json.ts";
import type { IncomingChange } from "../../domain/replication/applier.ts";
import type { Drift } from "../../domain/replication/drift.ts";
import { alteration } from "../../domain/resources/answer.ts";
import { kindOf } from "../../domain/resources/kinds.ts";
import { type ApiObject, SOURCE_UID, type StoredObject } from "../../domain/resources/object.ts";
import type { Key } from "../../domain/resources/keys.ts";
import {
  annotationBytes,
  localize,
  MAX_ANNOTATION_BYTES,
  ownerKey,
  owners,
  replicatedForm,
} from "../../domain/resources/transform.ts";
import { acceptDelete, acceptObject, type Verdict } from "../../domain/resources/validate.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import { contended } from "../ports/modify.ts";
import { type Store, StoreError, type Write, type Written } from "../ports/store.ts";
import type { Counting } from "../core/counters.ts";
import type { DeletionRecord } from "../core/deletion_record.ts";
import type { ForeignObjects } from "../core/foreign_objects.ts";
import type { Expected, LossManifest } from "./loss_manifest.ts";
import { mayBeDone, type UnconfirmedWrites } from "../core/unconfirmed_writes.ts";

/** Owner references waiting for their owner are remembered for at most this many Applications. */
const MAX_ORPHANS = 100_000;

export class ChangeWriter {
  readonly #orphans = new Map<Key, Map<Key, ApiObject>>();
  #orphanCount = 0;

  /** @param unconfirmed hears of each write, whichever writer it is of */
  constructor(
    private readonly store: Pick<Store, "get" | "write">,
    private readonly scope: Scope,
    private readonly counters: Counting,
    private readonly losses: Pick<LossManifest, "beforeWrite" | "written">,
    private readonly unconfirmed: UnconfirmedWrites,
    private readonly foreign: Pick<ForeignObjects, "has" | "add" | "delete">,
    private readonly drift: Pick<Drift, "writing" | "wrote" | "failed" | "absent">,
    private readonly deletions: Pick<DeletionRecord, "applying">,
  ) {}

  /** Waits until the index shows everything that was written here, 5 s at most. */
  async seen(signal: AbortSignal): Promise<void> {
    await this.unconfirmed.confirmed(signal);
  }

  /**
   * The state that is there decides too: whatever a peer sends, only an object that is replicated itself, or a copy that replication
   * wrote, is overwritten or deleted.
   */
  readonly #keep = (present: StoredObject): string => {
    if (kindOf(present, this.scope) || present.metadata.annotations?.[SOURCE_UID]) return "";
    this.counters.increment("refused");
    return `refused: the ${present.kind} "${present.metadata.name}" that is here is not a replicated one; ` +
      "rename it, or delete it if it is not needed";
  };

  async #write(key: Key, write: Write, payload?: string): Promise<Written> {
    this.drift.writing(key);
    try {
      const written = await this.store.write({ ...write, keep: this.#keep });
      const version = written.object?.metadata.resourceVersion ?? "";
      this.unconfirmed.wrote(key, version);
      this.drift.wrote(key, { version, payload }, monotonicMs());
      return written;
    } catch (error) {
      const uncertain = mayBeDone(error);
      if (uncertain) this.unconfirmed.uncertain(key);
      this.drift.failed(key, { payload, mayBeDone: uncertain }, monotonicMs());
      throw error;
    }
  }

  /** Applies a change; resolves when it is durable. @throws Error with the reason why it cannot be */
  async apply(change: IncomingChange): Promise<void> {
    const verdict: Verdict = change.problem !== undefined
      ? { ok: false, reason: change.problem }
      : change.object === undefined
      ? acceptDelete(change.key, this.scope)
      : acceptObject(change.key, change.object, this.scope);
    if (!verdict.ok) {
      this.counters.increment("refused");
      throw new Error(`refused: ${verdict.reason}`);
    }
    this.#forgetOrphan(change.key);
    const { object, kind } = verdict;
    if (!object || !kind) {
      const { foreign, key } = change;
      return await (foreign || this.foreign.has(key) ? this.#keepForeign(key) : this.#delete(change));
    }
    const form = replicatedForm(object, kind);
    checkAnnotations(form);
    const unknown = change.foreign === true || this.foreign.has(change.key);
    const { wanted, answer } = await contended(async () => {
      const expect = await this.losses.beforeWrite(change.key, form, unknown);
      await this.foreign.delete(change.key);
      return await this.#put(change.key, form, change.object, expect);
    });
    this.#written(change);
    if (object.kind === "ApplicationSet") await this.#repair(change.key);
    const altered = answer && alteration(replicatedForm(wanted, kind), answer, kind);
    if (altered) throw new StoreError("invalid", altered);
  }

  /** The leader lacks a resource that this store held before it followed: absence there is no deletion. */
  async #keepForeign(key: Key): Promise<void> {
    if (!this.foreign.has(key) && !await this.store.get(key)) return;
    await this.foreign.add(key);
  }

  async #delete(change: IncomingChange): Promise<void> {
    const { key, concluded = false } = change;
    await contended(async () => {
      const expect = await this.losses.beforeWrite(key, undefined);
      if (expect === "absent") return this.drift.absent(key, monotonicMs());
      this.deletions.applying(key, concluded);
      await this.#write(key, { op: "delete", key, ...(expect ? { expect } : {}) });
    });
    this.#written(change);
  }

  /** Restoring this side's own state makes nothing the leader's. */
  #written({ key, restored }: IncomingChange): void {
    if (!restored) this.losses.written(key);
  }

  async #put(
    key: Key,
    form: ApiObject,
    payload?: string,
    expect?: Expected,
  ): Promise<{ wanted: ApiObject; answer: ApiObject | undefined }> {
    const uids = new Map<string, string>();
    for (const owner of owners(form)) {
      const found = await this.store.get(ownerKey(form, owner));
      if (found) uids.set(owner.name, found.metadata.uid);
    }
    const { object, missing } = localize(form, (owner) => uids.get(owner.name));
    for (const owner of missing) this.#rememberOrphan(ownerKey(form, owner), key, form);
    const write: Write = { op: "put", object, replace: true, ...(expect ? { expect } : {}) };
    return { wanted: object, answer: (await this.#write(key, write, payload ?? canonicalJson(form))).object };
  }

  async #repair(owner: Key): Promise<void> {
    const orphans = this.#orphans.get(owner);
    if (!orphans) return;
    this.#orphans.delete(owner);
    this.#orphanCount -= orphans.size;
    for (const [key, form] of orphans) await this.#put(key, form);
  }

  #rememberOrphan(owner: Key, key: Key, form: ApiObject): void {
    if (this.#orphanCount >= MAX_ORPHANS) return;
    const orphans = this.#orphans.get(owner) ?? new Map<Key, ApiObject>();
    this.#orphans.set(owner, orphans);
    if (!orphans.has(key)) this.#orphanCount++;
    orphans.set(key, form);
  }

  #forgetOrphan(key: Key): void {
    for (const [owner, orphans] of this.#orphans) {
      if (!orphans.delete(key)) continue;
      this.#orphanCount--;
      if (orphans.size === 0) this.#orphans.delete(owner);
    }
  }
}

/** @throws StoreError where an API server would refuse the annotations: those of the source and the one that names it */
function checkAnnotations({ metadata: { annotations = {} } }: ApiObject): void {
  const bytes = annotationBytes(annotations);
  if (bytes <= MAX_ANNOTATION_BYTES) return;
  throw new StoreError(
    "invalid",
    `its annotations and the one that keeps its identity have ${bytes} bytes, ${MAX_ANNOTATION_BYTES} are allowed; ` +
      "shorten an annotation on the ACTIVE",
  );
}
