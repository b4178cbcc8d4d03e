/**
 * A source outside this process that is read at intervals in case it changed: a file, a Secret. The last good reading counts. A reading
 * that fails is reported once and replaces nothing.
 */
import { reasonOf } from "../../base/reason.ts";

export interface RereadOptions<T> {
  everyMs: number;
  same(a: T, b: T): boolean;
  /** Hears why a source cannot be used any more, once for each reason. */
  unusable(problem: string): void;
}

export class Reread<T> {
  readonly #listeners = new Set<(value: T) => void>();
  readonly #timer: ReturnType<typeof setInterval>;
  #lastProblem = "";
  #reading = false;

  private constructor(
    private readonly read: () => Promise<T> | T,
    private readonly options: RereadOptions<T>,
    private value: T,
  ) {
    this.#timer = setInterval(() => this.#look(), options.everyMs);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** Reads the source once. @throws what `read` throws */
  static async open<T>(read: () => Promise<T> | T, options: RereadOptions<T>): Promise<Reread<T>> {
    return new Reread(read, options, await read());
  }

  get current(): T {
    return this.value;
  }

  /** Calls `listener` after each change. */
  onChange(listener: (value: T) => void): void {
    this.#listeners.add(listener);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#reading) return;
    this.#reading = true;
    try {
      const next = await this.read();
      this.#lastProblem = "";
      if (this.options.same(next, this.value)) return;
      this.value = next;
      for (const listener of this.#listeners) listener(next);
    } catch (error) {
      const problem = reasonOf(error);
      if (problem !== this.#lastProblem) this.options.unusable(problem);
      this.#lastProblem = problem;
    } finally {
      this.#reading = false;
    }
  }
}
