/**
 * The replies of one client, in the order of its commands. A place is held for one that is still to come, and what follows waits behind
 * it. A message that is no reply goes out between two replies as soon as the client takes more.
 */
import type { Writable } from "node:stream";

/** Bytes that may wait here before no more is read of where they come from. */
const MAX_WAITING = 256 * 1024;
/** Places that may be held; a reply may be large. */
const MAX_HELD = 4;

interface Segment {
  /** Undefined: a place is held for them. */
  bytes: Uint8Array | undefined;
  /** Whether another segment continues the same reply. */
  partial: boolean;
}

export class ReplyQueue {
  readonly #segments: Segment[] = [];
  readonly #messages = new Map<string, () => Uint8Array>();
  #waiting = 0;
  #held = 0;
  #within = false;
  #finish: (() => void) | undefined;

  /** @param changed there may be more or less room now */
  constructor(private readonly client: Writable, private readonly changed: () => void) {
    client.on("drain", () => this.#flush());
  }

  /** Whether no more should be added for now. */
  get full(): boolean {
    return this.#held >= MAX_HELD || this.#waiting > MAX_WAITING || this.client.writableNeedDrain;
  }

  /** Places that are held. */
  get held(): number {
    return this.#held;
  }

  /** Adds bytes of a reply. @param partial more of the same reply follows */
  add(bytes: Uint8Array, partial: boolean): void {
    this.#segments.push({ bytes, partial });
    this.#waiting += bytes.length;
    this.#flush();
  }

  /** Holds the place of the next reply; call the result with its parts. */
  hold(): (...parts: Uint8Array[]) => void {
    const segment: Segment = { bytes: undefined, partial: false };
    this.#segments.push(segment);
    this.#held++;
    return (...parts) => {
      this.#held--;
      const at = this.#segments.indexOf(segment);
      const filled = parts.map((bytes, i) => ({ bytes, partial: i < parts.length - 1 }));
      this.#segments.splice(at, 1, ...filled);
      for (const { length } of parts) this.#waiting += length;
      this.#flush();
    };
  }

  /** Sends a message as soon as there is room; one of the same name that waits is the same message. */
  announce(name: string, message: () => Uint8Array): void {
    this.#messages.set(name, message);
    this.#flush();
  }

  /** A message is not wanted any more. */
  retract(name: string): void {
    this.#messages.delete(name);
  }

  /** Calls `done` when everything has been written. */
  finish(done: () => void): void {
    this.#finish = done;
    this.#flush();
  }

  #flush(): void {
    while (!this.client.writableNeedDrain && this.#segments[0]?.bytes) {
      const { bytes, partial } = this.#segments.shift() as Segment & { bytes: Uint8Array };
      this.#waiting -= bytes.length;
      this.#within = partial;
      this.client.write(bytes);
    }
    if (this.#segments.length === 0 && !this.#within && !this.client.writableNeedDrain) {
      for (const message of this.#messages.values()) this.client.write(message());
      this.#messages.clear();
    }
    if (this.#segments.length === 0) this.#finish?.();
    this.changed();
  }
}
