/** A map with room for so many entries: those that were set last. */
export class Newest<Key, Value> extends Map<Key, Value> {
  /** @param room entries that are kept */
  constructor(private readonly room: number) {
    super();
  }

  /** The entry is the newest from now on; beyond the room the oldest goes. */
  override set(key: Key, value: Value): this {
    this.delete(key);
    super.set(key, value);
    if (this.size > this.room) this.delete(this.keys().next().value as Key);
    return this;
  }
}
