/** The requests to agents in whatever role this principal has: its own agents' lanes while it is ACTIVE, the link to the ACTIVE otherwise. */
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { Mode } from "../../domain/resources/roster.ts";
import type { AgentRequest, AgentRequests, Answering, RequestTarget } from "../ports/requests.ts";

export class CurrentRequests implements AgentRequests {
  constructor(
    private readonly isActive: () => boolean,
    private readonly own: AgentRequests,
    private readonly forwarded: AgentRequests,
  ) {}

  connected(agent: string): Mode | undefined {
    return this.#current.connected(agent);
  }

  agents(): ReturnType<AgentRequests["agents"]> {
    return this.#current.agents();
  }

  ask(agent: string, request: AgentRequest, options: Answering): Promise<AgentEvent> {
    return this.#current.ask(agent, request, options);
  }

  listen(target: RequestTarget, listener: (agent: string, event: AgentEvent) => void): () => void {
    return both(this.own.listen(target, listener), this.forwarded.listen(target, listener));
  }

  onStream(listener: (agent: string, open: boolean) => void): () => void {
    return both(this.own.onStream(listener), this.forwarded.onStream(listener));
  }

  get #current(): AgentRequests {
    return this.isActive() ? this.own : this.forwarded;
  }
}

function both(one: () => void, other: () => void): () => void {
  return () => {
    one();
    other();
  };
}
