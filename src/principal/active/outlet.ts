/**
 * The sending end of a stream: it moves messages from a source into a sink for as long as the sink takes them. A kick may come at any
 * time and costs nothing where one is pending; no message is taken from the source that the sink would not take.
 */
import { monotonicMs } from "../../base/clock.ts";
import type { Sink } from "../ports/stream.ts";

/** The two ends that an outlet joins. */
export interface OutletOptions<Message> {
  sink: Sink<Message>;
  /** The next message; undefined: there is none now. */
  next(): Message | undefined;
  /** A single message travels at once; those that follow one another within this time travel together. Default 0. */
  gatherMs?: number;
  /** Messages sent before other work gets its turn. Default: all. */
  batch?: number;
  /** Called when the source is empty while the sink takes more. */
  idle?(): void;
}

/** One sending end. */
export class Outlet<Message> {
  #writable = true;
  #scheduled = false;
  #closed = false;
  #sentAtMs = -Infinity;

  constructor(private readonly options: OutletOptions<Message>) {}

  /** Call when the source may have something. */
  kick(): void {
    if (this.#scheduled || this.#closed) return;
    this.#scheduled = true;
    const wait = this.#sentAtMs + (this.options.gatherMs ?? 0) - monotonicMs();
    setTimeout(() => {
      this.#scheduled = false;
      this.#sentAtMs = monotonicMs();
      this.#send();
    }, Math.max(0, wait));
  }

  /** Call when the sink takes more. */
  drained(): void {
    this.#writable = true;
    this.kick();
  }

  /** Whether the sink takes more. */
  get writable(): boolean {
    return this.#writable;
  }

  /** Nothing more is sent. */
  close(): void {
    this.#closed = true;
  }

  #send(): void {
    const { sink, next, batch = Infinity, idle } = this.options;
    for (let n = 0; n < batch; n++) {
      if (this.#closed || !this.#writable) return;
      const message = next();
      if (message === undefined) return idle?.();
      this.#writable = sink.send(message);
    }
    this.kick();
  }
}
