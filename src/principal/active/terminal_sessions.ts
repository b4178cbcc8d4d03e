/**
 * The terminals that are open at agents, by the requests that the agents were asked with. All of them end with the scope in which this
 * principal is ACTIVE. Each leaves two lines in the log: who opened what, and how it ended.
 */
import { onAbort } from "../../base/abort.ts";
import { monotonicMs } from "../../base/clock.ts";
import { type Log, ofComponent } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import { failure, type HttpAnswer } from "../../domain/proxy/status.ts";
import {
  terminalPayload,
  terminalRefusal,
  type TerminalRequest,
} from "../../domain/proxy/terminal_request.ts";
import type { Counting } from "../core/counters.ts";
import type { AgentLanes } from "../ports/requests.ts";
import type {
  AgentTerminals,
  OpenTerminal,
  TerminalCall,
  TerminalReader,
  TerminalSource,
  TerminalUser,
} from "../ports/terminals.ts";
import { AskedSessions } from "./asked_sessions.ts";
import { RETRY_S } from "./request_failure.ts";
import {
  TERMINAL_TIMING,
  type TerminalEnding,
  TerminalSession,
  type TerminalTiming,
} from "./terminal_session.ts";

const BOUNDS = { ofAgent: 32, inAll: 256, what: "terminals" };
/** Characters of a command in the log. */
const MAX_LOGGED = 500;

/** The part of the principal that terminals need. */
export interface TerminalSessionsParts {
  readonly log: Log;
  readonly counters: Counting;
  /** Open while this principal is ACTIVE. */
  activeScope(): AbortSignal | undefined;
}

export class TerminalSessions implements AgentTerminals, TerminalSource {
  readonly #sessions: AskedSessions<TerminalSession>;
  readonly #log: Log;

  constructor(
    private readonly parts: TerminalSessionsParts,
    private readonly requests: Pick<AgentLanes, "tell" | "connected" | "onStream">,
    private readonly timing: TerminalTiming = TERMINAL_TIMING,
  ) {
    this.#sessions = new AskedSessions(requests, BOUNDS);
    this.#log = ofComponent(parts.log, "resource-proxy");
  }

  get size(): number {
    return this.#sessions.size;
  }

  // deno-lint-ignore require-await -- its failures are rejections
  async open(
    agent: string,
    request: TerminalRequest,
    user: TerminalUser,
  ): Promise<HttpAnswer | OpenTerminal> {
    user.signal.throwIfAborted();
    const scope = this.parts.activeScope();
    if (!scope) return failure(503, "this principal is not ACTIVE any more", { retryAfterS: RETRY_S });
    const refused = terminalRefusal(agent, this.requests.connected(agent)) ?? this.#sessions.full(agent);
    if (refused) return refused;
    const session = this.#begin(agent, request, user, scope);
    return { output: session.output };
  }

  bring(agent: string, request: string, call: TerminalCall): TerminalReader | undefined {
    return this.#sessions.of(agent, request)?.attach(call);
  }

  #begin(
    agent: string,
    request: TerminalRequest,
    { caller, input, signal }: TerminalUser,
    scope: AbortSignal,
  ): TerminalSession {
    const id = crypto.randomUUID();
    const { note, passed } = this.#account(agent, request, caller);
    const cleanups: (() => void)[] = [];
    const session = new TerminalSession({
      ...{ agent, request, input, timing: this.timing, passed },
      over: (ending) => {
        this.#sessions.remove(id);
        for (const cleanup of cleanups) cleanup();
        note(ending);
      },
    });
    this.#sessions.add(agent, id, session);
    cleanups.push(
      this.requests.onStream((name, open) => {
        if (name === agent && !open) session.agentLeft();
      }),
      onAbort(signal, () => session.abandon("its user is gone")),
      onAbort(
        scope,
        (reason) => session.lost("not_active", `the terminal ends here: ${reasonOf(reason)}; open it again`),
      ),
    );
    const payload = terminalPayload(id, request);
    const asked = { target: "terminal", type: "terminal-request", id, payload } as const;
    this.#sessions.ask(agent, asked, session, { timeoutMs: this.timing.callMs, signal });
    return session;
  }

  /** Counts one terminal, and leaves its lines in the log. */
  #account(agent: string, request: TerminalRequest, caller: string) {
    const { counters } = this.parts;
    const { namespace, podName: pod, containerName: container, command } = request;
    const about = {
      ...{ agent, namespace, pod, container, caller },
      command: command.join(" ").slice(0, MAX_LOGGED),
    };
    const startedMs = monotonicMs();
    const bytes = { "to agent": 0, "to user": 0 };
    counters.increment("terminals", { agent_name: agent });
    this.#log.info("a terminal was opened", about);
    return {
      passed: (way: keyof typeof bytes, n: number) => {
        bytes[way] += n;
        counters.add("terminalBytes", n, { agent_name: agent, way });
      },
      note: (ending: TerminalEnding) => {
        counters.increment("terminalEnds", { agent_name: agent, reason: ending });
        const seconds = Math.round((monotonicMs() - startedMs) / 1_000);
        const counts = { bytesIn: bytes["to agent"], bytesOut: bytes["to user"] };
        this.#log.info("a terminal has ended", { ...about, reason: ending, seconds, ...counts });
      },
    };
  }
}
