/** Objects of this store of which a leader says nothing, because their kind, namespace or labels are not covered there. */
import { parseJson } from "../../base/json.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import { type Coverage, Uncovered } from "../../domain/resources/coverage.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import type { Scope } from "../../domain/resources/scope.ts";

export class Unsaid {
  readonly #uncovered: Uncovered;
  readonly #index: Pick<ChangeIndex, "present">;

  constructor(
    { settings, index }: { settings: { scope: Scope }; index: Pick<ChangeIndex, "present"> },
    coverage: Coverage,
  ) {
    this.#uncovered = new Uncovered(settings.scope, coverage);
    this.#index = index;
  }

  /** Whether the object that is here under a key is one of them. */
  has(key: Key): boolean {
    const entry = this.#uncovered.any ? this.#index.present(key) : undefined;
    return entry !== undefined && this.#uncovered.has(parseJson(entry.payload) as ApiObject);
  }
}
