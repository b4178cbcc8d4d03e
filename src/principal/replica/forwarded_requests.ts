/**
 * This replica's way to the agents: its requests go over the link to the ACTIVE that it follows. It is open while this side follows;
 * where the stream between breaks, every request that waits ends with it, and the stream is opened once more.
 */
import { abortable } from "@std/async/abortable";
import { delay } from "@std/async/delay";
import { delayMs, REDIAL } from "../../base/backoff.ts";
import { reasonOf } from "../../base/reason.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { Mode } from "../../domain/resources/roster.ts";
import { RequestListeners } from "../core/request_listeners.ts";
import type { ForwardedReply, ForwardedRequest } from "../ports/forwarding.ts";
import { type FollowStream, type PeerConnection, PeerError } from "../ports/peer.ts";
import { type AgentRequest, type AgentRequests, type Answering, RequestFailed } from "../ports/requests.ts";
import type { StreamEvents } from "../ports/stream.ts";
import { spanned, type Tracing } from "../ports/tracing.ts";

/** A request is given up here a little later than at the ACTIVE, whose reason says more. */
const GRACE_MS = 500;

export class ForwardedRequests extends RequestListeners implements AgentRequests {
  readonly #agents = new Map<string, Mode>();
  readonly #waiting = new Map<number, PromiseWithResolvers<AgentEvent>>();
  #stream: FollowStream<ForwardedRequest> | undefined;
  #calls = 0;
  #following: AbortController | undefined;
  #problem = "this principal follows no ACTIVE";

  constructor(private readonly tracing: Tracing) {
    super();
  }

  /** This side follows the ACTIVE of this connection. */
  open(connection: Pick<PeerConnection, "forward">): void {
    this.close();
    const following = new AbortController();
    this.#following = following;
    void this.#keepOpen(connection, following.signal);
  }

  /** This side follows no ACTIVE any more. */
  close(): void {
    this.#following?.abort();
    this.#following = undefined;
    this.#stream?.cancel();
    this.#ended("this principal follows no ACTIVE");
  }

  connected(agent: string): Mode | undefined {
    return this.#agents.get(agent);
  }

  agents(): Iterable<readonly [string, Mode]> {
    return this.#agents;
  }

  async ask(agent: string, request: AgentRequest, options: Answering): Promise<AgentEvent> {
    const attributes = { "argocd.agent.name": agent, "argocd.event.id": request.id };
    const name = `forward ${request.target}.${request.type}`;
    return await spanned(
      this.tracing,
      name,
      { kind: "client", attributes },
      () => this.#ask(agent, request, options),
    );
  }

  async #ask(
    agent: string,
    { target, type, id, payload }: AgentRequest,
    { timeoutMs, afterAckMs, signal }: Answering,
  ): Promise<AgentEvent> {
    signal?.throwIfAborted();
    const stream = this.#stream;
    if (!stream) throw new RequestFailed("not active", this.#problem, false);
    const call = ++this.#calls;
    const waiting = Promise.withResolvers<AgentEvent>();
    this.#waiting.set(call, waiting);
    const timer = setTimeout(
      () =>
        waiting.reject(
          new RequestFailed("no answer", `no answer of the ACTIVE within ${timeoutMs / 1_000} s`, true),
        ),
      timeoutMs + GRACE_MS,
    );
    const trace = this.tracing.current();
    stream.send({ do: "ask", call, agent, target, type, id, payload, timeoutMs, afterAckMs, trace });
    try {
      return await (signal ? abortable(waiting.promise, signal) : waiting.promise);
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(call);
      if (signal?.aborted && this.#stream === stream) stream.send({ do: "withdraw", call });
    }
  }

  async #keepOpen(connection: Pick<PeerConnection, "forward">, signal: AbortSignal): Promise<void> {
    for (let failures = 1; !signal.aborted; failures++) {
      const { promise, resolve } = Promise.withResolvers<unknown>();
      const events: StreamEvents<ForwardedReply> = {
        received: (reply) => {
          failures = 0;
          if (!signal.aborted) this.#heard(reply);
        },
        drained: () => {},
        closed: resolve,
      };
      this.#stream = connection.forward(events);
      const error = await promise;
      if (signal.aborted) return;
      this.#ended(error === undefined ? "the ACTIVE has ended the stream" : reasonOf(error));
      if (error instanceof PeerError && error.kind === "unimplemented") return;
      await delay(delayMs(REDIAL, failures, Math.random()), { signal }).catch(() => {});
    }
  }

  #heard(reply: ForwardedReply): void {
    switch (reply.say) {
      case "answer":
        this.#waiting.get(reply.call)?.resolve(reply.event);
        break;
      case "failure": {
        const { call, kind, message, sent } = reply;
        this.#waiting.get(call)?.reject(new RequestFailed(kind, message, sent));
        break;
      }
      case "event":
        this.unsolicited(reply.agent, reply.event);
        break;
      case "stream":
        this.#agentChanged(reply.agent, reply.mode);
    }
  }

  #agentChanged(agent: string, mode: Mode | undefined): void {
    if (mode === undefined) this.#agents.delete(agent);
    else this.#agents.set(agent, mode);
    this.streamChanged(agent, mode !== undefined);
  }

  /** The stream is over, and with it every request and what is known of the agents. */
  #ended(why: string): void {
    this.#stream = undefined;
    this.#problem = why;
    for (const { reject } of this.#waiting.values()) reject(new RequestFailed("left", why, true));
    for (const agent of [...this.#agents.keys()]) this.#agentChanged(agent, undefined);
  }
}
