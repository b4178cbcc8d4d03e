/** This principal's history, kept in its store (ConfigMap `argocd-agent-ha-history`, not replicated) and chained by hashes. */
import { parseJson } from "../../base/json.ts";
import { Coalesced } from "../../base/coalesced.ts";
import { printableMessage } from "../../base/printable.ts";
import { type Noted, noted } from "../../domain/ha/concerns.ts";
import { append, type ChainedEntry, firstBroken, type HistoryEntry } from "../../domain/ha/history.ts";
import { sha256 } from "../../base/sha256.ts";
import { configMap, dataOf } from "../../domain/resources/config_map.ts";
import { keyOf } from "../../domain/resources/keys.ts";
import { isRecord } from "../../domain/resources/object.ts";
import type { Store } from "../ports/store.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";

const NAME = "argocd-agent-ha-history";
const FIELD = "chain.json";
/** Entries of about 300 bytes; a ConfigMap holds 1 MiB. */
export const KEEP = 500;

export class History {
  #chain: ChainedEntry[] = [];
  #unreadable: string[] = [];
  #looked: { chain: readonly ChainedEntry[]; broken: Noted } | undefined;
  readonly #saving = new Coalesced(() => this.#save());

  constructor(
    private readonly store: Store,
    private readonly settings: { readonly namespace: string; readonly sideName: string },
    private readonly log: Log,
  ) {}

  /** Reads what an earlier process kept. @throws StoreError */
  async load(): Promise<void> {
    const found = await this.store.get(keyOf("ConfigMap", this.settings.namespace, NAME));
    const data = dataOf(found)[FIELD];
    if (typeof data !== "string") return;
    try {
      const chain: unknown = parseJson(data);
      if (Array.isArray(chain)) this.#chain = chain.filter(isRecord) as unknown as ChainedEntry[];
    } catch {
      this.log.warn(`ConfigMap ${this.settings.namespace}/${NAME} is not readable; a new history begins`, {
        event: "history_unreadable",
      });
      this.#unreadable = [
        `ConfigMap ${this.settings.namespace}/${NAME} was not readable at the start; a new history began`,
      ];
    }
  }

  /** The first entry that is not what was written, if there is one. */
  get broken(): Noted {
    const chain = this.#chain;
    if (this.#looked?.chain !== chain) {
      const at = chain[firstBroken(chain, (text) => sha256(text))];
      const place = at ? [`entry of ${timeText(at.atMs)}: ${String(at.text)}`] : [];
      this.#looked = { chain, broken: noted([...this.#unreadable, ...place]) };
    }
    return this.#looked.broken;
  }

  /** All entries, oldest first. */
  get chain(): readonly ChainedEntry[] {
    return this.#chain;
  }

  /** Adds an entry, kept in the background; its texts are hashed as they are shown. */
  add(entry: HistoryEntry): void {
    const named = { ...entry, side: this.settings.sideName };
    this.#chain = append(this.#chain, printableMessage(named), KEEP, (text) => sha256(text));
    void this.#saving.request();
  }

  async #save(): Promise<void> {
    const object = configMap(this.settings.namespace, NAME, { [FIELD]: JSON.stringify(this.#chain) });
    await this.store.write({ op: "put", object }).catch((error) =>
      this.log.warn("the history could not be kept; it is tried again with the next entry", {
        reason: reasonOf(error),
      })
    );
  }
}

/** An entry that was changed may have anything as its time. */
function timeText(atMs: unknown): string {
  const time = new Date(typeof atMs === "number" ? atMs : Number.NaN);
  return Number.isNaN(time.getTime()) ? "an unknown time" : time.toISOString();
}
