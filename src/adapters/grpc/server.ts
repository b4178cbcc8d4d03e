/**
 * The agents' port: one grpc-js server with TLS 1.3, client certificates, certificates that can be exchanged
 * under open streams, keepalive pings and the message limit.
 */
import { constants, type ServerHttp2Stream } from "node:http2";
import grpc from "@grpc/grpc-js";
import { deadline } from "@std/async/deadline";
import type { ServedStream, StreamEvents } from "../../principal/ports/stream.ts";
import type { TlsVersions } from "../net/listening.ts";
import type { Tracing } from "../../principal/ports/tracing.ts";
import type { TlsMaterial } from "../tls/files.ts";
import type { CallCounting } from "../../principal/ports/telemetry.ts";
import type { Gate, Listening } from "../net/gate.ts";
import { boundedCalls } from "./bounded_calls.ts";
import { CALL_BOUNDS, CALLS_A_CONNECTION, REQUEST_MS } from "./call_bounds.ts";
import { measuredCalls } from "./measured_calls.ts";
import type { OpenCalls } from "./open_calls.ts";
import { REFUSAL_DELAY_MS } from "./pacing.ts";
import { toStatus } from "./status.ts";
import { tracedCalls } from "./traced_calls.ts";
import type { Http2Server, WebSockets } from "./websockets.ts";

// Failures reach the operator once, through our own messages.
grpc.setLogVerbosity(grpc.logVerbosity.NONE);

/** Pings an idle connection this often and closes it after as long without an answer: a half-open one ends in 10 s. */
const KEEPALIVE_MS = 5_000;

const OPTIONS: grpc.ChannelOptions = {
  "grpc.max_concurrent_streams": CALLS_A_CONNECTION,
  "grpc.keepalive_time_ms": KEEPALIVE_MS,
  "grpc.keepalive_timeout_ms": KEEPALIVE_MS,
};

type ContextOptions = Pick<TlsMaterial, "ca" | "cert" | "key"> & TlsVersions;

/** grpc-js' server credentials are made for subclasses like its own; their types say less than they do. */
const BaseCredentials = grpc.ServerCredentials as unknown as new (
  constructorOptions: Record<string, unknown>,
  contextOptions: ContextOptions,
) => grpc.ServerCredentials & { updateSecureContextOptions(options: ContextOptions): void };

/** Server credentials whose certificate can be exchanged while streams are open. */
export class RotatingCredentials extends BaseCredentials {
  constructor(
    material: TlsMaterial,
    private readonly versions: TlsVersions,
    requireClientCertificate: boolean,
  ) {
    const constructorOptions = {
      requestCert: true,
      rejectUnauthorized: requireClientCertificate,
      ...versions,
    };
    super(constructorOptions, context(material, versions));
  }

  rotate(material: TlsMaterial): void {
    this.updateSecureContextOptions(context(material, this.versions));
  }

  _equals(other: unknown): boolean {
    return this === other;
  }
}

function context({ ca, cert, key }: TlsMaterial, { minVersion, maxVersion }: TlsVersions): ContextOptions {
  return { ca, cert, key, minVersion, maxVersion };
}

/** The parts that see the calls of a server. */
interface Watching {
  openCalls?: Pick<OpenCalls, "interceptor" | "certificateOf">;
  counting?: CallCounting;
  tracing?: Tracing;
  requestMs?: number;
}

/** A server without services yet. */
export function createServer(
  maxMessageBytes: number,
  { openCalls, counting, tracing, requestMs = REQUEST_MS }: Watching = {},
): grpc.Server {
  const certificateOf = openCalls?.certificateOf.bind(openCalls) ?? (() => undefined);
  const bounds = boundedCalls(maxMessageBytes, certificateOf, requestMs);
  const bounded = counting ? measuredCalls(counting, bounds) : bounds;
  return new grpc.Server({
    ...OPTIONS,
    // The bounds are the innermost: they see the call before anything of it is read.
    interceptors: [
      bounded,
      ...(openCalls ? [openCalls.interceptor] : []),
      ...(tracing?.on ? [tracedCalls(tracing)] : []),
    ],
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
  });
}

/**
 * Listens; resolves with the port.
 *
 * @param webSockets serves what is not HTTP/2; absent: nothing does
 * @throws Error with the address and the reason
 */
export function listen(
  server: grpc.Server,
  address: string,
  credentials: grpc.ServerCredentials,
  gate?: Gate,
  webSockets?: Pick<WebSockets, "attach">,
): Promise<number> {
  return new Promise((resolve, reject) =>
    server.bindAsync(address, credentials, (error, port) => {
      if (error) {
        const reason = /\[listen (\w+: [^\]]*?)(?: \d[^\]]*)?\]/.exec(error.message)?.[1] ?? error.message;
        return reject(new Error(`cannot listen on ${address}: ${reason}`));
      }
      sendNoGoaway(server);
      if (webSockets) serveWebSockets(server, webSockets);
      // It sees a connection before anybody else does.
      if (gate) guard(server, gate);
      resolve(port);
    })
  );
}

