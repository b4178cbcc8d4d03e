/**
 * One terminal: its user on the one side, the call of its agent on the other. Each way goes on as fast as the other end takes it, and has
 * one owner; whoever ends first, what still comes is dropped. The user hears in the terminal why it ended, its program's own end aside.
 *
 * Invariant: of each way at most `TERMINAL_BUFFER_BYTES` and one message are held; until there is room, that end is not read.
 */
import { monotonicMs } from "../../base/clock.ts";
import { reasonOf } from "../../base/reason.ts";
import {
  type TerminalEnd,
  type TerminalInput,
  type TerminalOutput,
  terminalQueue,
} from "../../domain/proxy/terminal.ts";
import { terminalFailure, type TerminalRequest } from "../../domain/proxy/terminal_request.ts";
import type { TerminalCall, TerminalFrame, TerminalReader } from "../ports/terminals.ts";

/** How long is waited, in ms. */
export interface TerminalTiming {
  /** From the request to the agent's call, its time in the queue included. */
  callMs: number;
  /** From the acknowledgement of the request to the agent's call. */
  afterAckMs: number;
  /** From the end of the agent's call to what it means: with the agent's stream, or alone. */
  brokenMs: number;
  /** Nothing has passed either way. */
  idleMs: number;
  /** A terminal is open. */
  totalMs: number;
}

const MINUTE_MS = 60_000;

export const TERMINAL_TIMING: TerminalTiming = {
  callMs: 15_000,
  afterAckMs: 10_000,
  brokenMs: 500,
  idleMs: 30 * MINUTE_MS,
  totalMs: 12 * 60 * MINUTE_MS,
};

/** An agent's shell takes no more than it asks for, 32 KiB, and the agent drops the rest of a message. */
const TYPED_BYTES = 4 * 1024;

/** Why terminals end, as metrics count them. */
export type TerminalEnding =
  | "done"
  | "failed"
  | "not_opened"
  | "agent_lost"
  | "user_gone"
  | "idle"
  | "limit"
  | "not_active";

/** The subject of a session, and who hears of it. */
export interface TerminalSessionParts {
  readonly agent: string;
  readonly request: TerminalRequest;
  readonly input: ReadableStream<TerminalInput>;
  readonly timing: TerminalTiming;
  /** So many bytes went on. */
  passed(way: "to agent" | "to user", bytes: number): void;
  /** The session is over. */
  over(ending: TerminalEnding): void;
}

export class TerminalSession {
  /** The terminal, for its user. */
  readonly output: ReadableStream<TerminalOutput>;
  readonly #input: ReadableStreamDefaultReader<TerminalInput>;
  readonly #finished = Promise.withResolvers<void>();
  #controller: ReadableStreamDefaultController<TerminalOutput> | undefined;
  #call: TerminalCall | undefined;
  #called = false;
  #over = false;
  #shown = false;
  #agentLeft = false;
  #room: PromiseWithResolvers<void> | undefined;
  #passedAtMs = monotonicMs();
  #late: ReturnType<typeof setTimeout> | undefined;
  #idle: ReturnType<typeof setTimeout> | undefined;
  readonly #limit: ReturnType<typeof setTimeout>;

