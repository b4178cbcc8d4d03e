/** The listeners of agents' events that answer no request, and of agents' streams, wherever those agents are connected. */
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { AgentRequests, RequestTarget } from "../ports/requests.ts";

type Listener = (agent: string, event: AgentEvent) => void;
type Watcher = (agent: string, open: boolean) => void;

export class RequestListeners implements Pick<AgentRequests, "listen" | "onStream"> {
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #watchers = new Set<Watcher>();

  listen(target: RequestTarget, listener: Listener): () => void {
    const listeners = this.#listeners.get(target) ?? new Set();
    this.#listeners.set(target, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  onStream(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Hands on an event that answers no request. */
  unsolicited(agent: string, event: AgentEvent): void {
    for (const listener of this.#listeners.get(event.target) ?? []) listener(agent, event);
  }

  /** Tells that a stream has opened or ended. */
  streamChanged(agent: string, open: boolean): void {
    for (const watcher of this.#watchers) watcher(agent, open);
  }
}
