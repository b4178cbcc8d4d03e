/** Terminals in pods: an agent that was asked for one opens a call of its own, over which both ways go. */
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { TerminalInput, TerminalOutput } from "../../domain/proxy/terminal.ts";
import type { TerminalRequest } from "../../domain/proxy/terminal_request.ts";

/** One call of an agent that brings a terminal, as the wire has it. */
export interface TerminalCall {
  /** Stops and resumes reading. */
  pause(): void;
  resume(): void;
  /** False when the next message should wait for `drained`. */
  send(input: TerminalInput): boolean;
  /** Ends the call. Empty: the program is over; otherwise the agent ends it for this reason. */
  end(why: string): void;
}

/** A message of such a call. */
export interface TerminalFrame {
  data: Uint8Array;
  /** The program is over. */
  eof: boolean;
  /** Why there is none; empty: nothing is wrong. */
  error: string;
}

/** The principal's side of a call. */
export interface TerminalReader {
  frame(frame: TerminalFrame): void;
  /** There is room to send. */
  drained(): void;
  /** The call has ended before the terminal. */
  broke(): void;
}

/** The user of a terminal. */
export interface TerminalUser {
  /** The common name of the certificate that the request came with. */
  caller: string;
  input: ReadableStream<TerminalInput>;
  /** Aborted when the user is gone. */
  signal: AbortSignal;
}

/** A terminal for its user; its last part is an end. */
export interface OpenTerminal {
  output: ReadableStream<TerminalOutput>;
}

/** Where a user gets a terminal. */
export interface TerminalSource {
  /** The terminal, or the answer instead of one. @throws the reason of the user's `signal` */
  open(agent: string, request: TerminalRequest, user: TerminalUser): Promise<HttpAnswer | OpenTerminal>;
}

export interface AgentTerminals {
  /** Terminals that are open. */
  readonly size: number;
  /** An agent brings the terminal of a request; undefined: there is no such request to this agent any more. */
  bring(agent: string, request: string, call: TerminalCall): TerminalReader | undefined;
}
