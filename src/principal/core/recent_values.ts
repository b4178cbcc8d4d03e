/** Values that were just read. Each is good for a moment; together they are bounded, the oldest goes first. */

const KEEP_MS = 1_000;
const MAX_BYTES = 64 * 1024 * 1024;

interface Kept {
  value: Uint8Array;
  timer: ReturnType<typeof setTimeout>;
}

export class RecentValues {
  readonly #kept = new Map<string, Kept>();
  #bytes = 0;

  keys(): Iterable<string> {
    return this.#kept.keys();
  }

  get(id: string): Uint8Array | undefined {
    return this.#kept.get(id)?.value;
  }

  set(id: string, value: Uint8Array): void {
    this.delete(id);
    const timer = setTimeout(() => this.delete(id), KEEP_MS);
    this.#kept.set(id, { value, timer });
    this.#bytes += value.length;
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= MAX_BYTES) return;
      this.delete(oldest);
    }
  }

  delete(id: string): void {
    const kept = this.#kept.get(id);
    if (!kept) return;
    clearTimeout(kept.timer);
    this.#kept.delete(id);
    this.#bytes -= kept.value.length;
  }

  clear(): void {
    for (const id of [...this.#kept.keys()]) this.delete(id);
  }
}
