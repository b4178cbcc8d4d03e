/**
 * Objects that are kept though this store has them no more, or not as they were: `ha reconcile` lists them, and adopts or discards each.
 * Overwritten states stay until an operator decides, in the pages `argocd-agent-ha-loss-1`, `-2`, …, of which the first that does not
 * exist ends the list. Deleted objects are in a ring of pages, `argocd-agent-ha-deleted-1` to `-32`: the oldest page makes room.
 */
import { delay } from "@std/async/delay";
import pLimit from "p-limit";
import { Coalesced } from "../../base/coalesced.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { Store } from "../ports/store.ts";
import { READS_AT_ONCE } from "./feed.ts";
import { type KeptObject, KeptPages } from "./kept_pages.ts";

/** A page of this much text or more is full; one entry alone may be longer. */
const PAGE_BYTES = 512 * 1024;
/** The ring: at most 1,024 deleted objects and about 16 MiB, none of them older than 7 days. */
const RING_PAGES = 32;
const RING_PAGE_ENTRIES = 32;
const RING_MS = 7 * 86_400_000;
/** Deleted objects are gathered this long; so many of them wait for a store that does not answer, the newest. */
const GATHER_MS = 1_000;
const MAX_UNSAVED = RING_PAGES * RING_PAGE_ENTRIES;

const loss = (page: number) => `argocd-agent-ha-loss-${page + 1}`;
const deleted = (page: number) => `argocd-agent-ha-deleted-${page + 1}`;

/** The part of the principal that kept objects need. */
export interface KeptObjectsParts {
  readonly store: Pick<Store, "get" | "write">;
  readonly settings: { readonly namespace: string };
  readonly log: Log;
}

export class KeptObjects {
  readonly #pages: KeptPages;
  #losses: KeptObject[][] | undefined;
  #ring: KeptObject[][] | undefined;
  #at = 0;
  #unsaved: KeptObject[] = [];
  /** Deleted objects that are not durable yet, made when they are needed. */
  #unsavedDeleted: (() => KeptObject)[] = [];
  #gathering = false;
  readonly #oneAtATime = pLimit(1);
  readonly #saving = new Coalesced(() => this.#oneAtATime(() => this.#saveLosses(this.#unsaved.splice(0))));
  readonly #savingDeleted = new Coalesced(() => this.#oneAtATime(() => this.#saveDeleted()));

  constructor(private readonly parts: KeptObjectsParts) {
    this.#pages = new KeptPages(parts.store, parts.settings.namespace, parts.log);
  }

  /** Keeps an overwritten state; resolves when it is durable. @throws StoreError */
  keep(entry: KeptObject): Promise<void> {
    this.#unsaved.push(entry);
    return this.#saving.request();
  }

  /** Keeps a deleted object, in the background. @param make called when it is written */
  keepDeleted(make: () => KeptObject): void {
    let made: KeptObject | undefined;
    this.#unsavedDeleted.push(() => made ??= make());
    if (this.#unsavedDeleted.length > MAX_UNSAVED) this.#unsavedDeleted.shift();
    if (this.#gathering) return;
    this.#gathering = true;
    void delay(GATHER_MS).then(() => this.flush());
  }

  /** Makes durable what is kept in the background, as far as the store answers. */
  async flush(): Promise<void> {
    this.#gathering = false;
    if (this.#unsavedDeleted.length > 0) await this.#savingDeleted.request();
  }

  /** Overwritten states that are durable, oldest first; nothing before `load`. */
  get waiting(): readonly KeptObject[] {
    return this.#losses?.flat() ?? [];
  }

  /** Reads what `waiting` shows. @throws StoreError */
  load(): Promise<void> {
    return this.#oneAtATime(async () => void await this.#loadLosses());
  }

  /** Everything that is kept, oldest first. @throws StoreError */
  list(): Promise<KeptObject[]> {
    return this.#oneAtATime(async () => {
      const losses = (await this.#loadLosses()).flat();
      const deleted = [...(await this.#loadRing()).flat().filter(isYoung), ...this.#made()];
      const states = new Set(losses.map(({ key, digest }) => `${key} ${digest}`));
      const others = deleted.filter(({ key, digest }) => !states.has(`${key} ${digest}`));
      return [...losses, ...others].sort((a, b) => a.atMs - b.atMs);
    });
  }

  /** The newest kept state of each of these keys. @throws StoreError */
  async newest(keys: ReadonlySet<Key>): Promise<Map<Key, KeptObject>> {
    const entries = (await this.list()).filter(({ key }) => keys.has(key));
    return new Map(entries.map((entry) => [entry.key, entry]));
  }

  /** Forgets what `gone` takes. @throws StoreError */
  forget(gone: (entry: KeptObject) => boolean): Promise<void> {
    return this.#oneAtATime(async () => {
      this.#unsavedDeleted = this.#unsavedDeleted.filter((make) => !gone(make()));
      await this.#forgetLosses(gone);
      const ring = await this.#loadRing();
      for (const [i, page] of ring.entries()) {
        const left = page.filter((entry) => !gone(entry));
        if (left.length < page.length) await this.#putRing(i, left);
      }
    });
  }

  async #forgetLosses(gone: (entry: KeptObject) => boolean): Promise<void> {
    const pages = await this.#loadLosses();
    for (const [i, page] of pages.entries()) {
      const left = page.filter((entry) => !gone(entry));
      if (left.length === page.length) continue;
      await this.#pages.write(loss(i), left);
      pages[i] = left;
    }
    while (pages.at(-1)?.length === 0) {
      await this.#pages.remove(loss(pages.length - 1));
      pages.pop();
    }
  }

  async #saveLosses(entries: readonly KeptObject[]): Promise<void> {
    const pages = await this.#loadLosses();
    for (let rest = entries; rest.length > 0;) {
      const last = Math.max(0, pages.length - 1);
      const page = pages[last] ?? [];
      const take = fitting(page, rest);
      if (take === 0) {
        pages.push([]);
        continue;
      }
      const next = [...page, ...rest.slice(0, take)];
      await this.#pages.write(loss(last), next);
      pages[last] = next;
      rest = rest.slice(take);
    }
  }

