/**
 * Keeps every call of a server within its bounds (call_bounds.ts), before a handler sees it. Messages are unpacked one at a time, when their
 * turn comes and only up to their bound; a request that never ends, and a stream that its client leaves open, are cut.
 */
import grpc from "@grpc/grpc-js";
import { sourceOf } from "../net/addresses.ts";
import { CALL_BOUNDS, type CallBounds, CLIENTS_AN_ADDRESS } from "./call_bounds.ts";
import { cutEvents, type ReadingCall } from "./cut_events.ts";
import { REFUSAL_DELAY_MS } from "./pacing.ts";
import { Places } from "./places.ts";

/** A stream that was answered is closed after this time, should its client not do so. */
const LINGER_MS = 10_000;
const NOTHING_KNOWN: CallBounds = { bytes: 0, perClient: 1, inAll: 1 };
/** Services of agents: they survive UNAVAILABLE only. */
const OF_AGENTS = /^\/(eventstreamapi|authapi|versionapi)\./;

type ConnectionInfo = ReturnType<grpc.ServerInterceptingCallInterface["getConnectionInfo"]>;

interface QueueEntry {
  type: "COMPRESSED" | "READABLE" | "HALF_CLOSE";
}

/** The parts of grpc-js' innermost call that are needed: its types say less than it has. */
interface BaseCall extends grpc.ServerInterceptingCallInterface, ReadingCall {
  readonly stream: {
    readonly closed: boolean;
    /** Of a WebSocket: the largest that it carries. */
    readonly maxMessageBytes?: number;
    close(code: number): void;
    once(event: "close", listener: () => void): void;
  };
  readonly readQueue: QueueEntry[];
  readonly receivedHalfClose: boolean;
  decoder: ReadingCall["decoder"] & { maxReadMessageLength?: number };
  maxReceiveMessageSize: number;
  maxSendMessageSize: number;
  decompressAndMaybePush(entry: QueueEntry): Promise<void>;
  maybePushNextMessage(): void;
}

/** RFC 9113: the stream is no longer needed. */
const CANCEL = 8;

/** @param clientOf the certificate of a connection; undefined: it has none */
export function boundedCalls(
  maxMessageBytes: number,
  clientOf: (connection: ConnectionInfo) => string | undefined,
  requestMs: number,
): grpc.ServerInterceptor {
  const places = new Places();
  return ({ path, requestStream }, inner) => {
    const call = inner as BaseCall;
    const { bytes, perClient, inAll, cut } = CALL_BOUNDS.get(path) ?? NOTHING_KNOWN;
    call.maxReceiveMessageSize = Math.min(bytes, maxMessageBytes);
    call.maxSendMessageSize = Math.min(call.stream.maxMessageBytes ?? maxMessageBytes, maxMessageBytes);
    call.decoder.maxReadMessageLength = call.maxReceiveMessageSize;
    if (cut) cutEvents(call, call.maxReceiveMessageSize, maxMessageBytes);
    unpackInTurn(call);
    endInTime(call, requestStream ? undefined : requestMs, OF_AGENTS.test(path));
    const info = call.getConnectionInfo();
    const certificate = clientOf(info);
    const client = `${path} ${certificate ?? sourceOf(info.remoteAddress ?? "")}`;
    const entered = places.take(
      client,
      certificate === undefined ? perClient * CLIENTS_AN_ADDRESS : perClient,
    );
    const admitted = entered && places.take(path, inAll);
    call.stream.once("close", () => {
      if (entered) places.leave(client);
      if (admitted) places.leave(path);
    });
    if (admitted) return new grpc.ServerInterceptingCall(call);
    const details = entered
      ? `${inAll} calls of this kind are open here, and no more are taken; try again later`
      : "this client has too many calls of this kind open; end some of them";
    return new grpc.ServerInterceptingCall(call, {
      start: () =>
        void setTimeout(
          () => call.sendStatus({ code: grpc.status.RESOURCE_EXHAUSTED, details }),
          REFUSAL_DELAY_MS,
        ),
    });
  };
}

/** Unpacks and parses only the message whose turn it is: a frame may hold a thousand small ones that unpack to a thousand times their size. */
function unpackInTurn(call: BaseCall): void {
  const unpack = call.decompressAndMaybePush.bind(call);
  const push = call.maybePushNextMessage.bind(call);
  let begun: QueueEntry | undefined;
  const next = async () => {
    const [head] = call.readQueue;
    if (!head || head.type !== "COMPRESSED" || head === begun) return;
    begun = head;
    await unpack(head);
  };
  call.decompressAndMaybePush = next;
  call.maybePushNextMessage = () => {
    push();
    void next();
  };
}

/** @param requestMs the time for the only request; undefined: there are more */
function endInTime(call: BaseCall, requestMs: number | undefined, ofAgents: boolean): void {
  const send = call.sendStatus.bind(call);
  let answered = false;
  call.sendStatus = (status) => {
    const code = ofAgents && status.code === grpc.status.RESOURCE_EXHAUSTED
      ? grpc.status.UNAVAILABLE
      : status.code;
    send({ ...status, code });
    if (answered) return;
    answered = true;
    // A client that has said everything may take its time to read.
    if (call.receivedHalfClose) return;
    const timer = setTimeout(() => call.stream.closed || call.stream.close(CANCEL), LINGER_MS);
    call.stream.once("close", () => clearTimeout(timer));
  };
  if (requestMs === undefined) return;
  const timer = setTimeout(() => {
    if (call.receivedHalfClose || answered) return;
    const details = `the request did not arrive as a whole within ${requestMs / 1_000} s`;
    call.sendStatus({ code: grpc.status.DEADLINE_EXCEEDED, details });
  }, requestMs);
  call.stream.once("close", () => clearTimeout(timer));
}
