/**
 * One agent's deliveries: its last known state of each key, and the keys that may be stale there. An event is the step from the last
 * known state to the desired state; so no queue overflows, and a key that changed ten times is sent once. Acknowledgements go first,
 * resync messages last. Invariants: one event of a key is in flight, only its own acknowledgement counts, its retries hold up no other.
 */
import type { AgentEvent } from "../events/cloudevent.ts";
import type { Key } from "../resources/keys.ts";
import { type BackoffPolicy, delayMs } from "../../base/backoff.ts";
import { listChecksum, type Listed, type Sha256 } from "./checksum.ts";
import {
  DELETING,
  type Identity,
  identityOf,
  isUnknown,
  type LastKnown,
  type Step,
  stepFor,
  unknown,
} from "./step.ts";
import type { AgentId, AgentView } from "./view.ts";

/** Retries: 5 s to 2 min × 4, as in the Go principal. */
export const RESEND: BackoffPolicy = { firstMs: 10_000, maxMs: 240_000, factor: 4 };
/** Events in flight at a time. Retries do not count, so an agent that never acknowledges them still gets everything else. */
const WINDOW = 256;
/** Acknowledgements that a slow agent has not read; beyond that, no more of its events are processed. */
export const MAX_ACKS = 1_000;
/** Resources remembered that only the agent speaks of; a message about one more has to be retried by the agent. */
const MAX_AGENT_ONLY = 10_000;
const MAX_MESSAGES = 10_000;

/** The surroundings of a session. */
export interface SessionWorld {
  look(key: Key): AgentView | undefined;
  /** Whether the agent may be told now to delete this; otherwise it is looked at again after `touch`. */
  mayDelete(key: Key): boolean;
  /** A text that no other call returns. */
  id(): string;
  /** The identity of this principal. */
  principalUid: string;
  sha256: Sha256;
}

/** A message of the resync protocol. */
interface ResyncMessage {
  type: string;
  payload: unknown;
}

/** One event in flight. */
interface Flight {
  step: Step;
  resourceid: string;
  eventid: string;
  attempts: number;
  dueMs: number;
  /** Due for a retry. */
  overdue: boolean;
  /** The key changed meanwhile. */
  stale: boolean;
}

/** An agent's report that it no longer has a resource. */
export interface DeletionReport {
  /** Of which identity; empty: not known. */
  uid?: string;
  /** How many acknowledgements of the agent had come when it did. */
  heardAfter?: number;
}

const encoder = new TextEncoder();
const MESSAGE = "message:";

export class AgentSession {
  readonly #last = new Map<Key, LastKnown>();
  readonly #dirty = new Set<string>();
  readonly #flights = new Map<string, Flight>();
  readonly #byEvent = new Map<string, string>();
  readonly #messages = new Map<string, ResyncMessage>();
  readonly #unsent = new Set<string>();
  /** Events that were sent and are due for a retry. */
  readonly #overdue = new Set<string>();
  /** Keys that the agent's own event is changing here, and whether something else changed them meanwhile. */
  readonly #held = new Map<Key, boolean>();
  #acks: AgentEvent[] = [];
  /** Deletions that the agent must not be told of yet. */
  readonly #waiting = new Set<Key>();
  /** Keys that only the agent speaks of. */
  readonly #agentOnly = new Set<Key>();
  #stream = 0;
  #fresh = 0;
  #acknowledged = 0;
  /** Retries so far. */
  resent = 0;

  constructor(readonly agent: AgentId, private readonly world: SessionWorld) {}

  /** A key that may concern this agent changed. */
  touch(key: Key): void {
    if (this.#held.has(key)) {
      this.#held.set(key, true);
      return;
    }
    const flight = this.#flights.get(key);
    if (flight?.overdue) this.#overdue.add(key);
    else if (flight) flight.stale = true;
    else this.#dirty.add(key);
  }