  async #saveDeleted(): Promise<void> {
    let writing: (() => KeptObject)[] = [];
    try {
      const ring = await this.#loadRing();
      for (const [i, page] of ring.entries()) {
        if (page.length > 0 && !page.some(isYoung)) await this.#putRing(i, []);
      }
      while (this.#unsavedDeleted.length > 0) {
        const page = ring[this.#at] ?? [];
        const entries = this.#unsavedDeleted.slice(0, RING_PAGE_ENTRIES).map((make) => make());
        const take = Math.min(fitting(page, entries), RING_PAGE_ENTRIES - page.length);
        if (take === 0) {
          this.#at = (this.#at + 1) % RING_PAGES;
          ring[this.#at] = [];
          continue;
        }
        writing = this.#unsavedDeleted.splice(0, take);
        await this.#putRing(this.#at, [...page, ...entries.slice(0, take)]);
        writing = [];
      }
    } catch (error) {
      this.#unsavedDeleted.unshift(...writing);
      this.parts.log.warn("deleted objects could not be kept; it is tried again with the next one", {
        objects: this.#unsavedDeleted.length,
        reason: reasonOf(error),
      });
    }
  }

  #made(): KeptObject[] {
    return this.#unsavedDeleted.map((make) => make());
  }

  async #loadLosses(): Promise<KeptObject[][]> {
    if (this.#losses) return this.#losses;
    const pages: KeptObject[][] = [];
    for (;;) {
      const found = await this.#pages.read(loss(pages.length));
      if (!found) break;
      pages.push(found);
    }
    // A page that cannot be read is not written over.
    if (pages.at(-1)?.length === 0) pages.push([]);
    return this.#losses = pages;
  }

  /** The ring goes on at its newest page. */
  async #loadRing(): Promise<KeptObject[][]> {
    if (this.#ring) return this.#ring;
    const numbers = Array.from({ length: RING_PAGES }, (_, n) => n);
    const ring = await pLimit(READS_AT_ONCE).map(
      numbers,
      async (n) => await this.#pages.read(deleted(n)) ?? [],
    );
    const newest = (page: KeptObject[]) => page.at(-1)?.atMs ?? 0;
    this.#at = ring.reduce((at, page, n) => newest(page) > newest(ring[at] ?? []) ? n : at, 0);
    return this.#ring = ring;
  }

  async #putRing(page: number, entries: KeptObject[]): Promise<void> {
    if (entries.length === 0) await this.#pages.remove(deleted(page));
    else await this.#pages.write(deleted(page), entries);
    if (this.#ring) this.#ring[page] = entries;
  }
}

/** How many of these fit into a page; one that fits into none has one of its own. */
function fitting(page: readonly KeptObject[], entries: readonly KeptObject[]): number {
  let bytes = sizeOf(page);
  const room = entries.findIndex((entry) => (bytes += sizeOf([entry])) > PAGE_BYTES);
  const take = room === -1 ? entries.length : room;
  return page.length === 0 ? Math.max(1, take) : take;
}

function isYoung({ atMs }: KeptObject): boolean {
  return Date.now() - atMs < RING_MS;
}

function sizeOf(entries: readonly KeptObject[]): number {
  return entries.reduce((sum, entry) => sum + JSON.stringify(entry).length, 0);
}
