/**
 * The loss manifest. A principal that was ACTIVE and now follows may hold writes that never reached the new active. Until it
 * has caught up, it saves every object that it is about to overwrite or delete, whole and durably, in its own store; `ha
 * reconcile` adopts or discards it later. The Secrets `argocd-agent-ha-loss-1`, `-2`, … hold pages of gzipped JSON lines below
 * the 1 MiB of a Secret. Pages are contiguous: the first that does not exist ends the manifest.
 */
import { Buffer } from "node:buffer";
import { gunzipSync, gzipSync } from "node:zlib";
import pLimit from "p-limit";
import { parseJson, sameJson } from "../../base/json.ts";
import { Coalesced } from "../../base/coalesced.ts";
import type { Log } from "../../base/log.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import type { Store } from "../ports/store.ts";
import { type Key, keyOf } from "../../domain/resources/keys.ts";
import { dataOf } from "../../domain/resources/config_map.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import { kindOf } from "../../domain/resources/kinds.ts";
import { replicatedForm } from "../../domain/resources/transform.ts";
import { digestOf, payloadOf } from "../../domain/changes/content.ts";

const NAME = "argocd-agent-ha-loss-";
const FIELD = "entries.jsonl.gz";
/** A page of this much text or more is full; one entry alone may be longer. */
const PAGE_BYTES = 512 * 1024;

/** One object that this principal held and the new active did not. */
export interface Loss {
  key: Key;
  /** Of the object's replicated form. */
  digest: string;
  /** The epoch of the active that it was found to differ from. */
  epoch: number;
  newActiveHas: "another state" | "nothing";
  atMs: number;
  object: ApiObject;
}

/** A resourceVersion, or that there is no such object; undefined: it does not matter. */
export type Expected = string | "absent" | undefined;

/** The part of the principal that the manifest needs. */
export interface LossManifestParts {
  model(): Pick<Model, "memory">;
  readonly store: Pick<Store, "get" | "write">;
  readonly settings: { readonly namespace: string; readonly scope: Scope };
  readonly log: Log;
  readonly index: Pick<ChangeIndex, "get">;
}

export class LossManifest {
  /** A state that replication wrote is the new active's; overwriting it saves nothing. */
  readonly #handled = new Set<Key>();
  #proved = 0;
  #pages: Loss[][] | undefined;
  #unsaved: Loss[] = [];
  readonly #oneAtATime = pLimit(1);
  readonly #saving = new Coalesced(() => this.#oneAtATime(() => this.#save(this.#unsaved.splice(0))));
  #told = false;

  constructor(private readonly parts: LossManifestParts) {}

  /** The peer has proved that it holds everything up to this revision of the index; 0: nothing is proved any more. */
  proved(revision: number): void {
    this.#proved = revision;
    if (revision === 0) this.#handled.clear();
  }

  /**
   * Call before `key` is overwritten with `next` (undefined: deleted). What the write must find in its place, that nothing later is
   * overwritten unseen; undefined: anything. @param foreign what is in its place never was the leader's
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

  /** Everything that is kept and durable, oldest first; nothing before `list` was called for the first time. */
  get waiting(): readonly Loss[] {
    return this.#pages?.flat() ?? [];
  }

  /** Everything that is kept, oldest first. @throws StoreError */
  list(): Promise<Loss[]> {
    return this.#oneAtATime(async () => (await this.#load()).flat());
  }

  /** Forgets what `gone` takes. @throws StoreError */
  forget(gone: (loss: Loss) => boolean): Promise<void> {
    return this.#oneAtATime(async () => {
      const pages = await this.#load();
      for (const [i, page] of pages.entries()) {
        const left = page.filter((loss) => !gone(loss));
        if (left.length < page.length) await this.#put(i, left);
      }
      while (pages.at(-1)?.length === 0) {
        await this.parts.store.write({ op: "delete", key: this.#key(pages.length - 1) });
        pages.pop();
      }
    });
  }

  async #keep(key: Key, epoch: number, next: ApiObject | undefined): Promise<Expected> {
    const object = await this.parts.store.get(key);
    if (!object) return "absent";
    const expected = object.metadata.resourceVersion;
    const kind = kindOf(object, this.parts.settings.scope);
    if (!kind || kind.bookkeeping) return expected;
    const form = replicatedForm(object, kind);
    if (next && sameJson(form, next)) return expected;
    const { resourceVersion: _, managedFields: __, ...metadata } = object.metadata;
    await this.#append({
      key,
      digest: digestOf(key, payloadOf(object, kind)),
      epoch,
      newActiveHas: next ? "another state" : "nothing",
      atMs: Date.now(),
      object: { ...object, metadata },
    });
    return expected;
  }

  #append(loss: Loss): Promise<void> {
    this.#unsaved.push(loss);
    return this.#saving.request();
  }

  async #save(entries: readonly Loss[]): Promise<void> {
    const pages = await this.#load();
    for (let rest = entries; rest.length > 0;) {
      const last = pages.length - 1;
      const page = pages[last] ?? [];
      let bytes = sizeOf(page);
      const room = rest.findIndex((loss) => (bytes += sizeOf([loss])) > PAGE_BYTES);
      const take = room === -1 ? rest.length : room;
      if (take === 0 && page.length > 0) {
        pages.push([]);
        continue;
      }
      const taken = rest.slice(0, Math.max(1, take));
      await this.#put(Math.max(0, last), [...page, ...taken]);
      rest = rest.slice(taken.length);
    }
    if (this.#told) return;
    this.#told = true;
    this.parts.log.warn(
      "this principal was ACTIVE and holds writes that the new active never received; each is saved before it is overwritten: " +
        "ha reconcile lists them, and adopts or discards each",
    );
  }

  async #load(): Promise<Loss[][]> {
    if (this.#pages) return this.#pages;
    const pages: Loss[][] = [];
    for (;;) {
      const found = await this.parts.store.get(this.#key(pages.length));
      if (!found) break;
      pages.push(lossesOf(found));
    }
    return this.#pages = pages;
  }

  async #put(page: number, losses: Loss[]): Promise<void> {
    const text = losses.map((loss) => JSON.stringify(loss) + "\n").join("");
    const data = { [FIELD]: gzipSync(text).toString("base64") };
    const metadata = { name: `${NAME}${page + 1}`, namespace: this.parts.settings.namespace };
    const object = { apiVersion: "v1", kind: "Secret", type: "argocd-agent-ha/loss", metadata, data };
    await this.parts.store.write({ op: "put", object });
    const pages = this.#pages ?? [];
    pages[page] = losses;
  }

  #key(page: number): Key {
    return keyOf("Secret", this.parts.settings.namespace, `${NAME}${page + 1}`);
  }
}

/** The entries of a page. */
export function lossesOf(page: ApiObject): Loss[] {
  const data = dataOf(page)[FIELD];
  const text = typeof data === "string" ? gunzipSync(Buffer.from(data, "base64")).toString("utf8") : "";
  return text.split("\n").filter(Boolean).map((line) => parseJson(line) as Loss);
}

function sizeOf(losses: readonly Loss[]): number {
  return losses.reduce((sum, loss) => sum + JSON.stringify(loss).length, 0);
}
