/** Calls of gRPC as web streams, so that each is read as fast as what it brings is taken, and written as fast as its peer reads. */
import { type EventEmitter, once } from "node:events";
import type grpc from "@grpc/grpc-js";
import { onAbort } from "../../base/abort.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";

/** The reading end of a call. */
interface Readable extends EventEmitter {
  pause(): unknown;
  resume(): unknown;
}

export interface Reading<Wire, Part> {
  /** The part in a message; undefined: there is none. */
  part(message: Wire): Part | undefined;
  strategy: QueuingStrategy<Part>;
  /** The reader's form of an error of the call. */
  failed(error: unknown): Error;
  /** The reader wants no more. */
  cancel(): void;
  /** Nothing more comes. */
  over?(): void;
}

/** The parts that a call brings. */
export function readableOf<Wire, Part>(
  call: Readable,
  { part, strategy, failed, cancel, over = () => {} }: Reading<Wire, Part>,
): ReadableStream<Part> {
  let isOver = false;
  const ending = (end: (value?: unknown) => void) => (value?: unknown) => {
    if (isOver) return;
    isOver = true;
    end(value);
    over();
  };
  return new ReadableStream<Part>({
    start(controller) {
      call.on("data", (message: Wire) => {
        if (isOver) return;
        const one = part(message);
        if (one !== undefined) controller.enqueue(one);
        if ((controller.desiredSize ?? 0) <= 0) call.pause();
      });
      call.on("error", ending((error) => controller.error(failed(error))));
      call.on("end", ending(() => controller.close()));
    },
    pull: () => void call.resume(),
    cancel: () => ending(cancel)(),
  }, strategy);
}

/** Writes what a stream brings to a call, as fast as its peer reads; ends the stream when `gone` is aborted. */
export async function writeTo<Wire, Part>(
  call: { write(message: Wire): boolean } & EventEmitter,
  stream: ReadableStream<Part>,
  encode: (part: Part) => Wire,
  gone: AbortSignal,
): Promise<void> {
  const reader = stream.getReader();
  onAbort(gone, (reason) => void reader.cancel(reason).catch(() => {}));
  for (let read = await reader.read(); !read.done && !gone.aborted; read = await reader.read()) {
    if (call.write(encode(read.value))) continue;
    await once(call, "drain", { signal: gone }).catch(() => {});
  }
}

/** Aborted when the client of a call is gone. */
export function goneOf(call: { on(event: string, listener: () => void): unknown }): AbortSignal {
  const gone = new AbortController();
  for (const event of ["cancelled", "close", "error"]) {
    call.on(event, () => gone.abort(new Error("the peer is gone")));
  }
  return gone.signal;
}

/** The first message of an answer: an HTTP status, with any but 200 a body. */
export interface Answered {
  status?: number | undefined;
  body?: string | undefined;
  retryAfterS?: number | undefined;
}

const OK = 200;

/** Answers a call: with a refusal, or with a stream after its first message. */
export async function answerWith<Wire, Part>(
  call: { write(message: Wire | Answered): boolean; end(): void } & EventEmitter,
  answer: HttpAnswer | ReadableStream<Part>,
  encode: (part: Part) => Wire,
  gone: AbortSignal,
): Promise<void> {
  if (answer instanceof ReadableStream) {
    call.write({ status: OK });
    await writeTo(call, answer, encode, gone);
  } else {
    const { status, body, retryAfterS = 0 } = answer;
    call.write({ status, body, retryAfterS });
  }
  call.end();
}

/** Reads such an answer. @throws what `translated` makes of an error @throws the reason of `signal` */
export function answerOf<Wire extends Answered, Part>(
  call: grpc.ClientReadableStream<Wire> | grpc.ClientDuplexStream<unknown, Wire>,
  { part, strategy, translated }: Pick<Reading<Wire, Part>, "part" | "strategy"> & {
    translated(error: unknown): Error;
  },
  signal: AbortSignal,
): Promise<HttpAnswer | ReadableStream<Part>> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer | ReadableStream<Part>>();
  const unlisten = onAbort(signal, (reason) => {
    reject(reason);
    call.cancel();
  });
  const stream = readableOf<Wire, Part>(call, {
    part: (message) => {
      const { status = 0, body = "", retryAfterS = 0 } = message;
      if (status === OK) resolve(stream);
      else if (status > 0) resolve({ status, body, ...(retryAfterS > 0 ? { retryAfterS } : {}) });
      return status > 0 ? undefined : part(message);
    },
    strategy,
    failed: (error) => {
      reject(translated(error));
      return translated(error);
    },
    cancel: () => call.cancel(),
    over: () => {
      unlisten();
      reject(translated(new Error("the call ended without an answer")));
    },
  });
  return promise;
}
