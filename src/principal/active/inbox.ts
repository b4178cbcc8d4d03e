/**
 * The events of one agent: understood, written to the store, and only then acknowledged. Events about one resource are carried out
 * in their order, those about others beside them. An event whose write failed is not acknowledged, and the agent retries it; an event
 * that asks for what the agent may not do is acknowledged, for it would never be allowed.
 */
import { type Intent, interpret, targetLabel } from "../../domain/agents/inbound.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Fields, Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import { traceOf } from "../../domain/events/trace.ts";
import type { ChangeTraces } from "../core/change_traces.ts";
import type { Counting } from "../core/counters.ts";
import { UnfitObject } from "../ports/store.ts";
import type { Processing } from "../ports/telemetry.ts";
import { eventAttributes, type Tracing } from "../ports/tracing.ts";
import {
  AgentWrites,
  type AgentWritesParts,
  NotAllowed,
  OverQuota,
  type WritingAgent,
} from "./agent_writes.ts";
import { Intake, type Readable } from "./intake.ts";
import { SaidOnce } from "../core/said_once.ts";

/** Resources of one agent written at a time. */
const CONCURRENT = 16;
/** Of a name that an agent made up so much is shown. */
const MAX_CLAIMED = 200;

interface Waiting {
  /** The event to acknowledge. */
  event?: AgentEvent;
  intent: Intent;
  bytes: number;
  /** How many acknowledgements of the agent had come before it. */
  heardAfter: number;
  /** Told instead of the agent's stream. */
  done?: (carriedOut: boolean) => void;
}

/** The agent whose events these are. */
interface SendingAgent extends WritingAgent {
  /** The stream that is read now. */
  readonly stream: Readable | undefined;
}

/** The part of the principal that an inbox needs. */
export interface InboxParts extends AgentWritesParts {
  readonly log: Log;
  readonly counters: Counting;
  readonly processing: Processing;
  readonly tracing: Tracing;
  readonly traces: Pick<ChangeTraces, "causing">;
  /** An agent's namespace on its own cluster; empty: it has not said. */
  namespaceOf(agent: string): string;
}

export class Inbox {
  readonly #queues = new Map<string, Waiting[]>();
  readonly #running = new Set<string>();
  readonly #writes: AgentWrites;
  readonly #intake = new Intake(() => this.agent.stream);
  readonly #lines = new SaidOnce();
  #stopped = false;
  #frozen = false;
  #waiters: (() => void)[] = [];

