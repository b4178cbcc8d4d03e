/** This principal's history, kept in its store (ConfigMap `argocd-agent-ha-history`, not replicated) and chained by hashes. */
import { hash } from "node:crypto";
import { append, type HistoryEntry, type Link } from "../../domain/ha/history.ts";
import { keyOf } from "../../domain/resources/keys.ts";
import { isRecord } from "../../domain/resources/object.ts";
import type { Store } from "../ports/store.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";

const NAME = "argocd-agent-ha-history";
const FIELD = "chain.json";
/** Entries of about 300 bytes; a ConfigMap holds 1 MiB. */
export const KEEP = 500;

export const sha256 = (text: string) => hash("sha256", text, "hex");

export class History {
  #chain: Link[] = [];
  #unsaved = false;
  #saving = false;

  constructor(
    private readonly store: Store,
    private readonly namespace: string,
    private readonly log: Log,
  ) {}

  /** Reads what an earlier process kept. @throws StoreError */
  async load(): Promise<void> {
    const found = await this.store.get(keyOf("ConfigMap", this.namespace, NAME));
    const data = found && isRecord(found["data"]) ? found["data"][FIELD] : undefined;
    if (typeof data !== "string") return;
    try {
      const chain: unknown = JSON.parse(data);
      if (Array.isArray(chain)) this.#chain = chain.filter(isRecord) as unknown as Link[];
    } catch {
      this.log.warn(`ConfigMap ${this.namespace}/${NAME} is not readable; a new history begins`);
    }
  }

  /** All entries, oldest first. */
  get chain(): readonly Link[] {
    return this.#chain;
  }

  /** Adds an entry; kept in the background. */
  add(entry: HistoryEntry): void {
    this.#chain = append(this.#chain, entry, KEEP, sha256);
    this.#unsaved = true;
    if (this.#saving) return;
    this.#saving = true;
    setTimeout(() => void this.#save());
  }

  async #save(): Promise<void> {
    while (this.#unsaved) {
      this.#unsaved = false;
      const data = { [FIELD]: JSON.stringify(this.#chain) };
      const metadata = { name: NAME, namespace: this.namespace };
      const object = { apiVersion: "v1", kind: "ConfigMap", metadata, data };
      await this.store.write({ op: "put", object }).catch((error) =>
        this.log.warn("the history could not be kept; it is tried again with the next entry", {
          reason: reasonOf(error),
        })
      );
    }
    this.#saving = false;
  }
}
