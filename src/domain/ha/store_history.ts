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
