/**
 * The Kubernetes API of agents' clusters for Argo CD's servers: who calls, which agent that is, whether the request may go there, and
 * the agent's answer. It works in every role: a replica's requests go over the link to the ACTIVE.
 */
import { onAbort } from "../../base/abort.ts";
import { abortable } from "@std/async/abortable";
import { monotonicMs } from "../../base/clock.ts";
import { type Log, ofComponent } from "../../base/log.ts";
import { until } from "../../base/until.ts";
import type { TraceContext } from "../../domain/events/trace.ts";
import type { Model } from "../../domain/ha/state.ts";
import { answerOf, coreVersions, namedGroups } from "../../domain/proxy/answer.ts";
import { isLog, logRequestOf } from "../../domain/proxy/log_request.ts";
import { parseTarget, type Target } from "../../domain/proxy/path.ts";
import { isMethod, payloadOf, type ProxiedRequest, refusal } from "../../domain/proxy/request.ts";
import { failure, type HttpAnswer } from "../../domain/proxy/status.ts";
import { isTerminal, terminalRequestOf } from "../../domain/proxy/terminal_request.ts";
import { versionAnswer } from "../../domain/proxy/version.ts";
import { isDnsLabel } from "../../domain/resources/keys.ts";
import type { Counting } from "../core/counters.ts";
import type { LogSource } from "../ports/logs.ts";
import type { TerminalSource } from "../ports/terminals.ts";
import { type AgentRequests, RequestFailed } from "../ports/requests.ts";
import type {
  AdmittedRequest,
  AdmittedTerminal,
  ProxyCaller,
  ProxyHead,
  ResourceProxy,
  StreamedAnswer,
} from "../ports/resource_proxy.ts";
import { spanned, type Tracing } from "../ports/tracing.ts";
import type { Tokens } from "../ports/tokens.ts";
import type { ClusterSecrets } from "./cluster_secrets.ts";
import { BodyRoom } from "./body_room.ts";
import { DiscoveryCache } from "./discovery_cache.ts";
import { REQUEST_FAILURE } from "./request_failure.ts";
import type { Roster } from "./roster.ts";

/** For an answer of an agent, its way back after a broken stream included. */
const ANSWER_MS = 30_000;
/** An agent whose stream has ended comes back within this time, to this side or the other, or is not waited for. */
const RETURN_MS = 10_000;
/** An agent answers before it acknowledges, but may send the two in another order. */
const AFTER_ACK_MS = 2_000;
const BEARER = "Bearer ";
/** Characters of a path. */
const MAX_LOGGED = 500;
/** Agents that this principal has never heard of count together. */
const UNKNOWN = "unknown";

/** The part of the principal that the resource proxy needs. */
export interface ResourceProxyParts {
  /** `callers`: the common names that may call, with a token; empty: every certificate of the CA may. */
  readonly settings: { readonly resourceProxy?: { readonly callers: readonly string[] } | undefined };
  readonly log: Log;
  readonly counters: Counting;
  readonly tracing: Tracing;
  readonly roster: Pick<Roster, "modeOf">;
  readonly clusters: Pick<ClusterSecrets, "of" | "agentOfToken">;
  model(): Pick<Model, "state" | "peer" | "peerAddress">;
  /** Open while this principal is ACTIVE. */
  activeScope(): AbortSignal | undefined;
}

export class AgentsResourceProxy implements ResourceProxy {
  readonly #discovery = new DiscoveryCache();
  readonly #bodies = new BodyRoom();
  readonly #ownLog: Log;

  /** @param tokens undefined: no signing key is configured, and no token is valid */
  constructor(
    private readonly parts: ResourceProxyParts,
    private readonly requests: AgentRequests,
    private readonly tokens: Pick<Tokens, "verifyResourceProxy"> | undefined,
    private readonly sources: { logs: LogSource; terminals: TerminalSource },
  ) {
    this.#ownLog = ofComponent(parts.log, "resource-proxy");
    requests.onStream((agent) => this.#discovery.drop(agent));
  }

  async admit(
    caller: ProxyCaller,
    head: ProxyHead,
  ): Promise<AdmittedRequest | AdmittedTerminal | HttpAnswer> {
    const agent = await this.#agentOf(caller);
    if (typeof agent !== "string") return agent;
    this.parts.counters.increment("resourceProxyRequests", { agent_name: this.#label(agent) });
    const answer = this.#request(agent, head);
    if (!("target" in answer)) return answer;
    const refused = refusal(agent, answer) ?? this.#unreachable(agent, answer);
    if (refused) return refused;
    if (isTerminal(answer.target)) return this.#terminal(agent, caller, head, answer);
    return {
      answer: (body, signal) =>
        this.#traced(agent, answer, head.trace, async () => {
          if (isLog(answer.target)) return await this.#log(agent, answer, signal);
          const leave = this.#bodies.take(agent, body.length);
          if (!leave) return this.#full(agent, answer);
          const answered = await this.#answer(agent, answer, body, signal).finally(leave);
          const unsent = answered.status === REQUEST_FAILURE.busy.code;
          if (answer.method !== "GET" && !unsent) this.#note(agent, caller, answer, answered);
          return answered;
        }),
    };
  }

  /** A request as a span that continues its caller's; the request to the agent continues it in turn. */
  #traced<T extends { status: number }>(
    agent: string,
    { method, target: { path } }: ProxiedRequest,
    parent: TraceContext | undefined,
    answer: () => Promise<T>,
  ): Promise<T> {
    const attributes = {
      "argocd.agent.name": agent,
      "http.request.method": method,
      "url.path": path.slice(0, MAX_LOGGED),
    };
    const options = { kind: "server" as const, attributes, ...(parent ? { parent } : {}) };
    return spanned(this.parts.tracing, `resource-proxy ${method}`, options, async (span) => {
      const answered = await answer();
      const { status } = answered;
      span.set({ "http.response.status_code": status });
      if (status >= 500) span.end(`answered ${status}`);
      return answered;
    });
  }

