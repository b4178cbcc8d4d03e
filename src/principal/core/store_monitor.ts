/** Watches over the store: reports its problem once when that changes, and retries while a cluster is away. */
import { delay } from "@std/async/delay";
import { type Store, StoreError, type StoreErrorCode } from "../ports/store.ts";
import type { Log } from "../../base/log.ts";

const LOOK_MS = 500;
/** Failures that may end without a change of the command line. */
const PASSING: readonly StoreErrorCode[] = ["unavailable", "forbidden", "notFound"];

/** Reports a problem in the log and in the history, and that it has ended. */
export class StoreMonitor {
  #problem = "";
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param ended aborts when the store is this process's no more; undefined: never */
  constructor(
    private readonly store: Pick<Store, "status">,
    private readonly log: Log,
    private readonly changed: (text: string) => void,
    private readonly ended?: AbortSignal,
  ) {}

  /** From now on the store's own status is reported as well. */
  follow(): void {
    this.#timer = setInterval(() => this.#note(this.store.status().problem), LOOK_MS);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** The store's present problem, in words; empty: none. */
  get problem(): string {
    return this.#problem;
  }

  #note(problem: string): void {
    if (problem === this.#problem) return;
    this.#problem = problem;
    if (problem === "") this.log.info("the store is current again", { event: "store_current" });
    else this.log.warn("the store is not current; trying again", { event: "store_lost", reason: problem });
    this.changed(problem === "" ? "the store is current again" : `the store is not current: ${problem}`);
  }

  /** Calls `ask` until it succeeds; retries failures that may end by themselves, until `ended`. @throws Error any other failure */
  async patiently<T>(ask: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const result = await ask();
        this.#note("");
        return result;
      } catch (error) {
        if (!(error instanceof StoreError) || !PASSING.includes(error.code)) throw error;
        this.#note(error.message);
        this.ended?.throwIfAborted();
        await delay(LOOK_MS, this.ended ? { signal: this.ended } : {});
      }
    }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
