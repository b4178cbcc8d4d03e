/**
 * The requests of one agent's stream. A request is sent once, when no application event waits and few are in flight: an agent works on
 * them one after another, in the same loop as on its events. It ends with its answer, its time, or the stream.
 *
 * Invariant: a request holds its place in flight until the agent has answered it, or its time is up; that its asker has left does not
 * make the agent quicker.
 */
import { monotonicMs } from "../../base/clock.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import { isNotice } from "../../domain/redis/requests.ts";
import { abortable } from "@std/async/abortable";
import {
  type AgentRequest,
  type Answering,
  type Patience,
  REQUEST_TARGETS,
  RequestFailed,
  type RequestFailureKind,
  type RequestTarget,
} from "../ports/requests.ts";
import type { Tracing } from "../ports/tracing.ts";

interface LaneBounds {
  inFlight: number;
  /** So many while the agent answers quickly; absent: never more. */
  most?: number;
  waiting: number;
  /** Whether an event with a request's id is a later one than its answer; absent: none is. */
  isNotice?(event: AgentEvent): boolean;
}

/** Agents work on resource requests one at a time, on the others beside; those are sent first. */
const BOUNDS: Record<RequestTarget, LaneBounds> = {
  redis: { inFlight: 32, waiting: 256, isNotice: ({ payload }) => isNotice(payload) },
  terminal: { inFlight: 8, waiting: 32 },
  containerlog: { inFlight: 8, waiting: 64 },
  resource: { inFlight: 4, most: 32, waiting: 100 },
};
/**
 * An agent that answers within this time has one place more: it sends its answers together every 100 ms. One that is slow has few, for
 * it reads no events meanwhile.
 */
const QUICK_MS = 1_000;
/** Of the requests that wait for one agent. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** Requests whose answer or acknowledgement may still come, though no place in flight waits for it. */
const MAX_LATE = 1_000;

/** A request on its way. */
interface Errand {
  readonly target: RequestTarget;
  readonly id: string;
  readonly options: Answering;
  /** Undefined: it was sent. */
  event: (AgentEvent & { payload: Uint8Array }) | undefined;
  /** Undefined: an acknowledgement is all that comes. */
  readonly wantsAnswer: boolean;
  readonly outcome: PromiseWithResolvers<AgentEvent | undefined>;
  /** The end of its time, or of the time after its acknowledgement. */
  timer: ReturnType<typeof setTimeout> | undefined;
  /** Holds a place in flight. */
  inFlight: boolean;
  sentAtMs: number;
  answered: boolean;
  acknowledged: boolean;
}

/** The agent's side of the lane. */
export interface LaneParts {
  readonly agent: string;
  /** The trace of whoever asks goes with the request. */
  readonly tracing: Pick<Tracing, "current">;
  /** There is something to send. */
  schedule(): void;
  /** Whether the agent reads its acknowledgements so slowly that it has to send again what it was not asked for. */
  congested(): boolean;
  acknowledge(event: AgentEvent): void;
  /** An event came that the agent was not asked for. */
  unasked(): void;
  /** Hands on an event that answers no request. */
  unsolicited(event: AgentEvent): void;
}

