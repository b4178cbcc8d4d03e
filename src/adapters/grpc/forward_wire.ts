/** The messages of one `Link/Forward` stream, to and from their wire form. */
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { type AgentEvent, decodeEvent, encodeEvent } from "../../domain/events/cloudevent.ts";
import type { CloudEvent } from "../../domain/events/messages.ts";
import { traceOf } from "../../domain/events/trace.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import { MODES } from "../../domain/resources/roster.ts";
import type { ForwardedReply, ForwardedRequest } from "../../principal/ports/forwarding.ts";
import { REQUEST_FAILURES, REQUEST_TARGETS } from "../../principal/ports/requests.ts";

type RequestWire = argocdagentha.v1.ForwardedRequest;
type ReplyWire = argocdagentha.v1.ForwardedReply;

export function forwardedRequestToWire(request: ForwardedRequest): RequestWire {
  const { call } = request;
  if (request.do === "withdraw") return { call, withdrawn: true };
  const { agent, target, type, id, payload, timeoutMs, afterAckMs, trace } = request;
  return {
    call,
    agent,
    event: encodeEvent({ type, target, extensions: { resourceid: id, eventid: id, ...trace }, payload }),
    timeoutMs,
    ...(afterAckMs === undefined ? {} : { afterAckMs }),
  };
}

/** @throws Refusal for what is no request */
export function forwardedRequestFromWire(wire: RequestWire): ForwardedRequest {
  const { call = 0, withdrawn, agent = "", timeoutMs = 0, afterAckMs } = wire;
  if (withdrawn) return { do: "withdraw", call };
  const { target, type, payload, extensions } = eventOf(wire.event);
  const known = REQUEST_TARGETS.find((one) => one === target);
  if (!known) throw new Refusal(`no request is forwarded to "${target.slice(0, 64)}"`, "request");
  return {
    do: "ask",
    call,
    agent,
    target: known,
    type,
    id: extensions.eventid ?? "",
    payload: payload ?? new Uint8Array(),
    timeoutMs,
    afterAckMs: afterAckMs ?? undefined,
    trace: traceOf(extensions),
  };
}

export function forwardedReplyToWire(reply: ForwardedReply): ReplyWire {
  switch (reply.say) {
    case "answer":
      return { call: reply.call, event: encodeEvent(reply.event) };
    case "failure": {
      const { call, kind, message, sent } = reply;
      return { call, failure: { kind, message, sent } };
    }
    case "event":
      return { agent: reply.agent, event: encodeEvent(reply.event) };
    case "stream":
      return { agent: reply.agent, stream: { mode: reply.mode ?? "" } };
  }
}

/** Undefined: nothing that this release knows. */
export function forwardedReplyFromWire(wire: ReplyWire): ForwardedReply | undefined {
  const { call = 0, agent = "", event, failure, stream } = wire;
  if (failure) {
    const { kind = "", message = "", sent = true } = failure;
    const known = REQUEST_FAILURES.find((one) => one === kind);
    return { say: "failure", call, kind: known ?? "left", message, sent };
  }
  if (stream) return { say: "stream", agent, mode: MODES.find((mode) => mode === stream.mode) };
  if (!event) return undefined;
  const said = eventOf(event);
  return call === 0 ? { say: "event", agent, event: said } : { say: "answer", call, event: said };
}

/** @throws Refusal */
function eventOf(wire: CloudEvent | undefined): AgentEvent {
  const event = decodeEvent(wire);
  if ("problem" in event) throw new Refusal(`not an event: ${event.problem}`, "request");
  return event;
}
