/**
 * A cursor is one consumer's place in the change index: a replica, or an agent (only the keys routed to it).
 * It holds a revision and nothing else, so a slow consumer costs nobody anything: what it has not read stays in
 * the index, one state a key.
 */
import type { ChangeIndex, Entry } from "./index.ts";

/** Where a consumer stands: a revision of one index session. */
export interface Position {
  session: string;
  revision: number;
}

/** Reads an index forward from a position. */
export class Cursor {
  #revision: number;

  /** @param accept which keys this consumer gets; all when left out */
  constructor(
    private readonly index: ChangeIndex,
    revision: number,
    private readonly accept?: (entry: Entry) => boolean,
  ) {
    this.#revision = revision;
  }

  /** The next changed keys, at most `limit`, and moves behind them. */
  read(limit: number): Entry[] {
    const { entries, position } = this.index.since(this.#revision, limit, this.accept);
    this.#revision = position;
    return entries;
  }

  /** The revision up to which this cursor has read. */
  get revision(): number {
    return this.#revision;
  }

  /** How many changed keys wait to be read. */
  get pending(): number {
    return this.index.countSince(this.#revision);
  }
}

/** Whether a consumer that stopped at `position` can go on from there without comparing digests. */
export function canResume(index: ChangeIndex, position: Position): boolean {
  return position.session === index.session && position.revision >= index.floor &&
    position.revision <= index.head;
}
