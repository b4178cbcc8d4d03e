/**
 * Marks translate acknowledged sequence numbers of one stream to another numbering (a revision, a Go primary's number).
 * At the bound the oldest mark is dropped, which only makes an acknowledgement count later, never earlier.
 */
export class Marks {
  readonly #marks: { sequence: number; value: number }[] = [];
  #reached = 0;

  constructor(private readonly max = 10_000) {}

  /** From `sequence` on, `value` is reached. Sequences must not go down. */
  push(sequence: number, value: number): void {
    if (this.#marks.at(-1)?.sequence === sequence) this.#marks.pop();
    this.#marks.push({ sequence, value });
    if (this.#marks.length > this.max) this.#marks.shift();
  }

  /** The value of the last mark at or below `sequence`; the former value if there is none. */
  reached(sequence: number): number {
    while (this.#marks[0] && this.#marks[0].sequence <= sequence) {
      this.#reached = this.#marks.shift()?.value ?? 0;
    }
    return this.#reached;
  }
}
