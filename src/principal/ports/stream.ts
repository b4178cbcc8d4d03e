/** The ends of a stream as the principal sees them; an adapter or the simulator implements them. */

/** The sending end. */
export interface Sink<Message> {
  /** Sends; false: wait for `drained` before sending more. After `end` nothing happens. */
  send(message: Message): boolean;
}

/** The events of a stream for the holder of its sending end. */
export interface StreamEvents<Message> {
  received(message: Message): void;
  /** The sink takes more. */
  drained(): void;
  /** The stream is over, however it ended; told once. */
  closed(error?: unknown): void;
}

/** The serving end of a stream that the other side opened. */
export interface ServedStream<Message> extends Sink<Message> {
  /** Ends the stream with what `error` means to the other side. */
  fail(error: unknown): void;
  /** The same for a stream that was never served, held back for a while: a client that retries at once costs little. */
  refuse(error: unknown): void;
}
