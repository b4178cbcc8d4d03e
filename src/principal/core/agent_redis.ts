/** One question at a time to the Redis of an agent's cluster, with the time that its asker in Argo CD waits. */
import { reasonOf } from "../../base/reason.ts";
import {
  REDIS_REQUEST,
  type RedisQuestion,
  redisRequest,
  type RedisSaid,
  redisSaid,
} from "../../domain/redis/requests.ts";
import { type AgentRequests, RequestFailed } from "../ports/requests.ts";

/** Argo CD's clients wait for 5 s, and then ask once more over another connection. */
const TIMEOUT_MS = 4_000;

/** The way to the agents. */
type Requests = Pick<AgentRequests, "ask" | "listen" | "onStream" | "connected">;

export class AgentRedis {
  constructor(private readonly requests: Requests) {}

  /** Resolves with what the agent says, or with the reason why it says nothing. @throws the reason of `signal` */
  async ask(
    agent: string,
    question: RedisQuestion,
    { connection, signal }: { connection: string; signal?: AbortSignal },
  ): Promise<RedisSaid> {
    const id = crypto.randomUUID();
    const request = {
      target: "redis" as const,
      type: REDIS_REQUEST,
      id,
      payload: redisRequest(id, connection, question),
    };
    try {
      const event = await this.requests.ask(agent, request, {
        timeoutMs: TIMEOUT_MS,
        ...(signal ? { signal } : {}),
      });
      return redisSaid(event);
    } catch (failure) {
      signal?.throwIfAborted();
      return {
        said: "error",
        message: failure instanceof RequestFailed ? shown(failure) : reasonOf(failure),
      };
    }
  }

  /** Whether an agent can be asked now. */
  isConnected(agent: string): boolean {
    return this.requests.connected(agent) !== undefined;
  }

  /** Hears notices of subscriptions. */
  onNotice(hear: (agent: string, notice: RedisSaid & { said: "notice" }) => void): void {
    this.requests.listen("redis", (agent, event) => {
      const said = redisSaid(event);
      if (said.said === "notice") hear(agent, said);
    });
  }

  /** Hears that an agent's stream has opened or ended. */
  onStream(hear: (agent: string, open: boolean) => void): void {
    this.requests.onStream(hear);
  }
}

/** Where neither this side nor the one that it follows has agents, an operator finds out why. */
function shown({ kind, message }: RequestFailed): string {
  return kind === "not active"
    ? `no agent can be asked: ${message}; see: argocd-agent-ha ha explain`
    : message;
}
