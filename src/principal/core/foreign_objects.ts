/**
 * Objects of this store that are not in the leader's data: they were here when this side followed it for the first time, or the leader's
 * store was restored without them. They stay in the store under their keys and out of the change index, so nobody is served or sent
 * them, until an operator adopts or discards each (`ha reconcile`) or the leader sends a state of that key. The keys are kept in the
 * ConfigMaps `argocd-agent-ha-foreign-1`, …
 */
import { Coalesced } from "../../base/coalesced.ts";
import type { Log } from "../../base/log.ts";
import { configMap, dataOf } from "../../domain/resources/config_map.ts";
import { type Key, keyOf } from "../../domain/resources/keys.ts";
import type { Store } from "../ports/store.ts";

const NAME = "argocd-agent-ha-foreign-";
const FIELD = "keys.txt";
/** A ConfigMap holds 1 MiB; the longest key is about 600 bytes. */
const KEYS_A_PAGE = 1_500;

export class ForeignObjects {
  readonly #keys = new Set<Key>();
  #pages = 0;
  #told = 0;
  /** Keys that entered or left, of which that is not durable yet or the index has not heard. */
  readonly #unsettled = new Set<Key>();
  readonly #saving = new Coalesced(() => this.#saveAndSettle());
  /** Makes the index follow a key that enters or leaves. */
  onChange: (key: Key) => Promise<void> = () => Promise.resolve();

  constructor(
    private readonly store: Pick<Store, "get" | "write">,
    private readonly namespace: string,
    private readonly log: Log,
  ) {}

  /** Reads the keys that an earlier process kept. @throws StoreError */
  async load(): Promise<void> {
    for (;; this.#pages++) {
      const page = await this.store.get(this.#key(this.#pages));
      if (!page) break;
      const text = dataOf(page)[FIELD];
      for (const key of String(text ?? "").split("\n").filter(Boolean)) this.#keys.add(key);
    }
    this.#told = this.#keys.size;
  }

  has(key: Key): boolean {
    return this.#keys.has(key);
  }

  /** All keys, the first to enter first. */
  get keys(): readonly Key[] {
    return [...this.#keys];
  }

  /** Keeps a key out of the index; resolves when that is durable. @throws StoreError */
  async add(key: Key): Promise<void> {
    if (this.#keys.has(key) && !this.#unsettled.has(key)) return;
    this.#keys.add(key);
    await this.#settle(key);
  }

  /** Lets a key into the index; resolves when that is durable. @throws StoreError */
  async delete(key: Key): Promise<void> {
    if (!this.#keys.delete(key) && !this.#unsettled.has(key)) return;
    await this.#settle(key);
  }

  async #settle(key: Key): Promise<void> {
    this.#unsettled.add(key);
    await this.#saving.request();
  }

  /** Makes the list durable, and the index follow those of its keys that were not settled. */
  async #saveAndSettle(): Promise<void> {
    const settling = [...this.#unsettled].map((key) => ({ key, kept: this.#keys.has(key) }));
    await this.#save();
    for (const { key, kept } of settling) {
      await this.onChange(key);
      if (this.#keys.has(key) === kept) this.#unsettled.delete(key);
    }
  }

  async #save(): Promise<void> {
    const keys = this.keys;
    const pages = Math.ceil(keys.length / KEYS_A_PAGE);
    for (let page = 0; page < pages; page++) {
      const text = keys.slice(page * KEYS_A_PAGE, (page + 1) * KEYS_A_PAGE).join("\n");
      const object = configMap(this.namespace, `${NAME}${page + 1}`, { [FIELD]: text });
      await this.store.write({ op: "put", object });
    }
    for (; this.#pages > pages; this.#pages--) {
      await this.store.write({ op: "delete", key: this.#key(this.#pages - 1) });
    }
    this.#pages = pages;
    if (keys.length > this.#told) {
      this.log.warn(
        "objects of this store are not in the leader's data, which never had them or was restored without them; they are kept, and " +
          "neither served nor replicated: ha reconcile lists them, and adopts or discards each",
        { objects: keys.length, first: keys[0] ?? "" },
      );
    }
    this.#told = keys.length;
  }

  #key(page: number): Key {
    return keyOf("ConfigMap", this.namespace, `${NAME}${page + 1}`);
  }
}