export class RequestLane {
  readonly #waiting = new Map<RequestTarget, Errand[]>(
    REQUEST_TARGETS.map((target) => [target, []]),
  );
  /** Sent requests by id, oldest first. */
  readonly #sent = new Map<string, Errand>();
  /** Places in flight, where they are not as at first. */
  readonly #places = new Map<RequestTarget, number>();
  #open = false;
  #waitingBytes = 0;

  constructor(private readonly parts: LaneParts) {}

  /** The agent has a stream. */
  open(): void {
    this.#open = true;
  }

  /** The stream is over, and every request with it. */
  end(kind: RequestFailureKind, why: string): void {
    this.#open = false;
    const waiting = [...this.#waiting.values()].flatMap((queue) => queue.splice(0));
    const sent = [...this.#sent.values()];
    this.#sent.clear();
    this.#places.clear();
    for (const errand of waiting) {
      this.#taken(errand);
      this.#fail(errand, kind, why, false);
    }
    for (const errand of sent) this.#fail(errand, kind, why, true);
  }

  /** Resolves with the agent's answer. @throws RequestFailed */
  async ask(request: AgentRequest, options: Answering): Promise<AgentEvent> {
    return await this.#run(request, options, true) as AgentEvent;
  }

  /** Resolves when the agent has acknowledged a request. @throws RequestFailed */
  async tell(request: AgentRequest, options: Patience): Promise<void> {
    await this.#run(request, options, false);
  }

  /** The next request to send, or undefined. */
  next(): AgentEvent | undefined {
    for (const target of REQUEST_TARGETS) {
      const queue = this.#waiting.get(target) as Errand[];
      if (queue.length === 0 || this.#inFlight(target) >= this.#placesOf(target)) continue;
      const errand = queue.shift() as Errand;
      errand.inFlight = true;
      errand.sentAtMs = monotonicMs();
      this.#sent.set(errand.id, errand);
      return this.#taken(errand);
    }
    return undefined;
  }

  /** Takes an event that belongs to the lane; false: it does not. */
  received(event: AgentEvent): boolean {
    const { eventid = "" } = event.extensions;
    if (event.target === "eventProcessed") return this.#acknowledged(eventid);
    if (!isTarget(event.target)) return false;
    const errand = this.#sent.get(eventid);
    if (errand && isAnswer(event, errand)) {
      this.parts.acknowledge(event);
      errand.answered = true;
      this.#regulate(errand, monotonicMs() - errand.sentAtMs < QUICK_MS);
      this.#settle(errand, event);
      return true;
    }
    this.parts.unasked();
    if (this.parts.congested()) return true;
    this.parts.acknowledge(event);
    this.parts.unsolicited(event);
    this.parts.schedule();
    return true;
  }

  async #run(request: AgentRequest, options: Answering, wantsAnswer: boolean) {
    const { timeoutMs, signal } = options;
    const { target, type, id, payload } = request;
    const trace = this.parts.tracing.current();
    signal?.throwIfAborted();
    this.#admit(request);
    const errand: Errand = {
      target,
      id,
      options,
      event: { type, target, extensions: { resourceid: id, eventid: id, ...trace }, payload },
      wantsAnswer,
      outcome: Promise.withResolvers(),
      timer: undefined,
      inFlight: false,
      sentAtMs: 0,
      answered: false,
      acknowledged: false,
    };
    errand.timer = setTimeout(() => this.#expired(errand, "no answer"), timeoutMs);
    this.#waitingBytes += payload.length;
    this.#waiting.get(target)?.push(errand);
    this.parts.schedule();
    if (!signal) return await errand.outcome.promise;
    try {
      return await abortable(errand.outcome.promise, signal);
    } finally {
      if (signal.aborted) this.#withdraw(errand);
    }
  }

  /** @throws RequestFailed where the request finds no room */
  #admit({ target, payload }: AgentRequest): void {
    const { agent } = this.parts;
    if (!this.#open) throw notConnected(agent);
    const waiting = this.#waiting.get(target)?.length ?? 0;
    const bytes = this.#waitingBytes + payload.length;
    if (waiting < BOUNDS[target].waiting && bytes <= MAX_WAITING_BYTES) return;
    throw new RequestFailed("busy", `agent "${agent}" is busy: ${waiting} requests wait for it`, false);
  }

  #inFlight(target: RequestTarget): number {
    let count = 0;
    for (const errand of this.#sent.values()) if (errand.inFlight && errand.target === target) count++;
    return count;
  }

  #placesOf(target: RequestTarget): number {
    return this.#places.get(target) ?? BOUNDS[target].inFlight;
  }

  #regulate({ target }: Errand, quick: boolean): void {
    const { inFlight, most = inFlight } = BOUNDS[target];
    this.#places.set(target, quick ? Math.min(most, this.#placesOf(target) + 1) : inFlight);
  }

  #acknowledged(id: string): boolean {
    const errand = this.#sent.get(id);
    if (!errand || errand.acknowledged) return false;
    errand.acknowledged = true;
    const { afterAckMs } = errand.options;
    if (!errand.wantsAnswer) this.#settle(errand, undefined);
    else if (errand.answered) this.#sent.delete(id);
    else if (afterAckMs !== undefined) {
      clearTimeout(errand.timer);
      errand.timer = setTimeout(() => this.#expired(errand, "unanswered"), afterAckMs);
    }
    return true;
  }

  #settle(errand: Errand, event: AgentEvent | undefined): void {
    errand.outcome.resolve(event);
    this.#release(errand);
    if (errand.acknowledged) this.#sent.delete(errand.id);
  }

  /** The asker is gone. */
  #withdraw(errand: Errand): void {
    if (this.#unqueue(errand)) clearTimeout(errand.timer);
  }

  #expired(errand: Errand, kind: RequestFailureKind): void {
    const sent = !this.#unqueue(errand);
    if (sent) this.#regulate(errand, false);
    const { agent } = this.parts;
    const seconds = errand.options.timeoutMs / 1_000;
    const why = kind === "unanswered"
      ? `agent "${agent}" has acknowledged the request and does not answer it`
      : `no answer of agent "${agent}" within ${seconds} s`;
    this.#fail(errand, kind, why, sent);
  }

  #fail(errand: Errand, kind: RequestFailureKind, why: string, sent: boolean): void {
    errand.outcome.reject(new RequestFailed(kind, why, sent));
    this.#release(errand);
  }

  /** Gives the place in flight to the next; an answer that comes late is still known as one. */
  #release(errand: Errand): void {
    clearTimeout(errand.timer);
    errand.inFlight = false;
    for (const [id, { inFlight }] of this.#sent) {
      if (this.#sent.size <= MAX_LATE) break;
      if (!inFlight) this.#sent.delete(id);
    }
    this.parts.schedule();
  }

  /** Takes a request out of the queue; false: it was sent. */
  #unqueue(errand: Errand): boolean {
    const queue = this.#waiting.get(errand.target) as Errand[];
    const at = queue.indexOf(errand);
    if (at < 0) return false;
    queue.splice(at, 1);
    this.#taken(errand);
    return true;
  }

  /** The event of a request that waits no more. */
  #taken(errand: Errand): AgentEvent | undefined {
    const { event } = errand;
    errand.event = undefined;
    this.#waitingBytes -= event?.payload.length ?? 0;
    return event;
  }
}

/** The failure of a request to an agent without a stream. */
export function notConnected(agent: string): RequestFailed {
  return new RequestFailed("not connected", `agent "${agent}" is not connected`, false);
}

/** Every answer is bound to the stream that its request was sent over, for this lane knows no other requests. */
function isAnswer(event: AgentEvent, { target, answered, wantsAnswer }: Errand): boolean {
  return target === event.target && wantsAnswer && !answered && !BOUNDS[target].isNotice?.(event);
}

function isTarget(target: string): target is RequestTarget {
  return Object.hasOwn(BOUNDS, target);
}
