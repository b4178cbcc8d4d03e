/** One agent of the fleet: its session, its inbox and, while it is connected, its stream. */
import { monotonicMs } from "../../base/clock.ts";
import { sha256 } from "../../base/sha256.ts";
import { AgentSession } from "../../domain/agents/session.ts";
import type { AgentId } from "../../domain/agents/view.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { AgentStream } from "../ports/agents.ts";
import type { RequestFailureKind } from "../ports/requests.ts";
import { AgentDeletions, type AgentDeletionsParts } from "./agent_deletions.ts";
import { Deliveries, type DeliveriesParts } from "./deliveries.ts";
import { Inbox, type InboxParts } from "./inbox.ts";
import { Outlet } from "./outlet.ts";
import { RequestLane } from "./request_lane.ts";

/** Events sent before other work gets its turn. */
const BATCH = 200;

/** The part of the principal that a served agent needs. */
export interface ServedAgentParts extends InboxParts, AgentDeletionsParts, DeliveriesParts {
  readonly traces: InboxParts["traces"] & DeliveriesParts["traces"];
  readonly settings: InboxParts["settings"] & AgentDeletionsParts["settings"];
  /** The principal's identity. */
  readonly uid: string;
  /** Hands on an event of the lane of requests that answers none. */
  unsolicited(agent: string, event: AgentEvent): void;
  /** Tells that a stream of an agent has opened or ended. */
  onStream(agent: string, open: boolean): void;
}

export class ServedAgent {
  readonly session: AgentSession;
  readonly inbox: Inbox;
  readonly deletions: AgentDeletions;
  readonly requests: RequestLane;
  readonly #deliveries: Deliveries;
  #stream: AgentStream | undefined;
  #outlet: Outlet<AgentEvent> | undefined;
  /** When its last stream opened, in unix ms. */
  connectedAtMs = 0;

  constructor(readonly id: AgentId, private readonly parts: ServedAgentParts) {
    this.session = new AgentSession(id, {
      look: (key) => parts.view(id, key),
      mayDelete: (key) => this.deletions.mayDelete(key),
      id: () => crypto.randomUUID(),
      principalUid: parts.uid,
      sha256: (text) => sha256(text, "base64"),
    });
    this.inbox = new Inbox(this, parts);
    this.deletions = new AgentDeletions(this, parts);
    this.#deliveries = new Deliveries(id, parts);
    this.requests = new RequestLane({
      agent: id.name,
      tracing: parts.tracing,
      schedule: () => this.schedule(),
      congested: () => this.session.congested,
      acknowledge: (event) => this.session.acknowledge(event),
      unasked: () => this.inbox.unasked(),
      unsolicited: (event) => parts.unsolicited(id.name, event),
    });
  }

  /** Its open stream; undefined: it is not connected. */
  get stream(): AgentStream | undefined {
    return this.#stream;
  }

  /** Takes over a stream, in place of an earlier one. */
  connect(stream: AgentStream): void {
    const why = "another stream of this agent has taken its place";
    this.detach("left", why)?.end(why);
    this.#stream = stream;
    this.connectedAtMs = Date.now();
    this.#outlet = new Outlet({
      sink: { send: (event) => this.#send(stream, event) },
      next: () => this.session.next(monotonicMs(), Math.random()) ?? this.requests.next(),
      batch: BATCH,
      idle: () => this.inbox.kick(),
    });
    this.inbox.connected();
    this.session.connected();
    this.requests.open();
    this.schedule();
    this.parts.onStream(this.id.name, true);
  }

  /** Lets go of the stream, over which nothing more passes; the caller ends it. Its requests fail with `why`. */
  detach(kind: RequestFailureKind, why: string): AgentStream | undefined {
    const stream = this.#stream;
    if (!stream) return undefined;
    if (this.#outlet?.writable === false) {
      const reason = kind === "left" ? "transport-closing" : "context-canceled";
      this.parts.counters.increment("agentSendErrors", { agent_name: this.id.name, reason });
    }
    this.#outlet?.close();
    this.#deliveries.ended(why);
    this.#stream = undefined;
    this.#outlet = undefined;
    this.requests.end(kind, `agent "${this.id.name}" did not answer: ${why}`);
    this.parts.onStream(this.id.name, false);
    return stream;
  }

  /** Takes an event from the stream. */
  received(event: AgentEvent): void {
    this.parts.counters.increment("agentEventsReceived");
    const { target, extensions: { eventid = "" } } = event;
    if (target === "eventProcessed") this.#deliveries.acknowledged(eventid);
    if (!this.requests.received(event)) this.inbox.received(event);
  }

  /** Call when the stream takes more. */
  drained(): void {
    this.#outlet?.drained();
  }

  /** Call when there may be something to send. */
  schedule(): void {
    this.#outlet?.kick();
  }

  /** Call now and then: makes due what is not acknowledged in time, and decides about gathered deletions. */
  tick(nowMs: number): void {
    this.deletions.tick(nowMs);
    if (this.#stream && this.session.expire(nowMs)) this.schedule();
  }

  #send(stream: AgentStream, event: AgentEvent): boolean {
    const { target, extensions } = event;
    if (target !== "eventProcessed") {
      extensions.sentat = new Date().toISOString();
      this.#deliveries.sending(event, this.session.keyOf(extensions.eventid ?? ""));
    }
    this.parts.counters.increment("agentEventsSent");
    return stream.send(event);
  }
}
