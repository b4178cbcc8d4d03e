/**
 * Objects that this side keeps and the ACTIVE may lack: overwritten and deleted ones, those that never were the leader's, and those whose
 * deletion waits in this copy. Its own operator lists and discards them; the ACTIVE's operator has the ACTIVE fetch and adopt them.
 */
import { canonicalJson } from "../../base/json.ts";
import { digestOf, payloadOf } from "../../domain/changes/content.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Model } from "../../domain/ha/state.ts";
import type { KeyDigest } from "../../domain/replication/messages.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { kindOf } from "../../domain/resources/kinds.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import { replicatedForm } from "../../domain/resources/transform.ts";
import type { Following } from "../core/following.ts";
import type { ForeignObjects } from "../core/foreign_objects.ts";
import type { KeptObjects } from "../core/kept_objects.ts";
import type { KeptObject } from "../core/kept_pages.ts";
import type { KeptState } from "../ports/peer.ts";
import type { Store } from "../ports/store.ts";
import type { HeldDeletions } from "./deletions.ts";

/** One answer carries objects of so many characters; the others are sent where they are named. */
const MAX_ANSWER = 32 * 1024 * 1024;

/** The parts that keep objects. */
export interface KeptHereParts {
  readonly settings: { readonly scope: Scope };
  readonly index: Pick<ChangeIndex, "present">;
  readonly kept: Pick<KeptObjects, "list" | "forget">;
  readonly store: Pick<Store, "get">;
  readonly foreign: Pick<ForeignObjects, "keys" | "delete">;
  readonly heldDeletions: HeldDeletions;
  readonly following: Pick<Following, "resend">;
  model(): Model;
  activeScope(): AbortSignal | undefined;
  note(what: string, who: string): void;
}

export class KeptHere {
  constructor(private readonly parts: KeptHereParts) {}

  /** Everything that its own operator decides about, oldest first, foreign ones last. @throws StoreError */
  async list(): Promise<KeptObject[]> {
    return await this.#all(() => true);
  }

  async #all(asked: (key: Key) => boolean): Promise<KeptObject[]> {
    const kept = await this.parts.kept.list();
    return [...kept.filter(({ key }) => asked(key)), ...await this.#foreign(asked)];
  }

  /** For the ACTIVE: what it may adopt; all, or that of `keys`. @throws Refusal; StoreError */
  async forActive(keys: readonly Key[]): Promise<KeptState[]> {
    this.#mustNotLead();
    const { scope } = this.parts.settings;
    const named = new Set(keys);
    let left = MAX_ANSWER;
    const states: KeptState[] = [];
    const asked = (key: Key) => named.size === 0 || named.has(key);
    for (const { object, writtenAtMs = 0, ...state } of await this.#all(asked)) {
      const kind = kindOf(object, scope);
      if (!kind) continue;
      const json = canonicalJson(replicatedForm(object, kind));
      left -= json.length;
      states.push({ ...state, writtenAtMs, object: left >= 0 ? json : "" });
    }
    return [...states, ...this.#held().filter(({ key }) => asked(key))];
  }

  /**
   * The ACTIVE has adopted these: they are forgotten, and foreign ones are the leader's. The leader is asked for those again, for it may
   * have deleted one before this side let it go. @throws Refusal; StoreError
   */
  async settled(states: readonly KeyDigest[], who: string): Promise<void> {
    this.#mustNotLead();
    const digests = new Set(states.map(({ key, digest }) => `${key} ${digest}`));
    await this.parts.kept.forget(({ key, digest }) => digests.has(`${key} ${digest}`));
    const named = new Set(states.map(({ key }) => key));
    const adopted = (await this.#foreign((key) => named.has(key)))
      .filter(({ key, digest }) => digests.has(`${key} ${digest}`));
    for (const { key } of adopted) await this.parts.foreign.delete(key);
    this.parts.following.resend?.(adopted.map(({ key }) => key));
    this.parts.note(`reconcile --adopt at the ACTIVE (${states.length} keys)`, who);
  }

  #mustNotLead(): void {
    if (this.parts.activeScope()) {
      throw new Refusal("this principal is ACTIVE: what it keeps is its own operator's");
    }
  }

  /** @param asked the keys of which objects are read @throws StoreError */
  async #foreign(asked: (key: Key) => boolean): Promise<KeptObject[]> {
    const { foreign, store, model, settings: { scope } } = this.parts;
    const { epoch } = model().memory;
    const kept: KeptObject[] = [];
    for (const key of foreign.keys.filter(asked)) {
      const object = await store.get(key);
      const kind = object && kindOf(object, scope);
      if (!object || !kind) continue;
      const digest = digestOf(key, payloadOf(object, kind));
      kept.push({
        key,
        reason: "foreign",
        digest,
        epoch,
        newActiveHas: "nothing",
        atMs: 0,
        cause: "",
        object,
      });
    }
    return kept;
  }

  #held(): KeptState[] {
    const { heldDeletions, index, model } = this.parts;
    const { epoch } = model().memory;
    return heldDeletions.list().flatMap(({ key, cause }) => {
      const entry = index.present(key);
      if (!entry) return [];
      const { digest, payload: object, contentAt: atMs } = entry;
      return [{
        key,
        digest,
        reason: "held",
        epoch,
        newActiveHas: "nothing",
        atMs,
        writtenAtMs: 0,
        cause,
        object,
      }];
    });
  }
}
