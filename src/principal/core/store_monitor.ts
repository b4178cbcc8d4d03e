/** Watches over the store: reports its problem once when that changes, and retries while a cluster is away. */
import { delay } from "@std/async/delay";
import { type Store, StoreError, type StoreErrorCode } from "../ports/store.ts";
import type { Log } from "../../base/log.ts";

const LOOK_MS = 500;
/** What may pass without anybody changing the command line. */
const PASSING: readonly StoreErrorCode[] = ["unavailable", "forbidden", "notFound"];

/** Says in the log, and to whoever asks, what a store lacks: once when that changes. */
export class StoreMonitor {
  #problem = "";
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(
    private readonly store: Store,
    private readonly log: Log,
    private readonly changed: (text: string) => void,
  ) {}

  /** From now on the store is watched, and says itself what it lacks. */
  follow(): void {
    this.#timer = setInterval(() => this.#note(this.store.status().problem), LOOK_MS);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** What the store lacks now, in words; empty: nothing. */
  get problem(): string {
    return this.#problem;
  }

  #note(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (problem === "") this.log.info("the store is current again");
    else this.log.warn("the store is not current; trying again", { reason: problem });
    this.changed(problem === "" ? "the store is current again" : `the store is not current: ${problem}`);
  }

  /** Does what needs the store, again and again while what it lacks may pass. @throws Error that will not pass */
  async patiently<T>(what: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const result = await what();
        this.#note("");
        return result;
      } catch (error) {
        if (!(error instanceof StoreError) || !PASSING.includes(error.code)) throw error;
        this.#note(error.message);
        await delay(LOOK_MS);
      }
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
