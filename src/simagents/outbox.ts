/**
 * A simulated agent's deliveries, as the Go agent's: per resource in order, one at a time, resent until acknowledged; older
 * updates of a resource that were not sent yet give way to newer ones.
 */
import type { AgentEvent } from "../domain/events/cloudevent.ts";

const RESEND_MS = 5_000;
const COALESCED = ["spec-update", "status-update"];

interface Sent {
  event: AgentEvent;
  dueMs: number;
}

export class Outbox {
  readonly #unsent = new Map<string, AgentEvent[]>();
  readonly #sent = new Map<string, Sent>();

  /** Events that are not acknowledged. */
  get pending(): number {
    return this.#sent.size + [...this.#unsent.values()].reduce((sum, list) => sum + list.length, 0);
  }

  add(event: AgentEvent): void {
    const id = event.extensions.resourceid ?? "";
    const before = this.#unsent.get(id) ?? [];
    if (event.type === "delete") this.#sent.delete(id);
    const kept = event.type === "delete"
      ? []
      : before.filter(({ type }) => type !== event.type || !COALESCED.includes(type));
    this.#unsent.set(id, [...kept, event]);
  }

  acknowledged({ resourceid = "", eventid = "" }: AgentEvent["extensions"]): void {
    if (this.#sent.get(resourceid)?.event.extensions.eventid === eventid) this.#sent.delete(resourceid);
  }

  /** Everything that is on the way is due now. */
  reconnected(): void {
    for (const sent of this.#sent.values()) sent.dueMs = 0;
  }

  /** The events to send now. */
  *due(nowMs: number): Generator<AgentEvent> {
    for (const sent of this.#sent.values()) {
      if (sent.dueMs > nowMs) continue;
      sent.dueMs = nowMs + RESEND_MS;
      yield sent.event;
    }
    for (const [id, list] of this.#unsent) {
      if (this.#sent.has(id)) continue;
      const event = list.shift();
      if (list.length === 0) this.#unsent.delete(id);
      if (!event) continue;
      this.#sent.set(id, { event, dueMs: nowMs + RESEND_MS });
      yield event;
    }
  }
}
