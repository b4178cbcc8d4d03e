/**
 * A cursor is one consumer's place in the change index: a replica, or the router of agents. The cursor holds a revision
 * and nothing else, so a slow consumer costs the others nothing: unread changes stay in the index, one state a key.
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

  /** Returns the next changed keys, at most `limit`, and moves past them. */
  read(limit: number): Entry[] {
    const { entries, position } = this.index.since(this.#revision, limit, this.accept);
    this.#revision = position;
    return entries;
  }

  /** The revision up to which this cursor has read. */
  get revision(): number {
    return this.#revision;
  }

  /** The number of changed keys that wait to be read. */
  get pending(): number {
    return this.index.countSince(this.#revision);
  }
}

/** Whether a consumer that stopped at `position` can resume there without comparing digests. */
export function canResume(index: ChangeIndex, position: Position): boolean {
  return position.session === index.session && position.revision >= index.floor &&
    position.revision <= index.head;
}
