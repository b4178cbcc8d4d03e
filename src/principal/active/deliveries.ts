/**
 * The events on their way to one agent, as spans: each continues the change that it carries, links the changes that it replaces, and lasts
 * until the agent has acknowledged it. The agent's own span continues it in turn.
 */
import { Newest } from "../../base/newest.ts";
import type { AgentId } from "../../domain/agents/view.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { ChangeTraces } from "../core/change_traces.ts";
import { eventAttributes, type Span, type Tracing } from "../ports/tracing.ts";

/** Keys of which it is known what the agent was sent. */
const MAX_KEYS = 10_000;

/** The part of the principal that deliveries need. */
export interface DeliveriesParts {
  readonly tracing: Tracing;
  readonly traces: Pick<ChangeTraces, "of">;
}

export class Deliveries {
  readonly #open = new Map<string, { key: Key; span: Span }>();
  /** The event of each key. */
  readonly #events = new Map<Key, string>();
  /** The revision that was sent last. */
  readonly #sent = new Newest<Key, number>(MAX_KEYS);

  constructor(private readonly agent: AgentId, private readonly parts: DeliveriesParts) {}

  /** Lets an event that is about to be sent carry its trace. @param key the resource that it is about; undefined: none */
  sending(event: AgentEvent, key: Key | undefined): void {
    if (key === undefined || !this.parts.tracing.on) return;
    const { eventid = "" } = event.extensions;
    const before = this.#open.get(eventid)?.span;
    before?.note("sent again");
    const span = before ?? this.#begun(event, eventid, key);
    if (span?.trace) Object.assign(event.extensions, span.trace);
  }

  /** The agent has acknowledged an event. */
  acknowledged(eventid: string): void {
    this.#end(eventid);
  }

  /** The agent's stream is over. */
  ended(why: string): void {
    for (const eventid of [...this.#open.keys()]) this.#end(eventid, `not acknowledged: ${why}`);
  }

  #begun(event: AgentEvent, eventid: string, key: Key): Span | undefined {
    const { tracing, traces } = this.parts;
    this.#end(this.#events.get(key) ?? "", "not acknowledged: a later event took its place");
    const change = traces.of(key, this.#sent.get(key));
    if (!change) return undefined;
    const span = tracing.begin(`send ${event.target}.${event.type}`, change.trace, {
      kind: "producer",
      links: change.earlier,
      attributes: eventAttributes(this.agent, event),
    });
    this.#sent.set(key, change.revision);
    this.#events.set(key, eventid);
    this.#open.set(eventid, { key, span });
    return span;
  }

  #end(eventid: string, problem?: string): void {
    const delivery = this.#open.get(eventid);
    if (!delivery) return;
    this.#open.delete(eventid);
    this.#events.delete(delivery.key);
    delivery.span.end(problem);
  }
}
