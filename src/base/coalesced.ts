/**
 * Coalesces requests that arrive faster than their work completes: while one run is in progress, any number of requests
 * become one further run. A slow store costs a longer wait instead of a queue. The caller keeps the data of the next run.
 */
export class Coalesced {
  #last: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  /** @param run does all the work that waits when it begins */
  constructor(private readonly run: () => Promise<void>) {}

  /** Settles with a run that begins after this call: later in this turn, or after the present run. */
  request(): Promise<void> {
    if (this.#next) return this.#next;
    const begin = () => {
      this.#next = undefined;
      return this.run();
    };
    return this.#last = this.#next = this.#last.then(begin, begin);
  }
}
