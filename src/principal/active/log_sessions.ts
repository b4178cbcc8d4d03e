/**
 * The logs that are being read, by the requests that agents were asked with. A session belongs to the agent that was asked: a call of
 * another one finds no such request. All of them end with the scope in which this principal is ACTIVE.
 */
import { onAbort } from "../../base/abort.ts";
import { abortable } from "@std/async/abortable";
import { monotonicMs } from "../../base/clock.ts";
import { Newest } from "../../base/newest.ts";
import { reasonOf } from "../../base/reason.ts";
import { Budget } from "../../base/token_bucket.ts";
import type { LogRequest } from "../../domain/proxy/log_request.ts";
import { failure, type HttpAnswer } from "../../domain/proxy/status.ts";
import type { Counting } from "../core/counters.ts";
import type { AgentLogs, LogCall, LogReader, LogSource } from "../ports/logs.ts";
import { type AgentLanes, RequestFailed } from "../ports/requests.ts";
import type { StreamedAnswer } from "../ports/resource_proxy.ts";
import { AskedSessions } from "./asked_sessions.ts";
import { LOG_TIMING, LogSession, type LogTiming } from "./log_session.ts";
import { REQUEST_FAILURE, RETRY_S } from "./request_failure.ts";

/** A click in Argo CD's UI opens up to ten. */
const BOUNDS = { ofAgent: 64, inAll: 1_000, what: "logs" };
/** Messages of one agent; of larger ones, which it sends while it has to wait, fewer are needed. */
const MESSAGES_PER_SECOND = 2_000;
const MESSAGES_BURST = 5_000;
/** An agent reads a log that is not followed to its end before it acknowledges the request. */
const STATIC_MS = 180_000;

/** The part of the principal that logs need. */
export interface LogSessionsParts {
  readonly counters: Counting;
  /** Open while this principal is ACTIVE. */
  activeScope(): AbortSignal | undefined;
}

export class LogSessions implements AgentLogs, LogSource {
  readonly #sessions: AskedSessions<LogSession>;
  /** The messages of an agent, over all its calls. */
  readonly #paces = new Newest<string, Budget>(BOUNDS.inAll);
  /** The end of the last log of an agent that is not followed: the agent reads one at a time, and no events meanwhile. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(
    private readonly parts: LogSessionsParts,
    requests: Pick<AgentLanes, "tell">,
    private readonly timing: LogTiming = LOG_TIMING,
  ) {
    this.#sessions = new AskedSessions(requests, BOUNDS);
  }

  get size(): number {
    return this.#sessions.size;
  }

  async open(agent: string, request: LogRequest, signal: AbortSignal): Promise<HttpAnswer | StreamedAnswer> {
    const full = this.#sessions.full(agent);
    if (full) return full;
    const scope = this.parts.activeScope();
    if (!scope) return failure(503, "this principal is not ACTIVE any more", { retryAfterS: RETRY_S });
    const release = request.follow ? () => {} : await this.#turn(agent, AbortSignal.any([signal, scope]));
    try {
      return await this.#read(agent, request, { signal, scope, release });
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      return unread(agent, request, error);
    }
  }

  bring(agent: string, request: string, call: LogCall): LogReader | undefined {
    return this.#sessions.of(agent, request)?.attach(call);
  }

  async #read(
    agent: string,
    request: LogRequest,
    { signal, scope, release }: { signal: AbortSignal; scope: AbortSignal; release: () => void },
  ): Promise<HttpAnswer | StreamedAnswer> {
    const id = crypto.randomUUID();
    const over = Promise.withResolvers<void>();
    const pace = this.#paces.get(agent) ?? new Budget(MESSAGES_PER_SECOND, MESSAGES_BURST);
    this.#paces.set(agent, pace);
    const session = new LogSession({
      ...{ agent, request, timing: this.timing },
      passed: (bytes) => this.parts.counters.add("logBytes", bytes, { agent_name: agent }),
      spend: () => pace.spend(monotonicMs()),
      over: () => over.resolve(),
    });
    this.#sessions.add(agent, id, session);
    this.parts.counters.increment("logStreams", { agent_name: agent });
    const cleanups = [
      onAbort(signal, () => session.abandon("the reader is gone")),
      onAbort(scope, (reason) => session.finish(`the log ends here: ${reasonOf(reason)}; read it again`)),
    ];
    void over.promise.then(() => {
      this.#sessions.remove(id);
      release();
      for (const cleanup of cleanups) cleanup();
    });
    const payload = new TextEncoder().encode(JSON.stringify({ uuid: id, ...request }));
    const asked = { target: "containerlog", type: "GET", id, payload } as const;
    const timeoutMs = request.follow ? this.timing.callMs : STATIC_MS;
    const refused = this.#sessions.ask(agent, asked, session, { timeoutMs, signal });
    const answer = await abortable(Promise.race([session.begun, refused]), signal);
    return answer ?? { status: 200, stream: session.stream };
  }

  /** Waits for the end of the logs before; returns how to let the next one begin. @throws the reason of the signal */
  async #turn(agent: string, signal: AbortSignal): Promise<() => void> {
    for (let before = this.#turns.get(agent); before; before = this.#turns.get(agent)) {
      await abortable(before, signal);
    }
    const over = Promise.withResolvers<void>();
    this.#turns.set(agent, over.promise);
    return () => {
      this.#turns.delete(agent);
      over.resolve();
    };
  }
}

/** The answer where the request did not reach the agent. */
function unread(
  agent: string,
  { namespace, podName }: LogRequest,
  { kind, message }: RequestFailed,
): HttpAnswer {
  const { code, retryAfterS } = REQUEST_FAILURE[kind];
  const about = `log of pod "${podName}" in namespace "${namespace}" at agent "${agent}": ${message}`;
  return failure(code, about, retryAfterS === undefined ? {} : { retryAfterS: RETRY_S });
}
