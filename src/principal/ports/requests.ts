/** Requests to one agent and their answers: what a person's UI asks for now, and nothing that is kept. */
import type { Mode } from "../../domain/resources/roster.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";

/** Whom a request reaches on the agent's side: the `dataschema` of its event. */
export const REQUEST_TARGETS = ["redis", "terminal", "containerlog", "resource"] as const;
export type RequestTarget = typeof REQUEST_TARGETS[number];

/** A request: an event whose resource id and event id are the same UUID, in `id`. */
export interface AgentRequest {
  target: RequestTarget;
  /** The event's type: a bare HTTP method (`resource`, `containerlog`), or a name (`redis-request`). */
  type: string;
  /** A UUID that no other request has; the payload names it as well. */
  id: string;
  /** JSON text. */
  payload: Uint8Array;
}

/** How long a request is worth its answer. */
export interface Patience {
  /** From now to the answer, the time in the queue included. */
  timeoutMs: number;
  /** Aborted when the asker is gone. */
  signal?: AbortSignal;
}

/** How an answer is recognised. */
export interface Answering extends Patience {
  /** For how long an answer may follow the acknowledgement of the request; absent: until `timeoutMs`. */
  afterAckMs?: number;
}

/** Why a request has no answer. */
export const REQUEST_FAILURES = [
  /** The agent has no stream here. */
  "not connected",
  /** This principal serves no agents, and follows none that does. */
  "not active",
  /** Too many requests wait for this agent. */
  "busy",
  /** No answer came in time. */
  "no answer",
  /** The agent has acknowledged the request and does not answer it. */
  "unanswered",
  /** The agent's stream ended. */
  "left",
] as const;
export type RequestFailureKind = typeof REQUEST_FAILURES[number];

/** A request without an answer; the message names the agent. */
export class RequestFailed extends Error {
  /** @param sent whether the agent may have carried the request out */
  constructor(readonly kind: RequestFailureKind, message: string, readonly sent: boolean) {
    super(message);
  }
}

/**
 * The lane of requests. A request is sent at most once, behind the events that agents live from; it is neither stored nor replicated,
 * and ends with the stream that it was sent over.
 */
export interface AgentRequests {
  /** The mode of an agent that has a stream here; undefined: it has none. */
  connected(agent: string): Mode | undefined;
  /** Every agent that has one. */
  agents(): Iterable<readonly [name: string, mode: Mode]>;
  /** Resolves with the agent's answer. @throws RequestFailed @throws the reason of `signal` */
  ask(agent: string, request: AgentRequest, options: Answering): Promise<AgentEvent>;
  /** Hears the events of a target that answer no request; returns how to stop. */
  listen(target: RequestTarget, listener: (agent: string, event: AgentEvent) => void): () => void;
  /** Hears that an agent's stream has opened or ended; returns how to stop. */
  onStream(listener: (agent: string, open: boolean) => void): () => void;
}

/** The lanes of the agents that have their streams here. */
export interface AgentLanes extends AgentRequests {
  /** Resolves when the agent has acknowledged a request that no event answers. @throws as `ask` */
  tell(agent: string, request: AgentRequest, options: Patience): Promise<void>;
}
