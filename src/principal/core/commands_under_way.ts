/** The commands of operators that are under way: the log's lines of what they cause name the operator and the request. */
import type { Fields } from "../../base/log.ts";

/** One of them. */
export interface Asked {
  readonly operator: string;
  /** A short name that the lines of one command share. */
  readonly request: string;
}

export class CommandsUnderWay {
  readonly #asked = new Set<Asked>();

  /** A command begins; end it with `ended`. */
  begin(operator: string): Asked {
    const asked = { operator, request: newRequest() };
    this.#asked.add(asked);
    return asked;
  }

  ended(asked: Asked): void {
    this.#asked.delete(asked);
  }

  /** Of the one that came first: another one that comes meanwhile is refused, or a part of it. */
  get fields(): Fields {
    const [first] = this.#asked;
    return first ? { ...first } : {};
  }
}

/** The name of a request. */
export function newRequest(): string {
  return crypto.randomUUID().slice(0, 8);
}
