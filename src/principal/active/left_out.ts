/**
 * The resources of one agent that this side's flags leave out. They are not in the index, which says nothing: the agent keeps them. A
 * namespace tells by itself; labels do not, so the store is asked before an absence counts as deletion.
 */
import { type Key, parseKey } from "../../domain/resources/keys.ts";
import { isUnselected } from "../../domain/resources/kinds.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import { admits, type Scope } from "../../domain/resources/scope.ts";

/** A store that did not answer is asked again after so long. */
const ASK_AGAIN_MS = 5_000;

/** The flags that leave resources out. */
export type LeavingOut = "--allowed-namespaces" | "--label-selector";

/** The part of the principal that these need. */
export interface LeftOutParts {
  readonly settings: { readonly scope: Scope };
  /** The object that the store has under a key, within the flags or not. @throws StoreError */
  stored(key: Key): Promise<StoredObject | undefined>;
}

export class LeftOut {
  /** Keys that no flag leaves out, for as long as the agent is to delete them. */
  readonly #gone = new Set<Key>();
  readonly #asking = new Set<Key>();
  readonly #unanswered = new Set<Key>();
  #askAgainMs = 0;

  /** @param answered hears of a key that was asked for, and of the flag that leaves it out; undefined: none does, or ask again */
  constructor(
    private readonly parts: LeftOutParts,
    private readonly answered: (key: Key, by: LeavingOut | undefined) => void,
  ) {}

  /**
   * The flag that leaves a key out; undefined: none does; `asking`: `answered` will tell.
   *
   * @param cause the key whose absence would be the reason to delete it @param seenToGo whether that was seen to go
   */
  by(key: Key, cause: Key, seenToGo: boolean): LeavingOut | "asking" | undefined {
    const { scope } = this.parts.settings;
    if (!admits(scope, parseKey(key)?.namespace ?? "")) return "--allowed-namespaces";
    if (seenToGo || !scope.labelSelector || this.#gone.has(key)) return undefined;
    if (!this.#asking.has(key)) void this.#ask(key, cause);
    return "asking";
  }

  /** Call now and then. @param deletes whether the agent is to delete a key */
  tick(nowMs: number, deletes: (key: Key) => boolean): void {
    for (const key of this.#gone) if (!deletes(key)) this.#gone.delete(key);
    if (this.#unanswered.size === 0 || nowMs < this.#askAgainMs) return;
    this.#askAgainMs = nowMs + ASK_AGAIN_MS;
    const keys = [...this.#unanswered];
    this.#unanswered.clear();
    for (const key of keys) this.answered(key, undefined);
  }

  async #ask(key: Key, cause: Key): Promise<void> {
    this.#asking.add(key);
    try {
      const object = await this.parts.stored(cause);
      const left = object !== undefined && isUnselected(object, this.parts.settings.scope);
      if (!left) this.#gone.add(key);
      this.answered(key, left ? "--label-selector" : undefined);
    } catch {
      this.#unanswered.add(key);
    } finally {
      this.#asking.delete(key);
    }
  }
}
