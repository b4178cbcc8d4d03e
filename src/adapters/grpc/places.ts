/** Places that are taken and given back, counted by key. */
export class Places {
  readonly #taken = new Map<string, number>();

  /** Takes one of `max` places of a key; false where there is none. */
  take(key: string, max: number): boolean {
    const count = this.#taken.get(key) ?? 0;
    if (count >= max) return false;
    this.#taken.set(key, count + 1);
    return true;
  }

  /** Gives one back. */
  leave(key: string): void {
    const count = (this.#taken.get(key) ?? 1) - 1;
    if (count > 0) this.#taken.set(key, count);
    else this.#taken.delete(key);
  }
}
