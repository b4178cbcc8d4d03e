/**
 * File descriptors that are left to this process. Nothing else tells: an accept that fails for want of one fails silently, and then the
 * store, the peer and the API server fail too. So some are kept back from connections.
 */

/** Connections that may come between two looks. */
const MARGIN = 16;

interface Opened {
  close(): void;
}

export class Descriptors {
  /** So many open connections left enough when that was last found out. */
  #sufficed = 0;

  /** @param reserve so many are kept back  @param open takes a descriptor; throws where there is none */
  constructor(
    private readonly reserve: number,
    private readonly open: () => Opened = () => Deno.openSync("/dev/null"),
  ) {}

  /** Whether one more connection beside those of this process leaves enough for everything else. */
  suffice(connections: number): boolean {
    if (connections < this.#sufficed) return true;
    if (!this.#left(this.reserve + MARGIN)) return false;
    this.#sufficed = connections + MARGIN;
    return true;
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
