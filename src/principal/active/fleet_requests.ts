/** The way to the lane of each agent, and from the lanes to those who listen. It outlives streams and roles; the lanes do not. */
import type { Mode } from "../../domain/resources/roster.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import {
  type AgentLanes,
  type AgentRequest,
  type Answering,
  type Patience,
  RequestFailed,
} from "../ports/requests.ts";
import { spanned, type Tracing } from "../ports/tracing.ts";
import { RequestListeners } from "../core/request_listeners.ts";
import { notConnected, type RequestLane } from "./request_lane.ts";

/** An agent that may have a stream. */
interface Reachable {
  readonly id: { readonly mode: Mode };
  readonly stream: unknown;
  readonly requests: RequestLane;
}

export class FleetRequests extends RequestListeners implements AgentLanes {
  constructor(
    private readonly reachable: ReadonlyMap<string, Reachable>,
    private readonly serves: () => boolean,
    private readonly tracing: Tracing,
  ) {
    super();
  }

  connected(agent: string): Mode | undefined {
    const reachable = this.reachable.get(agent);
    return reachable?.stream ? reachable.id.mode : undefined;
  }

  *agents(): Generator<[string, Mode]> {
    for (const [name, { id, stream }] of this.reachable) if (stream) yield [name, id.mode];
  }

  async ask(agent: string, request: AgentRequest, options: Answering): Promise<AgentEvent> {
    return await this.#traced(agent, request, () => this.#laneOf(agent).ask(request, options));
  }

  async tell(agent: string, request: AgentRequest, options: Patience): Promise<void> {
    await this.#traced(agent, request, () => this.#laneOf(agent).tell(request, options));
  }

  #traced<T>(agent: string, { target, type, id }: AgentRequest, act: () => Promise<T>): Promise<T> {
    const attributes = {
      "argocd.agent.name": agent,
      "argocd.event.target": target,
      "argocd.event.type": type,
      "argocd.event.id": id,
    };
    // A request that finds no lane fails in its span too.
    return spanned(
      this.tracing,
      `${target}.${type}`,
      { kind: "client", attributes },
      async () => await act(),
    );
  }

  /** @throws RequestFailed */
  #laneOf(agent: string): RequestLane {
    const reachable = this.reachable.get(agent);
    if (reachable) return reachable.requests;
    if (this.serves()) throw notConnected(agent);
    throw new RequestFailed("not active", "this principal is not ACTIVE and has no agents", false);
  }
}
