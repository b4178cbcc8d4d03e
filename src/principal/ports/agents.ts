/** How agents come in: what the wire's door asks of the principal, and what the principal does with an agent's stream. */
import type { AgentId } from "../../domain/agents/view.ts";
import type { Proof } from "../../domain/agents/identity.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { Sink } from "./stream.ts";
import type { Subject } from "./tokens.ts";

/** An agent that has proved who it is. */
export type Caller = AgentId;

/** One `EventStream/Subscribe` of an agent. */
export interface AgentStream extends Sink<AgentEvent> {
  /** Ends the stream; the agent comes back. */
  end(why: string): void;
  /** Stops and resumes reading. */
  pause(): void;
  resume(): void;
}

/** The events of an agent's stream. */
export interface AttachedStream {
  received(event: AgentEvent): void;
  drained(): void;
  closed(): void;
}

/** An agent's claims when it authenticates. */
export interface AgentRequest {
  mode: string;
  /** Its release. */
  version: string;
  /** Its namespace on its own cluster. */
  namespace: string;
}

/** The grant of an admitted agent. */
export interface Admitted {
  accessToken: string;
  refreshToken: string;
  version: string;
  principalNamespace: string;
}

/** The reason of a refused agent. */
export type NotAdmittedKind =
  | "unauthenticated"
  | "unknown mode"
  | "version missing"
  | "version mismatch"
  /** Not here, or not now. */
  | "unavailable";

/** A refused agent; the message is for the agent. */
export class NotAdmitted extends Error {
  constructor(readonly kind: NotAdmittedKind, message: string) {
    super(message);
  }
}

/** Lets agents in. Every call rejects with `NotAdmitted`. */
export interface Admission {
  /** Tokens for an agent that proves who it is. */
  authenticate(request: AgentRequest, prove: () => Promise<Proof> | Proof): Promise<Admitted>;
  /** The next tokens for a refresh token. `holds`: whether the connection may use a token about this subject. */
  refresh(
    token: string,
    holds: (subject: Subject) => Proof,
  ): Promise<Pick<Admitted, "accessToken" | "refreshToken">>;
  /** The agent that calls with an access token. */
  caller(token: string, holds: (subject: Subject) => Proof): Promise<Caller>;
  /** Takes over a stream of an agent. */
  attach(caller: Caller, stream: AgentStream): Promise<AttachedStream>;
  /** One event without a stream; whether it was carried out. */
  process(caller: Caller, event: AgentEvent): Promise<boolean>;
}
