/**
 * Requests that an agent answers with a call of its own, a log or a terminal, each until it is over. A session belongs to the agent that was
 * asked: a call of another one finds no such request.
 */
import { reasonOf } from "../../base/reason.ts";
import { failure, type HttpAnswer } from "../../domain/proxy/status.ts";
import type { AgentLanes, AgentRequest, Patience } from "../ports/requests.ts";
import { RETRY_S } from "./request_failure.ts";

/** A session as far as the request goes. */
export interface AskedSession {
  /** Whether the agent has opened a call. */
  readonly called: boolean;
  /** The agent has acknowledged the request. */
  acknowledged(): void;
  /** The request did not reach the agent. */
  unreached(why: string): void;
}

export interface SessionBounds {
  ofAgent: number;
  inAll: number;
  /** For people: `logs`. */
  what: string;
}

export class AskedSessions<Session extends AskedSession> {
  readonly #sessions = new Map<string, { agent: string; session: Session }>();

  constructor(
    private readonly requests: Pick<AgentLanes, "tell">,
    private readonly bounds: SessionBounds,
  ) {}

  get size(): number {
    return this.#sessions.size;
  }

  /** The answer where there is no room for another one; undefined: there is. */
  full(agent: string): HttpAnswer | undefined {
    const { ofAgent, inAll, what } = this.bounds;
    const open = [...this.#sessions.values()].filter((one) => one.agent === agent).length;
    if (this.#sessions.size < inAll && open < ofAgent) return undefined;
    const message = `${open} ${what} of agent "${agent}" are open, and ${this.#sessions.size} of all`;
    return failure(429, message, { retryAfterS: RETRY_S });
  }

  /** The session of a request to this agent. */
  of(agent: string, request: string): Session | undefined {
    const found = this.#sessions.get(request);
    return found?.agent === agent ? found.session : undefined;
  }

  add(agent: string, id: string, session: Session): void {
    this.#sessions.set(id, { agent, session });
  }

  remove(id: string): void {
    this.#sessions.delete(id);
  }

  /** Asks the agent; rejects where the request does not reach it, and else stays pending. */
  ask(agent: string, request: AgentRequest, session: Session, patience: Patience): Promise<never> {
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.requests.tell(agent, request, patience).then(
      () => session.acknowledged(),
      (error) => {
        // A call that is open needs no acknowledgement.
        if (session.called) return;
        session.unreached(reasonOf(error));
        reject(error);
      },
    );
    return promise;
  }
}
