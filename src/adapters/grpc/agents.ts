/**
 * `eventstreamapi.EventStream`: the streams of agents. Everything is decided by the fleet; here are the token, the wire, and the codes
 * that a Go agent survives: it reconnects on OK, UNAVAILABLE, UNAUTHENTICATED and CANCELLED, and spins for ever on any other.
 */
import grpc from "@grpc/grpc-js";
import { delay } from "@std/async/delay";
import type { eventstreamapi } from "../../../proto/gen.d.ts";
import { type AgentEvent, decodeEvent, encodeEvent } from "../../domain/events/cloudevent.ts";
import type { Context } from "../../principal/core/context.ts";
import type { AgentStream, Caller } from "../../principal/active/fleet.ts";
import type { AuthenticatedCall } from "./auth.ts";
import type { Authenticator } from "./methods.ts";
import { failStream, onStreamEnd, REFUSAL_DELAY_MS, refuseStream, unary } from "./server.ts";
import { Status, survivable, toStatus } from "./status.ts";
import type { Tokens } from "./tokens.ts";

type Wire = eventstreamapi.Event;
type Stream = grpc.ServerDuplexStream<Wire, Wire>;
type Call = AuthenticatedCall & { metadata: grpc.Metadata };

const invalid = () => new Status(grpc.status.UNAUTHENTICATED, "invalid authentication data");

/** Who calls, by its token and, with mtls, by its certificate. @throws Status */
function callerOf(ctx: Context, authenticator: Authenticator, tokens: Tokens | undefined) {
  return async (call: Call): Promise<Caller> => {
    const token = String(call.metadata.get("authorization")[0] ?? "");
    const subject = await tokens?.verifyAccess(token).catch(() => undefined);
    if (!subject || subject.clientID === ctx.settings.namespace) throw invalid();
    const proof = authenticator.stillHolds(call, subject.clientID);
    if ("problem" in proof) {
      ctx.log.warn("agent's call refused", { agent: subject.clientID, reason: proof.problem });
      throw invalid();
    }
    mustServe(ctx);
    return { name: subject.clientID, mode: subject.mode, fingerprint: proof.fingerprint };
  };
}

export function eventStreamHandlers(
  ctx: Context,
  authenticator: Authenticator,
  tokens: Tokens | undefined,
): grpc.UntypedServiceImplementation {
  const caller = callerOf(ctx, authenticator, tokens);
  const paced = (call: Call) =>
    caller(call).catch(async (error) => {
      await delay(REFUSAL_DELAY_MS);
      throw error;
    });
  return {
    Subscribe: (stream: Stream) => {
      caller(stream).then((who) => serve(ctx, who, stream)).catch((error) =>
        refuseStream(stream, survivable(error))
      );
    },
    Push: (stream: grpc.ServerReadableStream<Wire, eventstreamapi.PushSummary>, answer: Answer) => {
      paced(stream).then((who) => push(ctx, who, stream)).then(
        (summary) => answer(null, summary),
        (error) => answer(toStatus(error)),
      );
    },
    Ping: unary<eventstreamapi.PingRequest, eventstreamapi.PongReply>(async (_, call) => {
      await paced(call);
      return {};
    }),
  };
}

type Answer = grpc.sendUnaryData<eventstreamapi.PushSummary>;

function mustServe(ctx: Context): void {
  if (ctx.activeScope()) return;
  const { state } = ctx.model();
  ctx.counters.increment("connectionsRejected", { state, reason: "not accepting connections" });
  throw new Status(grpc.status.UNAVAILABLE, `not accepting connections in state ${state}`);
}

async function serve(ctx: Context, caller: Caller, call: Stream): Promise<void> {
  const link = new Link(call);
  const attached = await ctx.fleet().attach(caller, link);
  if (!attached) return refuseStream(call, new Status(grpc.status.UNAVAILABLE, "not accepting connections"));
  link.onEnd(attached.closed);
  call.on("drain", attached.drained);
  call.on("data", (message: Wire) => {
    const event = decodeEvent(message.event);
    if (!("problem" in event)) return attached.received(event);
    const facts = { agent: caller.name, reason: event.problem };
    ctx.log.warn("stream of an agent ended: it sent what is no event", facts);
    link.end(`not an event: ${event.problem}`, false);
  });
}

/** A stream as the fleet uses it. */
class Link implements AgentStream {
  #over = false;
  #ended: (() => void) | undefined;

  constructor(private readonly call: Stream) {
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
    return this.#over || this.call.write({ event: encodeEvent(event) });
  }

  end(why: string, revoked: boolean): void {
    if (this.#over) return;
    this.#over = true;
    const code = revoked ? grpc.status.UNAUTHENTICATED : grpc.status.UNAVAILABLE;
    failStream(this.call, new Status(code, why));
  }

  pause(): void {
    this.call.pause();
  }

  resume(): void {
    this.call.resume();
  }
}

/** Events without a stream back: they are processed as those of the agent's stream are. @throws Status */
async function push(
  ctx: Context,
  caller: Caller,
  call: grpc.ServerReadableStream<Wire, eventstreamapi.PushSummary>,
): Promise<eventstreamapi.PushSummary> {
  let received = 0;
  let processed = 0;
  for await (const message of call) {
    received++;
    const event = decodeEvent((message as Wire).event);
    if ("problem" in event) throw new Status(grpc.status.INVALID_ARGUMENT, event.problem);
    mustServe(ctx);
    if (await ctx.fleet().process(caller, event)) processed++;
  }
  return { result: "ok", received, processed };
}
