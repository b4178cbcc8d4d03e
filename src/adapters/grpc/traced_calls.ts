/**
 * Calls as spans. A server's call continues the trace that its metadata names, and its handler runs in that span; a client's call is a span
 * where the code that makes it runs in one. What a pair says to each other all the time belongs to no trace.
 */
import grpc from "@grpc/grpc-js";
import { traceOf } from "../../domain/events/trace.ts";
import type { Span, Tracing } from "../../principal/ports/tracing.ts";

/** Calls of the peer: they are traced as parts of an operation. */
const OF_THE_PEER = "/argocdagentha.v1.Link/";
/** Asked all the time, and every few milliseconds by an operation that waits. */
const QUESTION = `${OF_THE_PEER}Ask`;
const MAX_NAME = 128;

/** For a server: each call is a span, as long as it is open. */
export function tracedCalls(tracing: Tracing): grpc.ServerInterceptor {
  return ({ path }, call) => {
    let span: Span | undefined;
    const begun = (metadata: grpc.Metadata) => {
      const [traceparent, tracestate] = ["traceparent", "tracestate"].map((name) => metadata.get(name)[0]);
      const parent = traceOf({ traceparent, tracestate });
      if (!parent && path.startsWith(OF_THE_PEER)) return undefined;
      return tracing.begin(nameOf(path), parent, { kind: "server", attributes: attributesOf(path) });
    };
    const inside = <T extends unknown[]>(next: (...given: T) => void) => (...given: T) =>
      tracing.within(span, () => next(...given));
    const listener = new grpc.ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        span = begun(metadata);
        inside(next)(metadata);
      })
      .withOnReceiveMessage((message, next) => inside(next)(message))
      .withOnReceiveHalfClose((next) => inside(next)())
      .withOnCancel(() => span?.end("cancelled"))
      .build();
    return new grpc.ServerInterceptingCall(call, {
      start: (next) => next(listener),
      sendStatus: (status, next) => {
        ended(span, status);
        next(status);
      },
    });
  };
}

/** For a client: a call that an operation makes is a span, and the server hears which. */
export function tracedDials(tracing: Tracing): grpc.Interceptor {
  return (options, nextCall) => {
    const { path } = options.method_definition;
    const parent = path === QUESTION ? undefined : tracing.current();
    if (!parent) return new grpc.InterceptingCall(nextCall(options));
    const span = tracing.begin(nameOf(path), parent, { kind: "client", attributes: attributesOf(path) });
    return new grpc.InterceptingCall(nextCall(options), {
      start: (metadata, _listener, next) => {
        for (const [name, value] of Object.entries(span.trace ?? {})) metadata.set(name, value);
        next(metadata, {
          onReceiveStatus: (status, pass) => {
            ended(span, status);
            pass(status);
          },
        });
      },
    });
  };
}

function ended(
  span: Span | undefined,
  { code, details = "" }: { code?: grpc.status | null; details?: string | null },
): void {
  span?.set({ "rpc.grpc.status_code": code ?? grpc.status.UNKNOWN });
  if (code === grpc.status.OK) span?.end();
  else span?.end(details ?? "");
}

function nameOf(path: string): string {
  return path.slice(1, MAX_NAME);
}

function attributesOf(path: string) {
  const [service = "", method = ""] = nameOf(path).split("/");
  return { "rpc.system": "grpc", "rpc.service": service, "rpc.method": method };
}
