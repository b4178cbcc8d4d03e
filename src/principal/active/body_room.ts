/**
 * Room for the bodies of requests that are under way to an agent. To encode one costs several times its bytes, which nobody shall make the
 * principal do for a request that would find no place in the agent's lane anyway.
 */

/** Of one agent: four of the largest bodies, which is what may wait in its lane once they are encoded. */
const MAX_BYTES = 12 * 1024 * 1024;

export class BodyRoom {
  readonly #held = new Map<string, number>();

  /** Takes room for a body; the result gives it back. Undefined: there is none. */
  take(agent: string, bytes: number): (() => void) | undefined {
    if (this.#of(agent) + bytes > MAX_BYTES) return undefined;
    this.#add(agent, bytes);
    return () => this.#add(agent, -bytes);
  }

  #of(agent: string): number {
    return this.#held.get(agent) ?? 0;
  }

  #add(agent: string, bytes: number): void {
    const held = this.#of(agent) + bytes;
    if (held === 0) this.#held.delete(agent);
    else this.#held.set(agent, held);
  }
}
