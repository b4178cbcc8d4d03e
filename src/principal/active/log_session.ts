/**
 * One reader of a pod's log. Nothing is answered before the agent's first bytes, its end or its refusal is known; then what the agent
 * brings goes on as fast as the reader takes it. A log that is followed outlives a call that breaks: the agent opens another one for the
 * same request, and repeats a little.
 *
 * Invariant: of what was read and not taken at most `LOG_BUFFER` and one message are held; until there is room, the call is not read.
 */
import { concat } from "@std/bytes/concat";
import { printable } from "../../base/printable.ts";
import { LOG_BUFFER } from "../../domain/proxy/log_buffer.ts";
import { LogLines } from "../../domain/proxy/log_lines.ts";
import { logFailure, type LogRequest } from "../../domain/proxy/log_request.ts";
import { failure, type HttpAnswer } from "../../domain/proxy/status.ts";
import type { LogCall, LogFrame, LogReader } from "../ports/logs.ts";

const MIN_PAUSE_MS = 10;
/** Characters of an agent's reason. */
const MAX_REASON = 2_000;

/** How long is waited, in ms. */
export interface LogTiming {
  /** From the request to the agent's call, its time in the queue included. */
  callMs: number;
  /** From the acknowledgement of the request to the agent's call. */
  afterAckMs: number;
  /** From the call to the first bytes: a pod that says nothing has an empty log so far. */
  quietMs: number;
  /** From a broken call to the next one. */
  returnMs: number;
}

export const LOG_TIMING: LogTiming = {
  callMs: 15_000,
  afterAckMs: 10_000,
  quietMs: 5_000,
  returnMs: 15_000,
};

/** The subject of a session, and who hears of it. */
export interface LogSessionParts {
  readonly agent: string;
  readonly request: LogRequest;
  readonly timing: LogTiming;
  /** So many bytes went on. */
  passed(bytes: number): void;
  /** A message came; how long its agent has to wait before it brings more, in ms. */
  spend(): number;
  /** The session is over. */
  over(): void;
}

export class LogSession {
  /** The log, for its reader. */
  readonly stream: ReadableStream<Uint8Array>;
  readonly #lines: LogLines;
  readonly #begun = Promise.withResolvers<HttpAnswer | undefined>();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #call: LogCall | undefined;
  #called = false;
  #answered = false;
  #over = false;
  #full = false;
  /** Set while the agent has to wait. */
  #pause: ReturnType<typeof setTimeout> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly parts: LogSessionParts) {
    this.#lines = new LogLines(parts.request.timestamps ?? false);
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.#regulate(false),
      cancel: () => this.abandon("the reader is gone"),
    }, LOG_BUFFER);
    this.#wait(parts.timing.callMs, () => this.#late());
  }

  /** Resolves when it is known that there is a log, or with the answer instead of one. */
  get begun(): Promise<HttpAnswer | undefined> {
    return this.#begun.promise;
  }

  /** Whether the agent has opened a call. */
  get called(): boolean {
    return this.#called;
  }

  /** The agent has acknowledged the request. */
  acknowledged(): void {
    if (!this.#called) this.#wait(this.parts.timing.afterAckMs, () => this.#late());
  }

  unreached(why: string): void {
    this.abandon(why);
  }

  /** The agent did not answer the request. */
  failed(answer: HttpAnswer, why: string): void {
    if (this.#answered) return;
    this.#answer(answer);
    this.abandon(why);
  }

  /** Takes a call of the agent; undefined: the session is over. */
  attach(call: LogCall): LogReader | undefined {
    if (this.#over) return undefined;
    this.#call?.end("unwanted", "another call brings this log");
    this.#call = call;
    if (this.#called) this.#lines.resume();
    this.#called = true;
    if (this.#answered) clearTimeout(this.#timer);
    else this.#wait(this.parts.timing.quietMs, () => this.#answer(undefined));
    const current = () => this.#call === call;
    return {
      frame: (frame) => {
        if (current()) this.#frame(frame);
      },
      ended: () => {
        if (current()) this.#end("");
      },
      broke: () => {
        if (current()) this.#broke("the agent's connection has ended");
      },
    };
  }

  /** Ends the log with a last line that says why. */
  finish(why: string): void {
    this.#answer(undefined);
    this.#end(why);
  }

  /** Nobody reads it any more. */
  abandon(why: string): void {
    if (this.#over) return;
    this.#close("unwanted", why);
    try {
      this.#controller?.close();
    } catch {
      // The reader has cancelled the stream.
    }
  }

  #frame({ data, eof, error }: LogFrame): void {
    this.#paced(this.parts.spend());
    if (data.length > 0) {
      this.#answer(undefined);
      this.#pass(concat(this.#lines.push(data)));
    }
    if (error !== "") this.#refused(printable(error).slice(0, MAX_REASON), eof);
    else if (eof) this.#end("");
    else this.#regulate((this.#controller?.desiredSize ?? 0) <= 0);
  }

  /** The call is read while there is room, and its agent need not wait. */
  #regulate(full: boolean): void {
    this.#full = full;
    if (full || this.#pause !== undefined) this.#call?.pause();
    else this.#call?.resume();
  }

  #paced(waitMs: number): void {
    if (waitMs === 0 || this.#pause !== undefined || this.#over) return;
    this.#pause = setTimeout(() => {
      this.#pause = undefined;
      this.#regulate(this.#full);
    }, Math.max(waitMs, MIN_PAUSE_MS));
  }

  /** @param final whether Kubernetes has refused, rather than a read failed */
  #refused(error: string, final: boolean): void {
    const { agent, request } = this.parts;
    if (!this.#answered) {
      this.#answer(logFailure(agent, request, error));
      this.#close("done", error);
      this.#controller?.close();
    } else if (final) this.#end(error);
    else this.#broke(error);
  }

  /** The call is over and the log is not. */
  #broke(why: string): void {
    const { request: { follow }, timing, agent } = this.parts;
    const call = this.#call;
    this.#call = undefined;
    call?.end("broken", why);
    const about = `the log of agent "${agent}" broke off: ${why}`;
    if (follow) return this.#wait(timing.returnMs, () => this.finish(about));
    if (this.#answered) return this.finish(about);
    this.failed(failure(502, about), why);
  }

  #late(): void {
    const { agent } = this.parts;
    const why = `agent "${agent}" has not begun to send the log in time`;
    this.failed(failure(504, why), why);
  }

  /** The log is over. @param why its last line; empty: none */
  #end(why: string): void {
    if (this.#over) return;
    this.#answer(undefined);
    this.#pass(concat(this.#lines.end()));
    if (why !== "") {
      const time = this.parts.request.timestamps ? `${new Date().toISOString()} ` : "";
      this.#pass(new TextEncoder().encode(`${this.#lines.within ? "\n" : ""}${time}${why}\n`));
    }
    this.#close("done", why);
    this.#controller?.close();
  }

  #close(how: "done" | "unwanted", why: string): void {
    this.#over = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#pause);
    this.#call?.end(how, why);
    this.#call = undefined;
    this.parts.over();
  }

  #pass(bytes: Uint8Array): void {
    if (bytes.length === 0 || this.#over) return;
    this.#controller?.enqueue(bytes);
    this.parts.passed(bytes.length);
  }

  #answer(answer: HttpAnswer | undefined): void {
    if (this.#answered) return;
    this.#answered = true;
    clearTimeout(this.#timer);
    this.#begun.resolve(answer);
  }

  #wait(ms: number, then: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(then, ms);
  }
}
