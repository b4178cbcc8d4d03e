/** Tells a counter of each call of a server: its beginning, its messages, and the code with which it ended. */
import grpc from "@grpc/grpc-js";
import type { CallCounting, CallKind } from "../../principal/ports/telemetry.ts";

/** The parts of grpc-js' innermost call that are needed: its types say less than it has. */
interface BaseCall extends grpc.ServerInterceptingCallInterface {
  readonly stream: { once(event: "close", listener: () => void): void };
}

/** The same interceptor, with every call of it counted; it must be the innermost one, so that refusals count too. */
export function measuredCalls(
  counting: CallCounting,
  interceptor: grpc.ServerInterceptor,
): grpc.ServerInterceptor {
  return (definition, inner) => {
    const call = inner as BaseCall;
    const meter = counting.started(kindOf(definition));
    const [start, sendMessage, sendStatus] = [
      call.start.bind(call),
      call.sendMessage.bind(call),
      call.sendStatus.bind(call),
    ];
    call.start = (listener) =>
      start({
        onReceiveMetadata: (metadata) => listener.onReceiveMetadata(metadata),
        onReceiveMessage: (message) => {
          meter.received();
          listener.onReceiveMessage(message);
        },
        onReceiveHalfClose: () => listener.onReceiveHalfClose(),
        onCancel: () => listener.onCancel(),
      });
    call.sendMessage = (message, sent) => {
      meter.sent();
      sendMessage(message, sent);
    };
    call.sendStatus = (status) => {
      meter.handled(nameOf(status.code ?? grpc.status.UNKNOWN));
      sendStatus(status);
    };
    // A client that went away hears no status.
    call.stream.once("close", () => meter.handled(nameOf(grpc.status.CANCELLED)));
    return interceptor(definition, call);
  };
}

type Definition = Parameters<grpc.ServerInterceptor>[0];

function kindOf({ path, requestStream, responseStream }: Definition): CallKind {
  const [, service = "", method = ""] = path.split("/");
  const streams = responseStream ? "server_stream" : "unary";
  const type = requestStream ? responseStream ? "bidi_stream" : "client_stream" : streams;
  return { type, service, method };
}

/** A code in the spelling of Go's libraries: `DeadlineExceeded`. */
function nameOf(code: grpc.status): string {
  if (code === grpc.status.OK) return "OK";
  if (code === grpc.status.CANCELLED) return "Canceled";
  const name = grpc.status[code] ?? "UNKNOWN";
  return name.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
