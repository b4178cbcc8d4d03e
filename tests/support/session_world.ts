/** Resources as a principal has them, and one agent's session over them. */
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import { AgentSession } from "../../src/domain/agents/session.ts";
import type { AgentId, AgentView } from "../../src/domain/agents/view.ts";

export const MANAGED: AgentId = { name: "edge-1", mode: "managed" };
export const AUTONOMOUS: AgentId = { name: "auto-1", mode: "autonomous" };

export class World {
  readonly views = new Map<string, AgentView>();
  /** Deletions that must wait. */
  readonly waiting = new Set<string>();
  readonly session: AgentSession;
  #id = 0;

  constructor(agent: AgentId = MANAGED) {
    this.session = new AgentSession(agent, {
      look: (key) => this.views.get(key),
      mayDelete: (key) => !this.waiting.has(key),
      id: () => `id-${++this.#id}`,
      principalUid: "principal",
      sha256: (text) => text,
    });
  }

  set(name: string, what: Partial<AgentView> = {}): void {
    const before = this.views.get(name);
    const body = { apiVersion: "v1", kind: "Application", metadata: { name, uid: `uid-${name}` } };
    const view: AgentView = {
      target: "application",
      kind: "Application",
      namespace: "edge-1",
      name,
      uid: `uid-${name}`,
      state: "1",
      deletion: "",
      operation: "",
      terminating: false,
      source: undefined,
      checksum: "",
      ...before,
      ...what,
      body: { ...body, spec: { state: what.state ?? before?.state ?? "1" } },
      withOperation: { ...body, operation: what.operation ?? before?.operation },
    };
    this.views.set(name, view);
    this.session.touch(name);
  }

  remove(name: string): void {
    this.views.delete(name);
    this.session.touch(name);
  }

  drain(now = 0): AgentEvent[] {
    const events: AgentEvent[] = [];
    for (let event = this.session.next(now, 0); event; event = this.session.next(now, 0)) events.push(event);
    return events;
  }

  ack(event: AgentEvent | undefined): boolean {
    return event !== undefined && this.session.acknowledged(event.extensions) !== undefined;
  }
}

export const types = (events: AgentEvent[]) => events.map(({ type }) => type);