  /** Keys and messages that the agent has not acknowledged, deletions that must wait included. */
  get pending(): number {
    const { size } = new Set([...this.#dirty, ...this.#flights.keys(), ...this.#messages.keys()]);
    return size + this.#waiting.difference(this.#dirty).size;
  }

  /** Resources that the agent is known to have, or was sent. */
  get holding(): number {
    let count = 0;
    for (const { present, sent } of this.#last.values()) if (present || sent) count++;
    return count;
  }

  /** Whether the agent is to delete a resource that it has. */
  deletes(key: Key): boolean {
    return this.#step(key)?.deletes === true;
  }

  /** Acknowledgements of the agent so far. */
  get acknowledgements(): number {
    return this.#acknowledged;
  }

  /** Whether the agent reads so slowly that no more of its events should be processed for now. */
  get congested(): boolean {
    return this.#acks.length >= MAX_ACKS;
  }

  /** Acknowledges an event of the agent: its extensions, all of them, are sent back. */
  acknowledge(event: AgentEvent): void {
    this.#acks.push({ type: "processed", target: "eventProcessed", extensions: event.extensions });
  }

  /** A message of the resync protocol; one of a name at a time. False when there is no room. */
  queueMessage(name: string, type: string, payload: unknown): boolean {
    const tag = MESSAGE + name;
    if (!this.#messages.has(tag) && this.#messages.size >= MAX_MESSAGES) return false;
    this.#messages.set(tag, { type, payload });
    if (!this.#flights.has(tag)) this.#unsent.add(tag);
    return true;
  }

  /** The key of an event in flight; undefined: it is about none, or not in flight. */
  keyOf(eventid: string): Key | undefined {
    const tag = this.#byEvent.get(eventid);
    return tag?.startsWith(MESSAGE) ? undefined : tag;
  }

  /** Asks a managed agent which resources it has. */
  resync(): void {
    this.queueMessage("resync", "request-resource-resync", {});
  }

  /**
   * The agent has a new stream. Events in flight are retried. The agent may have been at another principal meanwhile, so its last
   * known states no longer count, but for the operations and deletions that it was given: none is given twice.
   */
  connected(): void {
    this.#stream++;
    for (const [tag, flight] of this.#flights) this.#expire(tag, flight);
    for (const [key, last] of [...this.#last]) {
      this.#keep(key, { ...last, state: last.state === DELETING ? DELETING : "", source: undefined });
      this.touch(key);
    }
  }

  /** Call now and then: makes events due for a retry that were not acknowledged in time. True when there are any. */
  expire(nowMs: number): boolean {
    let any = false;
    for (const [tag, flight] of this.#flights) {
      if (flight.overdue || flight.dueMs > nowMs) continue;
      this.#expire(tag, flight);
      any = true;
    }
    return any;
  }

  /** The next event to send, or undefined. `random` is in [0, 1). */
  next(nowMs: number, random: number): AgentEvent | undefined {
    const ack = this.#acks.shift();
    if (ack) return ack;
    for (const waiting of [this.#overdue, this.#dirty, this.#unsent]) {
      for (const tag of waiting) {
        if (waiting !== this.#overdue && this.#fresh >= WINDOW) return undefined;
        waiting.delete(tag);
        const flight = this.#flights.get(tag);
        const step = tag.startsWith(MESSAGE) ? this.#message(tag) : this.#plan(tag);
        if (step) return this.#send(tag, step, flight, nowMs, random);
        if (!flight) continue;
        this.#drop(tag, flight);
        // Whether it had come is not known; the agent's own word is.
        if (this.#last.get(tag)?.state === DELETING) this.resync();
      }
    }
    return undefined;
  }

  /** The agent has processed an event. The key of the event; undefined when it is about none or not in flight. */
  acknowledged({ resourceid = "", eventid = "" }: AgentEvent["extensions"]): Key | undefined {
    const tag = this.#byEvent.get(eventid);
    const flight = tag === undefined ? undefined : this.#flights.get(tag);
    if (tag === undefined || !flight || flight.resourceid !== resourceid) return undefined;
    this.#drop(tag, flight);
    if (tag.startsWith(MESSAGE)) {
      this.#messages.delete(tag);
      return undefined;
    }
    this.#agentOnly.delete(tag);
    const last = this.#last.get(tag) ?? unknown();
    const after = flight.step.settle(last);
    this.#keep(tag, after && { ...after, stream: this.#stream, acknowledgedAs: ++this.#acknowledged });
    if (flight.stale || flight.step.more) this.touch(tag);
    return tag;
  }

  /** The agent's own event is about to change a key here: no event of the key is sent until `release`. */
  hold(key: Key): void {
    const waiting = [this.#dirty.delete(key), this.#overdue.delete(key)];
    this.#held.set(key, waiting.includes(true));
  }

  /** Ends `hold`. @param has the agent's state as its event tells it */
  release(key: Key, has: Partial<LastKnown> = {}): void {
    const touched = this.#held.get(key);
    this.#held.delete(key);
    if (Object.keys(has).length > 0) {
      const last = this.#last.get(key) ?? unknown();
      this.#keep(key, { ...last, ...has, told: last.told + 1 });
    }
    if (touched) this.touch(key);
  }

  /** Whether an operation, or a refresh, that is asked for here has reached the agent. */
  delivered(key: Key, what: "operation" | "state", value: string): boolean {
    return value !== "" && this.#last.get(key)?.[what] === value;
  }

  /** The agent lost a resource that it is to have. */
  lost(key: Key, report: DeletionReport = {}): void {
    if (this.#isOutdated(key, report)) return this.touch(key);
    const flight = this.#flights.get(key);
    if (flight) this.#drop(key, flight);
    this.#keep(key, undefined);
    this.touch(key);
  }

  /** The agent no longer has a resource, as it should be: no event is sent about it. */
  gone(key: Key, report: DeletionReport = {}): void {
    const flight = this.#flights.get(key);
    const { object, deletes } = flight?.step ?? {};
    const onItsWay = object !== undefined && !deletes;
    if (onItsWay || this.#isOutdated(key, report)) return this.touch(key);
    if (flight && deletes) this.#drop(key, flight);
    this.#keep(key, undefined);
  }

  /** Whether the agent got another resource of this name, or the same one once more, since its report. */
  #isOutdated(key: Key, { uid = "", heardAfter = Infinity }: DeletionReport): boolean {
    const last = this.#last.get(key) ?? unknown();
    return (last.uid !== "" && uid !== "" && last.uid !== uid) || last.acknowledgedAs > heardAfter;
  }

  /**
   * The last known state of a key may be wrong: the resource is sent, or asked for, once more. False when too many such keys are open.
   *
   * @param heardAfter how many acknowledgements of the agent had come when it said so
   */
  recheck(key: Key, what: Identity, heardAfter = Infinity): boolean {
    const last = this.#last.get(key);
    // Said, it may be, before the agent carried out the deletion of which it was told.
    const late = this.#flights.has(key) || (last?.acknowledgedAs ?? 0) > heardAfter;
    if (last?.state === DELETING && late) return true;
    if (!last && !this.world.look(key)) {
      if (this.#agentOnly.size >= MAX_AGENT_ONLY) return false;
      this.#agentOnly.add(key);
    }
    this.#keep(key, { ...unknown(), ...what, operation: last?.operation ?? "", present: true });
    this.touch(key);
    return true;
  }

  /** Whether the agent is about to hear of a key anyway. */
  underway(key: Key): boolean {
    if (this.#flights.has(key)) return true;
    return this.#dirty.has(key) && this.#step(key) !== undefined;
  }

  /** Whether the agent has heard of a key on this stream, or is about to. */
  told(key: Key): boolean {
    return this.underway(key) || this.#last.get(key)?.stream === this.#stream;
  }

  /** The resources of these keys that are the agent's, as lists name them. */
  list(keys: readonly Key[]): (Identity & { key: Key })[] {
    return keys.flatMap((key) => {
      const view = this.world.look(key);
      return view ? [{ key, ...identityOf(view) }] : [];
    });
  }

  /** The checksum of such a list. */
  checksum(list: readonly Listed[]): string {
    return listChecksum(list, this.world.sha256);
  }

  #step(key: Key): Step | undefined {
    return stepFor(this.agent, this.#last.get(key), this.world.look(key)).step;
  }

  #plan(key: Key): Step | undefined {
    const last = this.#last.get(key);
    const { step, last: after } = stepFor(this.agent, last, this.world.look(key));
    if (after !== last) this.#keep(key, after);
    if (this.#waiting.size > 0) this.#waiting.delete(key);
    if (!step?.deletes || this.world.mayDelete(key)) return step;
    this.#waiting.add(key);
    return undefined;
  }

  #message(tag: string): Step | undefined {
    const message = this.#messages.get(tag);
    if (!message) return undefined;
    const { type, payload } = message;
    return {
      type,
      target: "resourceResync",
      fingerprint: tag,
      payload,
      more: false,
      begun: (last) => last,
      settle: (last) => last,
    };
  }

  #send(tag: string, step: Step, before: Flight | undefined, nowMs: number, random: number): AgentEvent {
    const attempts = (before?.attempts ?? 0) + 1;
    const same = before?.step.fingerprint === step.fingerprint ? before : undefined;
    if (before) this.#drop(tag, before);
    const unique = this.world.id();
    const resourceid = step.object ? `${step.object.name}_${step.object.uid}` : unique;
    const flight: Flight = {
      step,
      resourceid: same?.resourceid ?? resourceid,
      eventid: same?.eventid ?? (step.object ? `${resourceid}_${unique}` : unique),
      attempts,
      dueMs: nowMs + delayMs(RESEND, attempts, random),
      overdue: false,
      stale: false,
    };
    if (attempts === 1) this.#fresh++;
    else this.resent++;
    if (!tag.startsWith(MESSAGE)) this.#keep(tag, step.begun(this.#last.get(tag) ?? unknown()));
    this.#flights.set(tag, flight);
    this.#byEvent.set(flight.eventid, tag);
    return {
      type: step.type,
      target: step.target,
      ...(step.object ? { subject: `${step.object.namespace}/${step.object.name}` } : {}),
      extensions: {
        eventid: flight.eventid,
        resourceid: flight.resourceid,
        ...(step.signed ? { principaluid: this.world.principalUid } : {}),
      },
      payload: encoder.encode(JSON.stringify(step.payload)),
    };
  }

  #expire(tag: string, flight: Flight): void {
    if (flight.attempts === 1 && !flight.overdue) this.#fresh--;
    flight.overdue = true;
    this.touch(tag);
  }

  #drop(tag: string, flight: Flight): void {
    this.#overdue.delete(tag);
    if (flight.attempts === 1 && !flight.overdue) this.#fresh--;
    this.#flights.delete(tag);
    this.#byEvent.delete(flight.eventid);
  }

  #keep(key: Key, last: LastKnown | undefined): void {
    if (last && !isUnknown(last)) {
      this.#last.set(key, last);
      return;
    }
    this.#last.delete(key);
    this.#agentOnly.delete(key);
    this.#waiting.delete(key);
  }
}
