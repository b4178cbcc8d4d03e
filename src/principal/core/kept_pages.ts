/**
 * Pages of kept objects: gzipped JSON lines in Secrets of the principal's namespace. A page that exceeds a Secret is cut into parts:
 * the Secret of the page's own name has the first and says how many there are; it is written last and removed first, so a page is there
 * as a whole or not at all.
 */
import { Buffer } from "node:buffer";
import { gunzipSync, gzipSync } from "node:zlib";
import { isCut, parseStored } from "../../base/bounds.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Log } from "../../base/log.ts";
import { dataOf } from "../../domain/resources/config_map.ts";
import { type Key, keyOf } from "../../domain/resources/keys.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import type { Store } from "../ports/store.ts";

const FIELD = "entries.jsonl.gz";
const PARTS = "parts";
/** Of the 1 MiB that the data of a Secret may have. */
const PART_BYTES = 1_000_000;

/** Why an object is kept. */
export type KeptReason =
  /** This side was ACTIVE, and the new active had something else in its place: an operator decides, whenever that is. */
  | "overwritten"
  /** Somebody deleted it: kept for some days. */
  | "deleted"
  /** The leader never had it; the store still does, and it is only listed. */
  | "foreign";

/** An object that is not in this store any more, or not as it was. */
export interface KeptObject {
  key: Key;
  reason: KeptReason;
  /** Of the object's replicated form. */
  digest: string;
  /** Of the active that it was found to differ from, or in which it was deleted. */
  epoch: number;
  newActiveHas: "another state" | "nothing";
  atMs: number;
  /** When it was written here, in unix ms; absent: not known, it was here before that process. */
  writtenAtMs?: number;
  /** How a deletion is known, in words; empty: it was overwritten. */
  cause: string;
  object: ApiObject;
}

/** The Secrets of a namespace that hold pages. */
export class KeptPages {
  /** How many Secrets each page has, as far as that is more than one. */
  readonly #parts = new Map<string, number>();

  constructor(
    private readonly store: Pick<Store, "get" | "write">,
    private readonly namespace: string,
    private readonly log: Pick<Log, "warn">,
  ) {}

  /** The entries of a page; undefined: there is none. A page that cannot be read has none, which is told. @throws StoreError */
  async read(name: string): Promise<KeptObject[] | undefined> {
    const first = await this.store.get(this.#key(name, 0));
    if (!first) return undefined;
    const count = partsOf(first);
    if (count > 1) this.#parts.set(name, count);
    const parts = [first];
    for (let n = 1; n < count; n++) {
      const part = await this.store.get(this.#key(name, n));
      if (part) parts.push(part);
    }
    try {
      return entriesOf(parts);
    } catch (error) {
      this.log.warn("kept objects cannot be read; they are left where they are", {
        secret: name,
        reason: reasonOf(error),
      });
      return [];
    }
  }

  /** Writes a page over what was there. @throws StoreError */
  async write(name: string, entries: readonly KeptObject[]): Promise<void> {
    const text = entries.map((entry) => (WHOLE.get(entry) ?? JSON.stringify(entry)) + "\n").join("");
    const bytes = gzipSync(text);
    const count = Math.max(1, Math.ceil(bytes.length / PART_BYTES));
    const before = this.#parts.get(name) ?? 1;
    if (count > 1) this.#parts.set(name, Math.max(before, count));
    for (let n = count - 1; n >= 0; n--) {
      const data = { [FIELD]: bytes.subarray(n * PART_BYTES, (n + 1) * PART_BYTES).toString("base64") };
      await this.#put(name, n, n === 0 && count > 1 ? { ...data, [PARTS]: btoa(String(count)) } : data);
    }
    await this.#removeParts(name, count, before);
  }

  /** @throws StoreError */
  async remove(name: string): Promise<void> {
    await this.#removeParts(name, 0, this.#parts.get(name) ?? 1);
  }

  async #put(name: string, part: number, data: Record<string, string>): Promise<void> {
    const metadata = { name: partName(name, part), namespace: this.namespace };
    const object = { apiVersion: "v1", kind: "Secret", type: "argocd-agent-ha/loss", metadata, data };
    await this.store.write({ op: "put", object });
  }

  async #removeParts(name: string, from: number, to: number): Promise<void> {
    for (let n = from; n < to; n++) await this.store.write({ op: "delete", key: this.#key(name, n) });
    if (from <= 1) this.#parts.delete(name);
    else this.#parts.set(name, from);
  }

  #key(name: string, part: number): Key {
    return keyOf("Secret", this.namespace, partName(name, part));
  }
}

/** The entries of a page of these Secrets. @throws Error where one is missing or damaged */
export function entriesOf(parts: readonly ApiObject[]): KeptObject[] {
  const count = parts[0] ? partsOf(parts[0]) : 0;
  if (parts.length !== count) throw new Error(`${parts.length} of ${count} parts are there`);
  const bytes = parts.map((part) => Buffer.from(String(dataOf(part)[FIELD] ?? ""), "base64"));
  const text = gunzipSync(Buffer.concat(bytes)).toString("utf8");
  return text.split("\n").filter(Boolean).map((line) => {
    const entry = { ...UNSAID, ...parseStored(line) as KeptObject };
    if (isCut(line)) WHOLE.set(entry, line);
    return entry;
  });
}

/** The lines of entries that are too deep to be handled as a whole: what is written again is what was read. */
const WHOLE = new WeakMap<KeptObject, string>();

/** Fields that entries of an older release lack. */
const UNSAID = { reason: "overwritten", cause: "" } as const;

function partsOf(first: ApiObject): number {
  const text = dataOf(first)[PARTS];
  return typeof text === "string" ? Number(atob(text)) : 1;
}

function partName(name: string, part: number): string {
  return part === 0 ? name : `${name}.${part + 1}`;
}
