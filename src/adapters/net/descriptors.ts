/**
 * File descriptors that are left to this process. Nothing else tells: an accept that fails for want of one fails silently, and then the
 * store, the peer and the API server fail too. So some are kept back from connections.
 */

/** Connections between two looks, while there are enough. */
const EVERY = 16;

interface Opened {
  close(): void;
}

export class Descriptors {
  #connections = 0;
  #scarce = false;

  /** @param reserve so many are kept back  @param open takes a descriptor; throws where there is none */
  constructor(
    private readonly reserve: number,
    private readonly open: () => Opened = () => Deno.openSync("/dev/null"),
  ) {}

  /** Whether one more connection leaves enough for everything else. */
  suffice(): boolean {
    if (this.#scarce || this.#connections++ % EVERY === 0) this.#scarce = !this.#left(this.reserve + EVERY);
    return !this.#scarce;
  }

  #left(count: number): boolean {
    const opened: Opened[] = [];
    try {
      while (opened.length < count) opened.push(this.open());
      return true;
    } catch {
      return false;
    } finally {
      for (const one of opened) one.close();
    }
  }
}
