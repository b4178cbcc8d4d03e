/** Waits for a condition, woken by changes of its inputs instead of polling them. */
import { onAbort } from "./abort.ts";

/** Calls `notify` after every change until the returned function is called. */
export type Subscribe = (notify: () => void) => () => void;

/** Tells subscribers that something has changed. */
export class Emitter {
  readonly #listeners = new Set<() => void>();

  readonly subscribe: Subscribe = (notify) => {
    const listener = () => notify();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

export interface Wait {
  /** The events that may make the condition true. */
  changed: readonly Subscribe[];
  /** For how long, in ms; absent: without an end. */
  withinMs?: number;
  /** Ends the wait, which then rejects with its reason. */
  signal?: AbortSignal;
}

/** Resolves with true as soon as the condition holds, with false when it did not in time; rejects with what it throws. */
export function until(holds: () => boolean, { changed, withinMs, signal }: Wait): Promise<boolean> {
  const cleanups: (() => void)[] = [];
  const waiting = new Promise<boolean>((resolve, reject) => {
    const look = () => {
      try {
        signal?.throwIfAborted();
        if (holds()) resolve(true);
      } catch (error) {
        reject(error);
      }
    };
    for (const subscribe of changed) cleanups.push(subscribe(look));
    if (signal) cleanups.push(onAbort(signal, look));
    if (withinMs !== undefined) {
      const timer = setTimeout(() => {
        look();
        resolve(false);
      }, Math.max(0, withinMs));
      cleanups.push(() => clearTimeout(timer));
    }
    look();
  });
  return waiting.finally(() => {
    for (const cleanup of cleanups) cleanup();
  });
}
