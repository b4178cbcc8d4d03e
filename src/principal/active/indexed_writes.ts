/**
 * Waiting until the index, and so every replica's stream, has a write of this side. Bounded: a watch that is late holds up no
 * acknowledgement for long.
 */
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Key } from "../../domain/resources/keys.ts";

const MAX_WAIT_MS = 250;

export class IndexedWrites {
  readonly #waiting = new Map<Key, Set<() => void>>();

  constructor(private readonly index: Pick<ChangeIndex, "get">) {}

  /** Resolves when the index has this version of a key; undefined: a deletion. */
  async indexed(key: Key, version: string | undefined): Promise<void> {
    const entry = this.index.get(key);
    const there = version === undefined ? !entry || entry.deleted : entry?.version === version;
    if (there) return;
    await new Promise<void>((resolve) => {
      const waiting = this.#waiting.get(key) ?? new Set();
      const done = () => {
        clearTimeout(timer);
        waiting.delete(done);
        if (waiting.size === 0) this.#waiting.delete(key);
        resolve();
      };
      const timer = setTimeout(done, MAX_WAIT_MS);
      this.#waiting.set(key, waiting.add(done));
    });
  }

  /** Call when the index has a change of a key. */
  changed(key: Key): void {
    for (const done of [...this.#waiting.get(key) ?? []]) done();
  }

  /** Ends every wait. */
  close(): void {
    for (const key of [...this.#waiting.keys()]) this.changed(key);
  }
}
