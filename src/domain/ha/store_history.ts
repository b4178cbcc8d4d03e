/**
 * How a store that was restored from an older copy is known. Each process that acts on a store leaves marks there: one before it writes
 * anything else, and one now and then while something changes. A mark has the version of the write that left it. The peer remembers the
 * newest version that it heard of, and after which mark. If the mark that follows has a lower version, or the store does not know that
 * mark any more, the store went back.
 */

/** A version of a store, and the last mark on the store before it. */
export interface StorePoint {
  mark: string;
  version: number;
  /** Of a mark when it was left, of what a peer heard of when it last did, in unix ms; 0 or absent: not known. */
  atMs?: number;
}

/** How old a copy is that a store was restored from, as far as it is known, in unix ms; 0: not known. */
export interface OlderCopy {
  /** The copy was made after this. */
  fromMs: number;
  /** The store that is gone was last heard of then. */
  untilMs: number;
}

/** So many marks are kept. */
export const MAX_MARKS = 50;

/** Whether a store with these marks, oldest first, is an older copy of the one that was at a point. No mark: an older release. */
export function isOlder(marks: readonly StorePoint[], seen: StorePoint | undefined): boolean {
  const [first] = marks;
  if (!seen || !first) return false;
  const at = marks.findIndex(({ mark }) => mark === seen.mark);
  if (at === -1) return marks.length < MAX_MARKS || first.version <= seen.version;
  const next = marks[at + 1];
  return next !== undefined && next.version <= seen.version;
}

/** The copy behind a store that is older than it was heard of, as far as it is known. */
export function copyOf(marks: readonly StorePoint[], seen: StorePoint | undefined): OlderCopy {
  const untilMs = seen?.atMs ?? 0;
  const last = marks.find(({ mark }) => mark === seen?.mark) ??
    marks.findLast(({ atMs = 0 }) => atMs > 0 && atMs <= untilMs);
  return { fromMs: last?.atMs ?? 0, untilMs };
}
