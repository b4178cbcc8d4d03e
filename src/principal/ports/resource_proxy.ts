/** The resource proxy as its door sees it: the Kubernetes API of agents' clusters, for Argo CD's servers. */
import type { TraceContext } from "../../domain/events/trace.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { OpenTerminal, TerminalUser } from "./terminals.ts";

/** The credentials of a request. */
export interface ProxyCaller {
  /** Of the client certificate, which was verified; empty: it has none. */
  commonName: string;
  /** The header; empty: there is none. */
  authorization: string;
}

/** A request without its body. */
export interface ProxyHead {
  method: string;
  /** Path and query as they came. */
  url: string;
  /** The header; empty: there is none. */
  contentType: string;
  /** The trace that the caller names. */
  trace?: TraceContext | undefined;
}

/** An answer whose body comes bit by bit, as text. */
export interface StreamedAnswer {
  status: 200;
  stream: ReadableStream<Uint8Array>;
}

/** A request that may go on; its body is read only now. */
export interface AdmittedRequest {
  /** The answer. @throws the reason of `signal`, which is aborted when the caller is gone */
  answer(body: Uint8Array, signal: AbortSignal): Promise<HttpAnswer | StreamedAnswer>;
}

/** A request for a terminal that may go on, over a connection that is both ways. */
export interface AdmittedTerminal {
  /** The terminal, or the answer instead of one. @throws the reason of the user's `signal` */
  terminal(user: Omit<TerminalUser, "caller">): Promise<HttpAnswer | OpenTerminal>;
}

export interface ResourceProxy {
  /** Lets a request go on, or answers it without its body. */
  admit(caller: ProxyCaller, head: ProxyHead): Promise<AdmittedRequest | AdmittedTerminal | HttpAnswer>;
  /** An answer to a request that the door refuses by itself. */
  refuse(code: number, message: string): HttpAnswer;
}
