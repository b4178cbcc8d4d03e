/**
 * Applying one change on a replica: check it, give owner references this cluster's UIDs, write it. An
 * Application that arrives before its ApplicationSet is written without the reference, and gets it when the
 * ApplicationSet comes.
 */
import type { IncomingChange } from "../../domain/replication/applier.ts";
import type { ApiObject, OwnerReference } from "../../domain/resources/object.ts";
import { type Key, keyOf } from "../../domain/resources/keys.ts";
import { localize, replicatedForm } from "../../domain/resources/transform.ts";
import { acceptDelete, acceptObject } from "../../domain/resources/validate.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import type { Store, Write } from "../ports/store.ts";
import type { Counting } from "../core/counters.ts";
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
  ) {}

  /** Waits until the index shows everything that was written here, 5 s at most. */
  async seen(signal: AbortSignal): Promise<void> {
    await this.unconfirmed.confirmed(signal);
  }

  async #write(key: Key, write: Write): Promise<void> {
    try {
      const { object } = await this.store.write(write);
      this.unconfirmed.wrote(key, object?.metadata.resourceVersion ?? "");
    } catch (error) {
      if (mayBeDone(error)) this.unconfirmed.uncertain(key);
      throw error;
    }
  }

  /** Applies a change; resolves when it is durable. @throws Error with the reason why it cannot be */
  async apply(change: IncomingChange): Promise<void> {
    const verdict = change.object === undefined
      ? acceptDelete(change.key, this.scope)
      : acceptObject(change.key, change.object, this.scope);
    if (!verdict.ok) {
      this.counters.increment("refused");
      throw new Error(`refused: ${verdict.reason}`);
    }
    this.#forgetOrphan(change.key);
    const { object, kind } = verdict;
    if (!object || !kind) {
      const expect = await this.losses.beforeWrite(change.key, undefined);
      if (expect !== "absent") {
        await this.#write(change.key, { op: "delete", key: change.key, ...(expect ? { expect } : {}) });
      }
      this.losses.written(change.key);
      return;
    }
    const form = replicatedForm(object, kind);
    const expect = await this.losses.beforeWrite(change.key, form);
    await this.#put(change.key, form, expect);
    this.losses.written(change.key);
    if (object.kind === "ApplicationSet") await this.#repair(change.key);
  }

  async #put(key: Key, form: ApiObject, expect?: Expected): Promise<void> {
    const references = form.metadata.ownerReferences ?? [];
    const uids = new Map<string, string>();
    for (const owner of references) {
      const found = await this.store.get(ownerKey(form, owner));
      if (found) uids.set(owner.name, found.metadata.uid);
    }
    const { object, missing } = localize(form, (owner) => uids.get(owner.name));
    for (const owner of missing) this.#rememberOrphan(ownerKey(form, owner), key, form);
    await this.#write(key, { op: "put", object, ...(expect ? { expect } : {}) });
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

function ownerKey(form: ApiObject, owner: OwnerReference): Key {
  return keyOf("ApplicationSet", form.metadata.namespace ?? "", owner.name);
}
