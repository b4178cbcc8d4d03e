/** Logs of pods: an agent that was asked for one opens a call of its own and brings it. */

import type { LogRequest } from "../../domain/proxy/log_request.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { StreamedAnswer } from "./resource_proxy.ts";

/** One call of an agent that brings a log, as the wire has it. */
export interface LogCall {
  /** Stops and resumes reading. */
  pause(): void;
  resume(): void;
  /** Ends the call. `done`, `unwanted`: the agent does not come again. `broken`: it does, with the same request. */
  end(how: "done" | "unwanted" | "broken", why: string): void;
}

/** A message of such a call. */
export interface LogFrame {
  data: Uint8Array;
  /** Nothing follows. */
  eof: boolean;
  /** Empty: none. */
  error: string;
}

/** The reader's side of a call. */
export interface LogReader {
  frame(frame: LogFrame): void;
  /** The agent says no more. */
  ended(): void;
  /** The call has ended before the log. */
  broke(): void;
}

/** Where a reader gets a pod's log. */
export interface LogSource {
  /**
   * The log when something of it is known, or the answer instead of one. @throws the reason of `signal`, which is aborted when the reader
   * is gone
   */
  open(agent: string, request: LogRequest, signal: AbortSignal): Promise<HttpAnswer | StreamedAnswer>;
}

export interface AgentLogs {
  /** Logs that are being read. */
  readonly size: number;
  /** An agent brings the log of a request; undefined: there is no such request to this agent any more. */
  bring(agent: string, request: string, call: LogCall): LogReader | undefined;
}
