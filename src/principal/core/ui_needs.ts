/** The services behind Argo CD's UI on this side that do not work. Each says so of itself, and it counts until that service says otherwise. */
import { type Noted, noted } from "../../domain/ha/concerns.ts";

export type UiService = "resource proxy" | "Redis";

export class UiNeeds {
  readonly #reasons = new Map<UiService, string>();

  /** @param reason why it does not work, and what to do; empty: it works */
  note(service: UiService, reason: string): void {
    if (reason === "") this.#reasons.delete(service);
    else this.#reasons.set(service, reason);
  }

  /** For a person. */
  get noted(): Noted {
    return noted([...this.#reasons].map(([service, reason]) => `${service}: ${reason}`));
  }
}
