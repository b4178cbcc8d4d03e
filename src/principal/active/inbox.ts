/**
 * What comes from one agent: understood, written to the store, and only then acknowledged. Events about one resource are carried out
 * in their order, those about others beside them. An event whose write failed is not acknowledged, and the agent sends it again;
 * one that asks for what it may not is acknowledged, for it would never be allowed.
 */
import { type Intent, interpret, targetLabel } from "../../domain/agents/inbound.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import { AgentWrites, NotAllowed } from "./agent_writes.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Fields } from "../../base/log.ts";
import type { AgentHost, Fleet } from "./fleet.ts";
import { Intake } from "./intake.ts";
import { reasonOf } from "../../base/reason.ts";

/** Resources of one agent written at a time. */
const CONCURRENT = 16;
const COMPLAIN_EVERY_MS = 1_000;

interface Waiting {
  /** What to acknowledge. */
  event?: AgentEvent;
  intent: Intent;
  bytes: number;
  /** How many acknowledgements of the agent had come before it. */
  heardAfter: number;
  /** Told instead of the agent's stream. */
  done?: (carriedOut: boolean) => void;
}

export class Inbox {
  readonly #queues = new Map<string, Waiting[]>();
  readonly #running = new Set<string>();
  readonly #writes: AgentWrites;
  readonly #intake = new Intake(() => this.host.stream);
  #complainedAt = -Infinity;
  #unsaid = 0;
  #stopped = false;
  #frozen = false;
  #waiters: (() => void)[] = [];

  constructor(private readonly host: AgentHost, private readonly fleet: Fleet) {
    this.#writes = new AgentWrites(host, fleet);
  }

  /** Events that are not carried out yet. */
  get waiting(): number {
    return this.#intake.waiting;
  }

  /** A new stream is read only where there is room. */
  connected(): void {
    this.#intake.connected();
    this.#writes.connected();
  }

  /** Takes an event from the stream. */
  received(event: AgentEvent): void {
    const { counters } = this.fleet.ctx;
    counters.increment("agentEventsReceived");
    if (event.target === "eventProcessed") {
      const key = this.host.session.acknowledged(event.extensions);
      if (key === undefined) this.#intake.spend();
      this.host.schedule();
      const open = key && this.#writes.open(key);
      if (open) this.#enqueue({ intent: open, bytes: 0, heardAfter: this.host.session.acknowledgements });
      return;
    }
    this.#intake.spend();
    this.#take(event);
  }

  /** Takes an event that came without a stream; whether it was carried out. */
  process(event: AgentEvent): Promise<boolean> {
    return new Promise((resolve) => this.#take(event, resolve));
  }

  #take(event: AgentEvent, done?: (carriedOut: boolean) => void): void {
    if (this.#stopped) return done?.(false);
    const { registry } = this.fleet.ctx;
    const agentNamespace = registry.namespaceOf(this.host.id.name);
    const { scope } = this.fleet.ctx.settings;
    const intent = interpret(event, this.host.id, { scope, agentNamespace });
    const bytes = event.payload?.length ?? 0;
    delete event.payload;
    const heardAfter = this.host.session.acknowledgements;
    this.#enqueue({ event, intent, bytes, heardAfter, ...(done ? { done } : {}) });
  }

  #enqueue(waiting: Waiting): void {
    const lane = laneOf(waiting.intent);
    const queue = this.#queues.get(lane) ?? [];
    queue.push(waiting);
    this.#queues.set(lane, queue);
    this.#intake.add(waiting.bytes);
    this.kick();
  }

  /** Begins nothing more until `thaw`; resolves when nothing is being written. */
  async freeze(): Promise<void> {
    this.#frozen = true;
    await this.#idle();
  }

  /** Goes on. */
  thaw(): void {
    this.#frozen = false;
    this.kick();
  }

  /** Goes on with what waits, as far as the agent takes its acknowledgements. */
  kick(): void {
    for (const lane of this.#queues.keys()) {
      if (this.#stopped || this.#frozen || this.#running.size >= CONCURRENT || this.host.session.congested) {
        return;
      }
      if (!this.#running.has(lane)) void this.#run(lane);
    }
  }

  /** Begins nothing more; resolves when nothing is being written. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const queue of this.#queues.values()) for (const { done } of queue) done?.(false);
    await this.#idle();
  }

  /** Resolves when nothing is being written. */
  async #idle(): Promise<void> {
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  async #run(lane: string): Promise<void> {
    const next = this.#queues.get(lane)?.shift();
    if (!next) {
      this.#queues.delete(lane);
      return;
    }
    this.#running.add(lane);
    await this.#handle(next);
    this.#running.delete(lane);
    if (this.#queues.get(lane)?.length === 0) this.#queues.delete(lane);
    this.#intake.remove(next.bytes);
    if (this.#running.size === 0) { for (const resolve of this.#waiters.splice(0)) resolve(); }
    this.kick();
  }

  async #handle({ event, intent, heardAfter, done }: Waiting): Promise<void> {
    const { counters } = this.fleet.ctx;
    const { type = intent.do, target = "application" } = event ?? {};
    const facts = { agent: this.host.id.name, type: type.slice(0, 64), target: targetLabel(target) };
    const startedAt = performance.now();
    let status: "success" | "failure" | "not-allowed" = "success";
    try {
      await this.#writes.carryOut(intent, heardAfter);
    } catch (error) {
      status = error instanceof NotAllowed ? "not-allowed" : "failure";
      counters.increment("agentErrors", { resource_type: facts.target });
      this.#complain(`event of an agent ${status === "failure" ? "failed; it will come again" : "refused"}`, {
        ...facts,
        reason: reasonOf(error).slice(0, 500),
      });
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    this.fleet.ctx.processing.observe({ status, agent: facts.agent, target: facts.target, seconds });
    if (done) return done(status === "success");
    if (status === "failure") return;
    if (event) this.host.session.acknowledge(event);
    this.host.schedule();
  }

  /** At most one line a second about an agent; how many were left out is said with the next. */
  #complain(message: string, facts: Fields): void {
    const now = monotonicMs();
    if (now - this.#complainedAt < COMPLAIN_EVERY_MS) {
      this.#unsaid++;
      return;
    }
    this.fleet.ctx.log.warn(message, { ...facts, ...(this.#unsaid > 0 ? { others: this.#unsaid } : {}) });
    this.#complainedAt = now;
    this.#unsaid = 0;
  }
}

/** Events of one lane are carried out in their order. */
function laneOf(intent: Intent): string {
  if ("key" in intent) return intent.key;
  if ("resource" in intent) return intent.resource.key;
  return intent.do;
}