  refuse(code: number, message: string): HttpAnswer {
    return failure(code, message);
  }

  /** The agent that a caller may reach, by its token or else its certificate. */
  async #agentOf({ commonName, authorization }: ProxyCaller): Promise<string | HttpAnswer> {
    const callers = this.parts.settings.resourceProxy?.callers ?? [];
    const bearer = authorization.startsWith(BEARER) ? authorization.slice(BEARER.length) : undefined;
    if (callers.length > 0 && (bearer === undefined || !callers.includes(commonName))) {
      return this.#stranger("the caller is none of --resource-proxy-callers, or brings no token");
    }
    const agent = bearer === undefined ? commonName : await this.#agentOfToken(bearer);
    if (!agent) return this.#stranger("the token is not valid here, or the certificate has no common name");
    if (isDnsLabel(agent)) return agent;
    this.#failed(UNKNOWN, "invalid_name");
    return failure(400, "invalid agent name: it is not a DNS-1123 label");
  }

  /** A token counts by this side's key, or because it stands in a self-registered cluster's Secret, which the peer may have signed. */
  async #agentOfToken(token: string): Promise<string | undefined> {
    const { tokens, parts: { clusters } } = this;
    return await tokens?.verifyResourceProxy(token).catch(() => undefined) ?? clusters.agentOfToken(token);
  }

  #stranger(why: string): HttpAnswer {
    this.#failed(UNKNOWN, "unauthenticated");
    return failure(401, `authentication failed: ${why}`);
  }

  /** The request to an agent, or the answer where none is needed. */
  #request(agent: string, { method, url, contentType }: ProxyHead): ProxiedRequest | HttpAnswer {
    if (method === "GET" && url.split("?")[0] === "/version") {
      return { status: 200, body: versionAnswer(this.parts.clusters.of(agent)?.kubernetesVersion) };
    }
    const target = parseTarget(url);
    if (!target) {
      const path = (url.split("?")[0] ?? "").slice(0, 200);
      return failure(400, `cannot ask agent "${agent}" for ${path}: the resource proxy serves no such path`);
    }
    if (!isMethod(method)) {
      return failure(
        403,
        `cannot ${method.slice(0, 16)} ${target.path} at agent "${agent}": the method is not served`,
      );
    }
    return { method, target, contentType: contentType.split(";")[0]?.trim().toLowerCase() ?? "" };
  }

  /** Why no agent can be asked; undefined: it can. */
  #unreachable(agent: string, { method, target }: ProxiedRequest): HttpAnswer | undefined {
    const { path } = target;
    const about = `cannot ${method} ${path} at agent "${agent}"`;
    if (this.requests.connected(agent) === undefined && this.parts.activeScope()) {
      this.#failed(agent, "agent_disconnected");
      return failure(502, `${about}: it is not connected`);
    }
    return isLog(target) && method !== "GET" ? failure(405, `${about}: logs are only read`) : undefined;
  }

  #terminal(
    agent: string,
    { commonName: caller }: ProxyCaller,
    { url }: ProxyHead,
    { method, target: { path } }: ProxiedRequest,
  ): AdmittedTerminal | HttpAnswer {
    const about = `cannot ${method} ${path} at agent "${agent}"`;
    if (method !== "GET" && method !== "POST") return failure(405, `${about}: terminals are only opened`);
    const request = terminalRequestOf(url);
    if ("problem" in request) return failure(400, `${about}: ${request.problem}`);
    return {
      terminal: async (user) => {
        const answer = await this.sources.terminals.open(agent, request, { ...user, caller });
        if ("status" in answer) this.#failed(agent, "agent_error");
        return answer;
      },
    };
  }

  #full(agent: string, { method, target }: ProxiedRequest): HttpAnswer {
    const { code, reason, retryAfterS = 1 } = REQUEST_FAILURE.busy;
    this.#failed(agent, reason);
    const why =
      `${method} ${target.path} at agent "${agent}" failed: too many large requests are under way to it`;
    return failure(code, why, { retryAfterS });
  }

  async #log(
    agent: string,
    request: ProxiedRequest,
    signal: AbortSignal,
  ): Promise<HttpAnswer | StreamedAnswer> {
    const wanted = logRequestOf(request.target);
    if (!wanted) return failure(400, `cannot read ${request.target.path}: it names no pod in a namespace`);
    const answer = await this.sources.logs.open(agent, wanted, signal);
    if (answer.status !== 200) this.#failed(agent, answer.status === 504 ? "timeout" : "agent_error");
    return answer;
  }

  async #answer(
    agent: string,
    request: ProxiedRequest,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const { method, target } = request;
    const { version, resource } = target.parts;
    if (method !== "GET" || resource !== "") return await this.#ask(agent, request, body, signal);
    // An agent answers both roots with the same list.
    const root = version === "";
    const shared: Target = root ? { ...target, path: "/apis", params: {} } : { ...target, params: {} };
    const nothing = new Uint8Array();
    const asked = this.#discovery.get(
      agent,
      target.parts.group + "/" + version,
      () => this.#ask(agent, { ...request, target: shared }, nothing, new AbortController().signal),
    );
    const answer = await abortable(asked, signal);
    if (!root) return answer;
    return target.path.startsWith("/apis") ? namedGroups(answer) : coreVersions(answer);
  }

  /** Asks an agent; again over its next stream where it cannot have carried out a change. */
  async #ask(
    agent: string,
    request: ProxiedRequest,
    body: Uint8Array,
    signal: AbortSignal,
  ): Promise<HttpAnswer> {
    const endsAt = monotonicMs() + ANSWER_MS;
    for (;;) {
      const id = crypto.randomUUID();
      const payload = new TextEncoder().encode(payloadOf(id, request, body));
      const asked = { target: "resource", type: request.method, id, payload } as const;
      try {
        const timeoutMs = endsAt - monotonicMs();
        const event = await this.requests.ask(agent, asked, { timeoutMs, afterAckMs: AFTER_ACK_MS, signal });
        const answer = answerOf(agent, request, id, event);
        if (answer.status !== 200) this.#failed(agent, "agent_error");
        return answer;
      } catch (error) {
        if (!(error instanceof RequestFailed)) throw error;
        const repeatable = error.kind === "left" && (request.method === "GET" || !error.sent);
        if (!repeatable || !await this.#isBack(agent, endsAt, signal)) {
          return this.#unanswered(agent, request, error);
        }
      }
    }
  }

  /** Waits for an agent whose stream has ended; whether it came back in time. */
  async #isBack(agent: string, endsAt: number, signal: AbortSignal): Promise<boolean> {
    const scope = this.parts.activeScope();
    const ended = (notify: () => void) => scope ? onAbort(scope, notify) : () => {};
    const isHere = () => this.requests.connected(agent) !== undefined;
    await until(() => scope?.aborted === true || isHere(), {
      changed: [(notify) => this.requests.onStream(() => notify()), ended],
      withinMs: Math.min(RETURN_MS, endsAt - monotonicMs()),
      signal,
    });
    return isHere();
  }

  #unanswered(agent: string, { method, target }: ProxiedRequest, error: RequestFailed): HttpAnswer {
    const { kind, sent } = error;
    const { code, reason, retryAfterS } = REQUEST_FAILURE[kind];
    this.#failed(agent, reason);
    const why = kind === "not active" ? this.#notActive() : error.message;
    const remedy = kind === "unanswered" ? "; is its resource proxy off (--enable-resource-proxy)?" : "";
    const unknown = sent && method !== "GET" ? "; whether it was carried out is not known" : "";
    return failure(
      code,
      `${method} ${target.path} at agent "${agent}" failed: ${why}${remedy}${unknown}`,
      retryAfterS === undefined ? {} : { retryAfterS },
    );
  }

  /** Why this side has no way to agents. */
  #notActive(): string {
    const { state, peer, peerAddress } = this.parts.model();
    const active = peer?.state === "active" ? `; the ACTIVE is at "${peerAddress}"` : "";
    return `this principal is ${state} and has no way to agents${active}`;
  }

  /** Changes leave a line; Argo CD's own log says who asked for them. */
  #note(
    agent: string,
    { commonName: caller }: ProxyCaller,
    { method, target: { path } }: ProxiedRequest,
    { status }: HttpAnswer,
  ): void {
    this.#ownLog.info("change at an agent's cluster through the resource proxy", {
      ...{ agent, method, path: path.slice(0, MAX_LOGGED), status, caller },
    });
  }

  #failed(agent: string, reason: string): void {
    this.parts.counters.increment("resourceProxyErrors", { agent_name: this.#label(agent), reason });
  }

  /** An agent's name as a label: certificates of the CA have names without end. */
  #label(agent: string): string {
    return this.parts.roster.modeOf(agent) === undefined ? UNKNOWN : agent;
  }
}