  constructor(private readonly agent: SendingAgent, private readonly parts: InboxParts) {
    this.#writes = new AgentWrites(agent, parts);
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

  /** An event came that the agent was not asked for. */
  unasked(): void {
    this.#intake.spend();
  }

  /** Takes an event from the stream. */
  received(event: AgentEvent): void {
    if (event.target === "eventProcessed") {
      const key = this.agent.session.acknowledged(event.extensions);
      if (key === undefined) this.#intake.spend();
      this.agent.schedule();
      const open = key && this.#writes.open(key);
      if (open) this.#enqueue({ intent: open, bytes: 0, heardAfter: this.agent.session.acknowledgements });
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
    const { id } = this.agent;
    const { scope } = this.parts.settings;
    const intent = interpret(event, id, { scope, agentNamespace: this.parts.namespaceOf(id.name) });
    const bytes = event.payload?.length ?? 0;
    delete event.payload;
    const heardAfter = this.agent.session.acknowledgements;
    this.#enqueue({ event, intent, bytes, heardAfter, ...(done ? { done } : {}) });
  }

  #enqueue(waiting: Waiting): void {
    const subject = subjectOf(waiting.intent);
    const queue = this.#queues.get(subject) ?? [];
    queue.push(waiting);
    this.#queues.set(subject, queue);
    this.#intake.add(waiting.bytes);
    this.kick();
  }

  /** Begins nothing more until `thaw`; resolves when nothing is being written. */
  async freeze(): Promise<void> {
    this.#frozen = true;
    await this.#idle();
  }

  /** Resumes. */
  thaw(): void {
    this.#frozen = false;
    this.kick();
  }

  /** Resumes with the events that wait, as far as the agent reads its acknowledgements. */
  kick(): void {
    for (const subject of this.#queues.keys()) {
      if (this.#stopped || this.#frozen || this.#running.size >= CONCURRENT || this.agent.session.congested) {
        return;
      }
      if (!this.#running.has(subject)) void this.#run(subject);
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

  async #run(subject: string): Promise<void> {
    const next = this.#queues.get(subject)?.shift();
    if (!next) {
      this.#queues.delete(subject);
      return;
    }
    this.#running.add(subject);
    await this.#handle(next);
    this.#running.delete(subject);
    if (this.#queues.get(subject)?.length === 0) this.#queues.delete(subject);
    this.#intake.remove(next.bytes);
    if (this.#running.size === 0) { for (const resolve of this.#waiters.splice(0)) resolve(); }
    this.kick();
  }

  async #handle(waiting: Waiting): Promise<void> {
    const { event, intent, done } = waiting;
    const { counters, processing } = this.parts;
    const { type = intent.do, target = "application" } = event ?? {};
    const key = "key" in intent ? intent.key : event ? claimedKey(event) : intent.do;
    const facts = { agent: this.agent.id.name, type: type.slice(0, 64), target: targetLabel(target) };
    const startedAt = monotonicMs();
    let status: "success" | "failure" | "not-allowed" = "success";
    try {
      await this.#carryOut(waiting, key, `${facts.target}.${facts.type}`);
    } catch (error) {
      status = error instanceof NotAllowed || error instanceof UnfitObject ? "not-allowed" : "failure";
      counters.increment("agentErrors", { resource_type: facts.target });
      const fate = status === "failure" ? "failed; the agent will resend it" : "refused";
      const reason = reasonOf(error).slice(0, 500);
      if (!(error instanceof OverQuota)) {
        this.#complain(`event of an agent ${fate}`, key, { ...facts, key, reason });
      }
    }
    const seconds = (monotonicMs() - startedAt) / 1_000;
    processing.observe({ status, agent: facts.agent, target: facts.target, seconds });
    if (done) return done(status === "success");
    if (status === "failure") return;
    if (event) this.agent.session.acknowledge(event);
    this.agent.schedule();
  }

  /** Carries an event out in a span that continues the agent's; what the store tells of its key meanwhile continues this one. */
  async #carryOut({ event, intent, heardAfter }: Waiting, key: string, name: string): Promise<void> {
    const { tracing, traces } = this.parts;
    if (!event || !tracing.on) return await this.#writes.carryOut(intent, heardAfter);
    const attributes = eventAttributes(this.agent.id, event);
    const span = tracing.begin(name, traceOf(event.extensions), { kind: "consumer", attributes });
    const written = traces.causing(key, span.trace);
    try {
      await this.#writes.carryOut(intent, heardAfter);
      span.end();
    } catch (error) {
      span.end(reasonOf(error));
      throw error;
    } finally {
      written();
    }
  }

  #complain(message: string, key: string, facts: Fields): void {
    const leftOut = this.#lines.due(`${key} ${message}`, monotonicMs());
    if (leftOut) this.parts.log.warn(message, { event: "agent_event_failed", ...facts, ...leftOut });
  }
}

/** Events about one subject are carried out in their order. */
function subjectOf(intent: Intent): string {
  if ("key" in intent) return intent.key;
  if ("resource" in intent) return intent.resource.key;
  return intent.do;
}

/** A name for what an event was about, where it is not known what that is. */
function claimedKey({ target, subject, extensions }: AgentEvent): string {
  return `${targetLabel(target)} ${subject ?? extensions.resourceid ?? ""}`.trim().slice(0, MAX_CLAIMED);
}
