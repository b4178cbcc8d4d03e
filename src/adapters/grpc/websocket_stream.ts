/**
 * A call over WebSocket. grpc-js serves it like a stream of HTTP/2, of which it has the parts that grpc-js uses: the same handlers,
 * bounds, identities and conditions apply, without a second way into any of them.
 */
import type { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { resumeReading, stopReading } from "../net/reading.ts";
import { CLOSE, OPEN, type WebSocket } from "./websocket.ts";
import {
  type Fields,
  frameProblem,
  isEndOfStream,
  isMetadata,
  MAX_FRAME_BYTES,
  metadataFrame,
  PREFIX_BYTES,
} from "./websocket_frames.ts";

export class WebSocketStream extends Duplex {
  /** By it grpc-js and the bounds know the connection, and whose certificate it came with. */
  readonly session: { readonly socket: Socket };
  readonly rstCode = 0;
  /** The largest message that can be sent. */
  readonly maxMessageBytes = MAX_FRAME_BYTES - PREFIX_BYTES;
  #heardAll = false;
  /** The client hears how the call ended: by trailers, or by the code of a close frame. */
  #told = false;

  constructor(private readonly webSocket: WebSocket, socket: Socket) {
    super();
    this.session = { socket };
    webSocket.on("message", (message, isBinary) => this.#take(message, isBinary));
    // What was wrong is told to the client as the code of the close frame.
    webSocket.on("error", () => {});
    webSocket.on("close", () => this.destroy());
  }

  /** Whether the client's messages are being read; not while the handler of the call is busy. */
  get reads(): boolean {
    return this.#heardAll || !this.isPaused();
  }

  /** Nothing more is read off the connection: what a handler does not ask for stays with the client. */
  override pause(): this {
    if (!this.#heardAll) {
      this.webSocket.pause();
      stopReading(this.session.socket);
    }
    return super.pause();
  }

  override resume(): this {
    this.#readOn();
    return super.resume();
  }

  /** Sends headers; with `endStream` they are the trailers too. */
  respond(headers: Fields, { endStream = false } = {}): void {
    this.#send(metadataFrame(headers));
    if (!endStream) return;
    this.#told = true;
    this.end();
  }

  /** Sends trailers, once "wantTrailers" has asked for them. */
  sendTrailers(trailers: Fields): void {
    this.#told = true;
    this.#send(metadataFrame(trailers));
  }

  /** Ends the call without a word. */
  close(): void {
    this.destroy();
  }

  override _read(): void {}

  override _write(frame: Buffer, _: unknown, done: () => void): void {
    this.#send(frame, done);
  }

  override _final(done: () => void): void {
    if (!this.#told) this.emit("wantTrailers");
    this.webSocket.close(CLOSE.normal);
    done();
  }

  override _destroy(_: Error | null, done: () => void): void {
    // Otherwise the client has its time to read, and closes.
    if (!this.#told || this.webSocket.readyState === OPEN) this.webSocket.terminate();
    done();
  }

  #take(message: Buffer, isBinary: boolean): void {
    if (this.destroyed) return;
    const problem = this.#problem(message, isBinary);
    if (problem !== undefined) {
      this.#told = true;
      this.webSocket.close(isBinary ? CLOSE.protocol : CLOSE.unsupported, problem);
      this.destroy();
    } else if (isEndOfStream(message)) {
      this.#heardAll = true;
      this.push(null);
      // Only the end of the connection may follow, and that is heard at once.
      this.#readOn();
    } else this.push(message);
  }

  #readOn(): void {
    this.webSocket.resume();
    resumeReading(this.session.socket);
  }

  #problem(message: Buffer, isBinary: boolean): string | undefined {
    if (this.#heardAll) return "a message after the last";
    if (!isBinary) return "a text message";
    if (isEndOfStream(message)) return undefined;
    return frameProblem(message) ?? (isMetadata(message) ? "metadata from a client" : undefined);
  }

  #send(frame: Buffer, sent: () => void = () => {}): void {
    // A connection that has ended takes nothing any more, and its end may be heard later than the next message is written.
    if (this.webSocket.readyState !== OPEN) return void this.destroy();
    this.webSocket.send(frame, (error) => error ? this.destroy() : sent());
  }
}
