/** Operators' acts as spans: each notes the steps of the state machine that are taken meanwhile, and the peer hears whose part its own is. */
import { type Attributes, type Span, spanned, type Tracing } from "../ports/tracing.ts";

export class OperationTraces {
  readonly #open = new Set<Span>();

  constructor(readonly tracing: Tracing) {}

  /** Runs an act in a span of its own. */
  act<T>(name: string, attributes: Attributes, act: (span: Span) => Promise<T>): Promise<T> {
    return spanned(this.tracing, name, { attributes }, async (span) => {
      this.#open.add(span);
      try {
        return await act(span);
      } finally {
        this.#open.delete(span);
      }
    });
  }

  /** The state machine took a step. */
  stepped(text: string): void {
    for (const span of this.#open) span.note(text);
  }
}
