/**
 * `eventstreamapi.EventStream`: the door for the streams of agents. It knows the token, the wire, and the codes that a Go agent
 * survives: that agent reconnects on OK, UNAVAILABLE, UNAUTHENTICATED and CANCELLED, and spins for ever on any other.
 */
import grpc from "@grpc/grpc-js";
import type { eventstreamapi } from "../../../proto/gen.d.ts";
import type { Log, Tell } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import { type AgentEvent, decodeEvent, encodeEvent } from "../../domain/events/cloudevent.ts";
import type { Admission, AgentStream, AttachedStream, Caller } from "../../principal/ports/agents.ts";
import type { AuthenticatedCall } from "./auth.ts";
import { paced } from "./authentication.ts";
import type { Authenticator } from "./methods.ts";
import { tellEvent } from "./event_log.ts";
import type { OpenCalls } from "./open_calls.ts";
import { failStream, onStreamEnd, refuseStream, unary } from "./server.ts";
import { Status, survivable, toStatus } from "./status.ts";

type Wire = eventstreamapi.Event;
type Stream = grpc.ServerDuplexStream<Wire, Wire>;
type Pushed = grpc.ServerReadableStream<Wire, eventstreamapi.PushSummary>;
type Call = AuthenticatedCall & { metadata: grpc.Metadata };

/** Tells which agent calls, by its token; the call ends when the token does not hold any more. Rejects with `NotAdmitted`. */
export function agentCallers(
  admission: Admission,
  authenticator: Authenticator,
  openCalls: Pick<OpenCalls, "require">,
): (call: Call) => Promise<Caller> {
  return (call) => {
    const token = String(call.metadata.get("authorization")[0] ?? "");
    return admission.caller(token, (subject) => {
      const holds = () => authenticator.stillHolds(call, subject);
      openCalls.require(call.metadata, () => {
        const proof = holds();
        return "problem" in proof ? proof.problem : undefined;
      });
      return holds();
    });
  };
}

/** The log of this door, and how it tells of each event. */
interface Telling {
  readonly log: Log;
  /** Undefined: not at all. */
  readonly tell?: Tell | undefined;
}

export function eventStreamHandlers(
  admission: Admission,
  callerOf: (call: Call) => Promise<Caller>,
  { log, tell }: Telling,
): grpc.UntypedServiceImplementation {
  return {
    Subscribe: (stream: Stream) => {
      callerOf(stream).then((caller) => attach(admission, caller, stream, { log, tell })).catch((error) =>
        refuseStream(stream, survivable(error))
      );
    },
    Push: (stream: Pushed, answer: grpc.sendUnaryData<eventstreamapi.PushSummary>) => {
      paced(callerOf(stream).then((caller) => push(admission, caller, stream, tell))).then(
        (summary) => answer(null, summary),
        (error) => answer(toStatus(error)),
      );
    },
    Ping: unary<eventstreamapi.PingRequest, eventstreamapi.PongReply>(async (_, call) => {
      await paced(callerOf(call));
      return {};
    }),
  };
}

async function attach(
  admission: Admission,
  caller: Caller,
  call: Stream,
  { log, tell }: Telling,
): Promise<void> {
  const stream = new WireStream(call, tell && ((event) => tellEvent(tell, "sent", caller.name, event)));
  const attached = await admission.attach(caller, stream);
  stream.onEnd(attached.closed);
  call.on("drain", attached.drained);
  call.on("data", (message: Wire) => {
    const problem = taken(message, (event) => {
      if (tell) tellEvent(tell, "received", caller.name, event);
      attached.received(event);
    });
    if (problem === undefined) return;
    log.warn("stream of an agent ended: it sent what is no event", { agent: caller.name, reason: problem });
    stream.end(`not an event: ${problem}`);
  });
}

/** Hands a message on; why it cannot be. */
function taken(message: Wire, received: AttachedStream["received"]): string | undefined {
  try {
    const event = decodeEvent(message.event);
    if ("problem" in event) return event.problem;
    received(event);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

/** An agent's stream on the wire. */
class WireStream implements AgentStream {
  #over = false;
  #ended: (() => void) | undefined;

  constructor(private readonly call: Stream, private readonly told?: (event: AgentEvent) => void) {
    onStreamEnd(call, () => {
      this.#over = true;
      this.#ended?.();
    });
  }

  /** Calls `ended` when the stream is over, now if it is. */
  onEnd(ended: () => void): void {
    this.#ended = ended;
    if (this.#over) ended();
  }

  send(event: AgentEvent): boolean {
    if (this.#over) return true;
    this.told?.(event);
    return this.call.write({ event: encodeEvent(event) });
  }

  end(why: string): void {
    if (this.#over) return;
    this.#over = true;
    failStream(this.call, new Status(grpc.status.UNAVAILABLE, why));
  }

  pause(): void {
    this.call.pause();
  }

  resume(): void {
    this.call.resume();
  }
}

/** Events without a stream back: they are processed as those of the agent's stream are. */
async function push(
  admission: Admission,
  caller: Caller,
  call: Pushed,
  tell: Tell | undefined,
): Promise<eventstreamapi.PushSummary> {
  let received = 0;
  let processed = 0;
  for await (const message of call) {
    received++;
    const event = decodeEvent((message as Wire).event);
    if ("problem" in event) throw new Status(grpc.status.INVALID_ARGUMENT, event.problem);
    if (tell) tellEvent(tell, "received", caller.name, event);
    if (await admission.process(caller, event)) processed++;
  }
  return { result: "ok", received, processed };
}
