/**
 * The requests that a replica forwards, carried out by the lanes of this ACTIVE's agents. The stream tells which agents are connected,
 * first all of them, then every change; it ends with the scope in which this principal is ACTIVE, and its requests with it.
 */
import { onAbort } from "../../base/abort.ts";
import { reasonOf } from "../../base/reason.ts";
import { Newest } from "../../base/newest.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { ForwardedReply, ForwardedRequest } from "../ports/forwarding.ts";
import { type AgentRequests, REQUEST_TARGETS, RequestFailed } from "../ports/requests.ts";
import type { ServedStream, StreamEvents } from "../ports/stream.ts";
import type { Tracing } from "../ports/tracing.ts";
import { Outlet } from "./outlet.ts";

/** Calls of one replica that wait for their answers: those of the busiest agents, each of which has its own bounds. */
const MAX_CALLS = 2_000;
/** Requests whose later events go to the replica: subscriptions live for ten minutes after their last sign of life. */
const MAX_FOLLOWED = 20_000;
/** Replies sent before other work gets its turn. */
const BATCH = 100;

type Call = Extract<ForwardedRequest, { do: "ask" }>;

export class ForwardedCalls implements StreamEvents<ForwardedRequest> {
  readonly #calls = new Map<number, AbortController>();
  /** Requests of this stream by id. */
  readonly #followed = new Newest<string, true>(MAX_FOLLOWED);
  readonly #replies: ForwardedReply[] = [];
  readonly #outlet: Outlet<ForwardedReply>;
  readonly #cleanups: (() => void)[];
  #over = false;

  /** @param scope aborts when this principal stops being ACTIVE */
  constructor(
    private readonly requests: AgentRequests,
    private readonly stream: ServedStream<ForwardedReply>,
    scope: AbortSignal,
    private readonly tracing: Pick<Tracing, "within">,
  ) {
    this.#outlet = new Outlet({ sink: stream, next: () => this.#replies.shift(), batch: BATCH });
    this.#cleanups = [
      requests.onStream((agent) => this.#tell(agent)),
      ...REQUEST_TARGETS.map((target) =>
        requests.listen(target, (agent, event) => this.#unsolicited(agent, event))
      ),
      () => this.#outlet.close(),
      onAbort(scope, (reason) => this.#fail(new Refusal(reasonOf(reason)))),
    ];
    for (const [agent, mode] of requests.agents()) this.#reply({ say: "stream", agent, mode });
  }

  received(request: ForwardedRequest): void {
    if (this.#over) return;
    if (request.do === "withdraw") this.#calls.get(request.call)?.abort();
    else void this.#carryOut(request);
  }

  drained(): void {
    this.#outlet.drained();
  }

  closed(): void {
    if (this.#over) return;
    this.#over = true;
    for (const end of this.#cleanups) end();
    for (const call of this.#calls.values()) call.abort();
  }

  async #carryOut(request: Call): Promise<void> {
    const { call, agent, target, type, id, payload, timeoutMs, afterAckMs, trace } = request;
    if (this.#calls.has(call)) return this.#fail(new Refusal(`call ${call} is under way`, "request"));
    if (this.#calls.size >= MAX_CALLS) {
      return this.#failed(call, new RequestFailed("busy", `${MAX_CALLS} forwarded requests wait`, false));
    }
    const aborting = new AbortController();
    this.#calls.set(call, aborting);
    this.#followed.set(id, true);
    try {
      const patience = {
        timeoutMs,
        signal: aborting.signal,
        ...(afterAckMs === undefined ? {} : { afterAckMs }),
      };
      const asked = { target, type, id, payload };
      const event = await this.tracing.within(trace, () => this.requests.ask(agent, asked, patience));
      this.#reply({ say: "answer", call, event });
    } catch (error) {
      if (!aborting.signal.aborted) this.#failed(call, error);
    } finally {
      this.#calls.delete(call);
    }
  }

  #failed(call: number, error: unknown): void {
    const { kind, message, sent } = error instanceof RequestFailed
      ? error
      : { kind: "left" as const, message: reasonOf(error), sent: true };
    this.#reply({ say: "failure", call, kind, message, sent });
  }

  #tell(agent: string): void {
    this.#reply({ say: "stream", agent, mode: this.requests.connected(agent) });
  }

  #unsolicited(agent: string, event: AgentEvent): void {
    if (this.#followed.has(event.extensions.eventid ?? "")) this.#reply({ say: "event", agent, event });
  }

  #reply(reply: ForwardedReply): void {
    if (this.#over) return;
    this.#replies.push(reply);
    this.#outlet.kick();
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    this.closed();
    this.stream.fail(error);
  }
}
