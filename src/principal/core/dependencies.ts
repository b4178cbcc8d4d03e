/** The peer's needs of this side: the ACTIVE tells them with every preflight, and they count here until they are told again. */
import type { Condition } from "../../domain/ha/preflight.ts";
import { type Dependencies, type Need, sentenceOf } from "../../domain/resources/dependencies.ts";
import { type Noted, noted } from "../../domain/ha/concerns.ts";

export class PeerNeeds {
  #needs: readonly Need[] = [];
  #lacking: readonly Need[] = [];
  #revision = -1;

  constructor(private readonly here: Pick<Dependencies, "lacking" | "revision">) {}

  /** Call with what the peer says of itself. */
  heard(condition: Pick<Condition, "needs"> | undefined): void {
    if (!condition?.needs) return;
    this.#needs = condition.needs;
    this.#revision = -1;
  }

  /** Those that are not here. */
  get lacking(): readonly Need[] {
    if (this.#revision !== this.here.revision) {
      this.#revision = this.here.revision;
      this.#lacking = this.here.lacking(this.#needs);
    }
    return this.#lacking;
  }

  /** For a person. */
  get noted(): Noted {
    return noted(this.lacking.map(sentenceOf));
  }
}
