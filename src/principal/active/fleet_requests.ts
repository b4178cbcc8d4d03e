/** The way to the lane of each agent, and from the lanes to those who listen. It outlives streams and roles; the lanes do not. */
import type { Mode } from "../../domain/resources/roster.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import {
  type AgentRequest,
  type AgentRequests,
  type Answering,
  type Patience,
  RequestFailed,
  type RequestTarget,
} from "../ports/requests.ts";
import { notConnected, type RequestLane } from "./request_lane.ts";

/** An agent that may have a stream. */
interface Reachable {
  readonly id: { readonly mode: Mode };
  readonly stream: unknown;
  readonly requests: RequestLane;
}

type Listener = (agent: string, event: AgentEvent) => void;

export class FleetRequests implements AgentRequests {
  readonly #listeners = new Map<string, Set<Listener>>();
  readonly #watchers = new Set<(agent: string, open: boolean) => void>();

  constructor(
    private readonly reachable: ReadonlyMap<string, Reachable>,
    private readonly serves: () => boolean,
  ) {}

  connected(agent: string): Mode | undefined {
    const reachable = this.reachable.get(agent);
    return reachable?.stream ? reachable.id.mode : undefined;
  }

  *agents(): Generator<[string, Mode]> {
    for (const [name, { id, stream }] of this.reachable) if (stream) yield [name, id.mode];
  }

  async ask(agent: string, request: AgentRequest, options: Answering): Promise<AgentEvent> {
    return await this.#laneOf(agent).ask(request, options);
  }

  async tell(agent: string, request: AgentRequest, options: Patience): Promise<void> {
    await this.#laneOf(agent).tell(request, options);
  }

  listen(target: RequestTarget, listener: Listener): () => void {
    const listeners = this.#listeners.get(target) ?? new Set();
    this.#listeners.set(target, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  onStream(listener: (agent: string, open: boolean) => void): () => void {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** Hands on an event that answers no request. */
  unsolicited(agent: string, event: AgentEvent): void {
    for (const listener of this.#listeners.get(event.target) ?? []) listener(agent, event);
  }

  /** Tells that a stream has opened or ended. */
  streamChanged(agent: string, open: boolean): void {
    for (const listener of this.#watchers) listener(agent, open);
  }

  /** @throws RequestFailed */
  #laneOf(agent: string): RequestLane {
    const reachable = this.reachable.get(agent);
    if (reachable) return reachable.requests;
    if (this.serves()) throw notConnected(agent);
    throw new RequestFailed("not active", "this principal is not ACTIVE and has no agents", false);
  }
}
