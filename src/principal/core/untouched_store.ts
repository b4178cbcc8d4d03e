/** The store of a process that does not hold the lock on it: it neither reads nor writes. */
import { type Store, StoreError } from "../ports/store.ts";

/** Rejects as every read and write does. */
export function untouched(): Promise<never> {
  return Promise.reject(new StoreError("unavailable", "this process does not hold the lock on its store"));
}

export const UNTOUCHED: Store = {
  get: untouched,
  list: untouched,
  each: untouched,
  write: untouched,
  watch: () => ({ [Symbol.asyncIterator]: () => ({ next: untouched }) }),
  examine: untouched,
  status: () => ({ problem: "", writes: 0, lists: 0 }),
  close: () => Promise.resolve(),
};
