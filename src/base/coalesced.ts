/**
 * Work that is asked for faster than it can be done: while one run is under way, any number of requests become one further run. So a
 * slow store costs a longer wait, and not a queue. The caller keeps what a run is to write.
 */
export class Coalesced {
  #last: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  /** @param run does everything that is to be done when it begins */
  constructor(private readonly run: () => Promise<void>) {}

  /** Resolves, or rejects, with a run that begins after this call: later in this turn, or when the present run has ended. */
  request(): Promise<void> {
    if (this.#next) return this.#next;
    const begin = () => {
      this.#next = undefined;
      return this.run();
    };
    return this.#last = this.#next = this.#last.then(begin, begin);
  }
}