/** The parts of grpc-js' server and of HTTP/2 sessions that the workaround needs. */
interface Http2Servers {
  http2Servers: Map<
    & Listening
    & {
      prependListener(event: "session", listener: (session: { goaway(): void }) => void): void;
      prependListener(event: "stream", listener: (stream: ServerHttp2Stream, headers: Headers) => void): void;
    },
    unknown
  >;
}

type Headers = Record<string, unknown>;

/** A stream that is no call is answered by grpc-js, and closed after this time should its client not do so. */
const NO_CALL_MS = 5_000;

/** Lets a gate see the connections of a server and when they are in use. */
function guard(server: grpc.Server, gate: Gate): void {
  for (const http2Server of (server as unknown as Http2Servers).http2Servers.keys()) {
    gate.guard(http2Server);
    http2Server.prependListener("stream", (stream: ServerHttp2Stream, headers: Headers) => {
      stream.once("close", gate.busy(stream.session?.socket ?? {}));
      const isCall = String(headers["content-type"]).startsWith("application/grpc");
      if (isCall && CALL_BOUNDS.has(String(headers[":path"]))) return;
      const timer = setTimeout(() => stream.closed || stream.close(constants.NGHTTP2_CANCEL), NO_CALL_MS);
      stream.once("close", () => clearTimeout(timer));
    });
  }
}

/**
 * Deno 2.9's native HTTP/2 corrupts memory when a server answers a client's GOAWAY with one of its own while a
 * response has just been sent: about one connection in a thousand took the whole process down ("find_stream_on_goaway
 * … Assertion failed", or a segmentation fault). Without the answer nothing is lost: the session still ends when
 * its last stream has, and the client sees the connection close. tests/wire/churn_test.ts holds this in place.
 */
function sendNoGoaway(server: grpc.Server): void {
  for (const http2Server of (server as unknown as Http2Servers).http2Servers.keys()) {
    http2Server.prependListener("session", (session) => session.goaway = () => {});
  }
}

function serveWebSockets(server: grpc.Server, webSockets: Pick<WebSockets, "attach">): void {
  for (
    const http2Server of (server as unknown as { http2Servers: Map<Http2Server, unknown> }).http2Servers
      .keys()
  ) {
    webSockets.attach(http2Server);
  }
}

/** Listens without TLS; for the loopback admin listener, and behind a proxy that has it. */
export function listenPlaintext(
  server: grpc.Server,
  address: string,
  gate?: Gate,
  webSockets?: Pick<WebSockets, "attach">,
): Promise<number> {
  return listen(server, address, grpc.ServerCredentials.createInsecure(), gate, webSockets);
}

/** Lets calls end for `graceMs`, then cuts them. */
export async function shutdown(server: grpc.Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  await deadline(closed, graceMs).catch(() => {});
  server.forceShutdown();
}

/** A unary handler from an async function; anything thrown becomes a status. */
export function unary<Q, S>(
  answer: (request: Q, call: grpc.ServerUnaryCall<Q, S>) => Promise<S> | S,
): grpc.handleUnaryCall<Q, S> {
  return (call, callback) => {
    Promise.resolve().then(() => answer(call.request, call)).then(
      (response) => callback(null, response),
      (error) => callback(toStatus(error)),
    );
  };
}

/** Calls `ended` once when a stream is over, however it ends, and ends our side of it too. */
export function onStreamEnd(
  call: { on(event: string, listener: () => void): unknown; end(): void },
  ended: () => void,
): void {
  let over = false;
  const finish = () => {
    if (over) return;
    over = true;
    ended();
    call.end();
  };
  for (const event of ["end", "cancelled", "error", "close"]) call.on(event, finish);
}

/** Ends a stream that was never served with a status, paced. */
export function refuseStream(call: Parameters<typeof onStreamEnd>[0] & Failing, error: unknown): void {
  const timer = setTimeout(() => failStream(call, error), REFUSAL_DELAY_MS);
  onStreamEnd(call, () => clearTimeout(timer));
}

interface Failing {
  emit(event: "error", status: unknown): boolean;
}

/** Serves a bidirectional stream: what `open` returns gets its messages; one that decodes to undefined is skipped. */
export function serveStream<Q, S, Heard, Sent>(
  call: grpc.ServerDuplexStream<Q, S>,
  { decode, encode }: { decode(wire: Q): Heard | undefined; encode(message: Sent): S },
  open: (stream: ServedStream<Sent>) => StreamEvents<Heard>,
): void {
  let over = false;
  const ending = (end: (error: unknown) => void) => (error: unknown) => {
    if (over) return;
    over = true;
    end(error);
  };
  const events = open({
    send: (message) => over || call.write(encode(message)),
    fail: ending((error) => failStream(call, error)),
    refuse: ending((error) => refuseStream(call, error)),
  });
  call.on("data", (wire: Q) => {
    if (over) return;
    try {
      const message = decode(wire);
      if (message !== undefined) events.received(message);
    } catch (error) {
      ending((reason) => failStream(call, reason))(error);
    }
  });
  call.on("drain", () => events.drained());
  onStreamEnd(call, () => {
    over = true;
    events.closed();
  });
}

/** Ends a stream with a status. */
export function failStream(call: Failing, error: unknown): void {
  call.emit("error", toStatus(error));
}
