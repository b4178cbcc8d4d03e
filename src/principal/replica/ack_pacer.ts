/** Acknowledgements that come together travel together: soon after the first of them, and never more often than a bound. */
import { monotonicMs } from "../../base/clock.ts";

const DELAY_MS = 5;
const EVERY_MS = 20;

export class AckPacer {
  #scheduled = false;
  #sentAtMs = 0;

  constructor(private readonly send: () => void) {}

  /** Call when there is something to acknowledge. */
  kick(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    const wait = this.#sentAtMs + EVERY_MS - monotonicMs();
    setTimeout(() => {
      this.#scheduled = false;
      this.#sentAtMs = monotonicMs();
      this.send();
    }, Math.max(DELAY_MS, wait));
  }
}
