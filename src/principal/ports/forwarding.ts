/**
 * The requests of a replica's UI on their way to the ACTIVE's agents: one stream between the two sides, many calls. Both ends speak in the
 * values of `AgentRequests`, so that a proxy does not know whether its agents are connected here or there.
 */
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { TraceContext } from "../../domain/events/trace.ts";
import type { Mode } from "../../domain/resources/roster.ts";
import type { RequestFailureKind, RequestTarget } from "./requests.ts";

/** From the replica. `call` numbers the calls of one stream. */
export type ForwardedRequest =
  | {
    do: "ask";
    call: number;
    agent: string;
    target: RequestTarget;
    type: string;
    id: string;
    payload: Uint8Array;
    timeoutMs: number;
    /** Undefined: an answer may follow until the time is up. */
    afterAckMs: number | undefined;
    /** The trace that it belongs to. */
    trace?: TraceContext | undefined;
  }
  /** Nobody waits for the call any more. */
  | { do: "withdraw"; call: number };

/** From the ACTIVE. */
export type ForwardedReply =
  | { say: "answer"; call: number; event: AgentEvent }
  | { say: "failure"; call: number; kind: RequestFailureKind; message: string; sent: boolean }
  /** An event that follows an answered request. */
  | { say: "event"; agent: string; event: AgentEvent }
  /** An agent has a stream in this mode; undefined: it has none any more. */
  | { say: "stream"; agent: string; mode: Mode | undefined };