  constructor(private readonly parts: TerminalSessionParts) {
    const { timing: { callMs, idleMs, totalMs }, input } = parts;
    this.#input = input.getReader();
    this.output = new ReadableStream<TerminalOutput>({
      start: (controller) => void (this.#controller = controller),
      pull: () => this.#call?.resume(),
      cancel: () => this.abandon("its user is gone"),
    }, terminalQueue());
    this.#later(callMs, () => this.#notOpened());
    this.#limit = setTimeout(() => this.#limited("limit", `it was open for ${spoken(totalMs)}`), totalMs);
    this.#whenIdle(idleMs);
  }

  get called(): boolean {
    return this.#called;
  }

  acknowledged(): void {
    if (this.#called || this.#over) return;
    this.#later(this.parts.timing.afterAckMs, () => this.#notOpened());
  }

  /** The stream of the agent has ended. */
  agentLeft(): void {
    this.#agentLeft = true;
  }

  /** Takes the call of the agent; undefined: the session is over, or has one. */
  attach(call: TerminalCall): TerminalReader | undefined {
    if (this.#over || this.#called) return undefined;
    this.#called = true;
    clearTimeout(this.#late);
    this.#call = call;
    this.#type(call).catch((error) => this.abandon(reasonOf(error)));
    return {
      frame: (frame) => this.#frame(frame),
      drained: () => this.#room?.resolve(),
      broke: () => this.#later(this.parts.timing.brokenMs, () => this.#broke()),
    };
  }

  /** The terminal ends with this side of it, and says so. */
  lost(ending: "agent_lost" | "not_active", why: string): void {
    this.#finish(ending, { how: "lost", message: why }, why);
  }

  /** There is no terminal. */
  unreached(why: string): void {
    this.#finish("not_opened", { how: "failed", message: why });
  }

  abandon(why: string): void {
    this.#close("user_gone", why, (controller) => controller.close());
  }

  /** Passes on what the user does. */
  async #type(call: TerminalCall): Promise<void> {
    let open = this.parts.request.stdin;
    if (!open) call.send({ do: "close" });
    for (;;) {
      const { done, value } = await this.#input.read();
      if (done || this.#over) return;
      if (value.do !== "resize" && !open) continue;
      if (value.do === "close") open = false;
      for (const message of portions(value)) {
        const room = call.send(message);
        this.#passed("to agent", message.do === "type" ? message.data.length : 0);
        if (!room) await this.#drained();
        if (this.#over) return;
      }
    }
  }

  async #drained(): Promise<void> {
    this.#room = Promise.withResolvers();
    await Promise.race([this.#room.promise, this.#finished.promise]);
    this.#room = undefined;
  }

  #frame({ data, eof, error }: TerminalFrame): void {
    if (this.#over) return;
    if (data.length > 0) this.#show(data);
    const { agent, request } = this.parts;
    if (error !== "") return this.#finish("failed", terminalFailure(agent, request, error));
    if (eof) return this.#finish("done", { how: "done", message: "" });
    if ((this.#controller?.desiredSize ?? 0) <= 0) this.#call?.pause();
  }

  #show(data: Uint8Array): void {
    this.#shown = true;
    this.#controller?.enqueue({ show: data });
    this.#passed("to user", data.length);
  }

  #passed(way: "to agent" | "to user", bytes: number): void {
    this.#passedAtMs = monotonicMs();
    if (bytes > 0) this.parts.passed(way, bytes);
  }

  /** An agent that is there still has ended the call by itself, as it does after its program; its last message may be lost with it. */
  #broke(): void {
    const { agent, request } = this.parts;
    if (this.#agentLeft) return this.lost("agent_lost", `connection to agent "${agent}" lost`);
    if (this.#shown) return this.#finish("done", { how: "done", message: "" });
    this.#finish("failed", terminalFailure(agent, request, "the agent ended it and did not say why"));
  }

  #later(ms: number, then: () => void): void {
    clearTimeout(this.#late);
    if (!this.#over) this.#late = setTimeout(then, ms);
  }

  #notOpened(): void {
    this.unreached(`agent "${this.parts.agent}" did not open the terminal in time`);
  }

  #whenIdle(inMs: number): void {
    const { idleMs } = this.parts.timing;
    this.#idle = setTimeout(() => {
      const leftMs = this.#passedAtMs + idleMs - monotonicMs();
      if (leftMs > 0) return this.#whenIdle(leftMs);
      this.#limited("idle", `nothing passed for ${spoken(idleMs)}`);
    }, inMs);
  }

  /** For Argo CD a terminal that ends at a limit is done: after a failure it would open another one with the next shell. */
  #limited(ending: "idle" | "limit", why: string): void {
    this.#finish(ending, { how: "done", message: why }, `the terminal ends here: ${why}`);
  }

  /** @param line the last one that the user sees */
  #finish(ending: TerminalEnding, end: TerminalEnd, line = ""): void {
    const byProgram = ending === "done" || ending === "failed";
    this.#close(ending, byProgram ? "" : end.message, (controller) => {
      if (line !== "") controller.enqueue({ show: new TextEncoder().encode(`\r\n${line}\r\n`) });
      controller.enqueue({ end });
      controller.close();
    });
  }

  /** @param why for the agent; empty: the program is over */
  #close(
    ending: TerminalEnding,
    why: string,
    last: (controller: ReadableStreamDefaultController<TerminalOutput>) => void,
  ): void {
    if (this.#over) return;
    this.#over = true;
    for (const timer of [this.#late, this.#idle, this.#limit]) clearTimeout(timer);
    try {
      if (this.#controller) last(this.#controller);
    } catch {
      // Its user has cancelled the stream.
    }
    this.#call?.end(why);
    this.#call = undefined;
    this.#finished.resolve();
    this.#input.cancel(why).catch(() => {});
    this.parts.over(ending);
  }
}

function* portions(input: TerminalInput): Generator<TerminalInput> {
  if (input.do !== "type") return yield input;
  for (let at = 0; at < input.data.length; at += TYPED_BYTES) {
    yield { do: "type", data: input.data.subarray(at, at + TYPED_BYTES) };
  }
}

function spoken(ms: number): string {
  return ms >= MINUTE_MS ? `${Math.round(ms / MINUTE_MS)} min` : `${ms / 1_000} s`;
}
