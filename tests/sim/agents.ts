/** Agents' streams over the simulated network, and their serving side. */
import type { AgentConnection, AgentConnectionEvents } from "../../src/adapters/grpc/agent_client.ts";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import { reasonOf } from "../../src/base/reason.ts";
import type { Admission, AttachedStream, Caller as AgentCaller } from "../../src/principal/ports/agents.ts";
import type { Caller, Failure, Handler, Network, Server, ServerEnd } from "./network.ts";
import { REFUSAL_DELAY_MS, unary } from "./peer.ts";

const HANDSHAKE_MS = 20_000;
/** The codes that an agent notes: it reconnects on any of them. */
const CODE = { ok: 0, cancelled: 1, unavailable: 14 };

/** Connects an agent as a Go agent does: a call, then the stream. @throws Failure */
export async function connectAgent(
  network: Network,
  caller: Caller,
  to: string,
  token: string,
  events: AgentConnectionEvents,
): Promise<AgentConnection> {
  await network.call(caller, to, "version", {}, HANDSHAKE_MS);
  let over = false;
  const ended = (code: number, details: string) => {
    if (over) return;
    over = true;
    events.ended(code, details);
  };
  const connection = network.open(caller, to, "agent", {
    received: (event) => over || events.received(event as AgentEvent),
    drained: () => {},
    ended: (failure) => ended(failure ? CODE.unavailable : CODE.ok, failure?.message ?? ""),
  });
  connection.send("server", token);
  return {
    principalNamespace: "argocd",
    accessToken: "",
    refreshToken: "",
    send: (event) => over || connection.send("server", event),
    drained: () => Promise.resolve(),
    pause: () => {},
    resume: () => {},
    close: () => {
      connection.cancel();
      setTimeout(() => ended(CODE.cancelled, "Cancelled on client"));
    },
  };
}

/** Hears of each event when it is sent to an agent. */
export type Sent = (to: AgentCaller, event: AgentEvent) => void;

/** Serves agents. */
export function serveAgents(handlers: Server["handlers"], admission: Admission, sent: Sent): void {
  handlers.set("version", unary(() => ({})));
  handlers.set("agent", agentHandler(admission, sent));
}

/** The first message is the agent's token. */
function agentHandler(admission: Admission, sent: Sent): Handler {
  return (stream) => {
    const end = new AgentEnd(stream, admission, sent);
    return {
      received: (message) => end.received(message),
      drained: () => end.drained(),
      closed: () => end.closed(),
    };
  };
}

/** The principal's end of an agent's stream. Events that come before the agent is let in, or while reading is paused, wait. */
class AgentEnd {
  #attached: AttachedStream | undefined;
  #known = false;
  #paused = false;
  #over = false;
  #waiting: AgentEvent[] = [];

  constructor(
    private readonly stream: ServerEnd,
    private readonly admission: Admission,
    private readonly sent: Sent,
  ) {}

  received(message: unknown): void {
    if (!this.#known) {
      this.#known = true;
      void this.#attach(message as string);
    } else if (!this.#attached || this.#paused) this.#waiting.push(message as AgentEvent);
    else this.#attached.received(message as AgentEvent);
  }

  drained(): void {
    this.#attached?.drained();
  }

  closed(): void {
    this.#over = true;
    this.#attached?.closed();
    this.stream.end();
  }

  async #attach(token: string): Promise<void> {
    try {
      const caller = await this.admission.caller(
        token,
        ({ clientID: identity }) => ({ identity, credential: "" }),
      );
      this.#attached = await this.admission.attach(caller, {
        send: (event) => {
          if (this.#over) return true;
          this.sent(caller, event);
          return this.stream.send(event);
        },
        end: (why) => this.#end({ kind: "failed", message: why }),
        pause: () => this.#paused = true,
        resume: () => this.#resume(),
      });
    } catch (error) {
      const refusal = { kind: "failed", message: reasonOf(error) } as const;
      return void setTimeout(() => this.#end(refusal), REFUSAL_DELAY_MS);
    }
    if (this.#over) this.#attached.closed();
    else if (!this.#paused) this.#resume();
  }

  #end(failure: Failure): void {
    if (this.#over) return;
    this.#over = true;
    this.stream.end(failure);
    this.#attached?.closed();
  }

  #resume(): void {
    this.#paused = false;
    for (const event of this.#waiting.splice(0)) this.received(event);
  }
}
