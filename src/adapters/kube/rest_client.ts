/**
 * JSON requests to one API server. Every failure is an ApiFailure: the API server's own words where it answered, and one sentence
 * for every request that got no answer, since then one thing is wrong whatever was asked.
 */
import { onAbort } from "../../base/abort.ts";
import { TextLineStream } from "@std/streams/text-line-stream";
import { parseStored } from "../../base/bounds.ts";
import { ApiFailure, failureOf } from "./api_failure.ts";
import type { Transport } from "./transport.ts";

export class RestClient {
  constructor(private readonly transport: Transport) {}

  /** Sends one request; `action` completes "cannot …". @throws ApiFailure */
  async call<T>(
    action: string,
    method: string,
    path: string,
    body?: unknown,
    contentType?: string,
  ): Promise<T> {
    try {
      const answer = await this.transport.send(method, path, body, contentType);
      if (answer.status >= 300) throw failureOf(action, answer.status, answer.text, answer.headers);
      return parseStored(answer.text) as T;
    } catch (error) {
      const failure = this.#unanswered(error);
      failure.method = method;
      throw failure;
    }
  }

  /** The lines of a streamed answer, each parsed, until the server ends it or the signal aborts. @throws ApiFailure */
  async *stream<T>(action: string, path: string, signal: AbortSignal): AsyncGenerator<T> {
    const response = await this.transport.fetch(path, { signal }).catch((error) => {
      throw this.#unanswered(error);
    });
    if (!response.ok) throw failureOf(action, response.status, await response.text(), response.headers);
    const lines = response.body?.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
      .getReader();
    if (!lines) return;
    // The signal alone would not do: Deno 2.9 forgets it for a running body once it has collected garbage.
    const cancel = () => void lines.cancel().catch(() => {});
    const unlisten = onAbort(signal, cancel);
    try {
      for (;;) {
        const { value: line, done } = await lines.read();
        if (done || signal.aborted) return;
        yield parseStored(line) as T;
      }
    } catch (error) {
      throw this.#unanswered(error);
    } finally {
      unlisten();
      cancel();
    }
  }

  /** Requests from now on use a new connection. */
  renew(): void {
    this.transport.renew();
  }

  #unanswered(error: unknown): ApiFailure {
    if (error instanceof ApiFailure) return error;
    const { name, message, cause } = error as Error;
    const words = name === "TimeoutError" ? message : cause instanceof Error ? cause.message : message;
    return new ApiFailure(0, `no answer from the API server at ${this.transport.server}: ${words}`);
  }
}
