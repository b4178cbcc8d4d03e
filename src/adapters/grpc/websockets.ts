/**
 * HTTP/1.1 at the agents' port (`--enable-websocket`): the same listener hands over what is not HTTP/2, and each WebSocket becomes a
 * call of the gRPC server. Everything that guards the listener, its connections and its calls stays in front of both.
 */
import { Buffer } from "node:buffer";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import tls from "node:tls";
import { CALL_BOUNDS } from "./call_bounds.ts";
import { type WebSocket, WebSocketServer } from "./websocket.ts";
import { MAX_FRAME_BYTES, PREFIX_BYTES, SUBPROTOCOL } from "./websocket_frames.ts";
import { pinged, PINGS } from "./websocket_pings.ts";
import { WebSocketStream } from "./websocket_stream.ts";

/** A client has this long to answer a close frame. */
const CLOSE_MS = 5_000;
/** The first bytes of HTTP/2 without TLS. */
const PREFACE = "PRI";
/** Headers of the handshake, which are none of the call. */
const OF_HANDSHAKE =
  /^(connection|upgrade|host|keep-alive|content-length|transfer-encoding|sec-websocket-.*)$/;

/** The parts of grpc-js' HTTP/2 servers that are needed here. */
export interface Http2Server {
  listeners(event: "connection"): ((socket: Socket) => void)[];
  removeAllListeners(event: "connection"): unknown;
  on(event: "connection" | "unknownProtocol", listener: (socket: Socket) => void): unknown;
  emit(event: "stream", stream: WebSocketStream, headers: Record<string, unknown>): boolean;
}

/** A function of node:tls that its types leave out: what the handshakes of a server offer from now on. */
const { convertALPNProtocols } = tls as unknown as {
  convertALPNProtocols(names: string[], server: object): void;
};

export class WebSockets {
  readonly #servers = new Map<number, WebSocketServer>();
  readonly #open = new Set<WebSocketStream>();

  constructor(private readonly maxMessageBytes: number, private readonly pings = PINGS) {}

  /** Serves the connections of a server that are not HTTP/2, from now on. */
  attach(http2Server: Http2Server): void {
    const http = this.#httpOf(http2Server);
    const over = (socket: Socket) => void http.emit("connection", socket);
    if (!("setSecureContext" in http2Server)) return byFirstBytes(http2Server, over);
    // node:http2 offers HTTP/1.1 only where it serves it itself, and then without a way to tell its requests from those of HTTP/2.
    convertALPNProtocols(["h2", "http/1.1"], http2Server);
    http2Server.on("unknownProtocol", over);
  }

  /** Ends the calls that are open. */
  close(): void {
    for (const stream of this.#open) stream.destroy();
  }

  #httpOf(http2Server: Http2Server): Server {
    const http = createServer((request, response) => refuse(request, response));
    http.on("clientError", (_, socket) => socket.destroy());
    http.on("upgrade", (request, socket, head) => {
      socket.on("error", () => {});
      const problem = problemOf(request);
      if (problem) return void socket.end(answer(problem));
      this.#server(request.url ?? "").handleUpgrade(
        request,
        socket,
        head,
        (webSocket) => this.#serve(http2Server, webSocket, request, socket as Socket),
      );
    });
    return http;
  }

  /** One for each size of messages, which the library bounds before it keeps anything of them. */
  #server(path: string): WebSocketServer {
    const { bytes = 0, cut = false } = CALL_BOUNDS.get(path) ?? {};
    const mostBytes = Math.min(cut ? Infinity : bytes, this.maxMessageBytes, MAX_FRAME_BYTES - PREFIX_BYTES);
    const maxPayload = mostBytes + PREFIX_BYTES;
    const found = this.#servers.get(maxPayload) ?? new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload,
      closeTimeout: CLOSE_MS,
      handleProtocols: () => SUBPROTOCOL,
    });
    this.#servers.set(maxPayload, found);
    return found;
  }

  #serve(
    http2Server: Http2Server,
    webSocket: WebSocket,
    { url, headers }: IncomingMessage,
    socket: Socket,
  ): void {
    const stream = new WebSocketStream(webSocket, socket);
    const ends = { reads: () => stream.reads, gone: () => void stream.destroy() };
    const unpinged = pinged(webSocket, socket, ends, this.pings);
    this.#open.add(stream);
    stream.once("close", () => {
      unpinged();
      this.#open.delete(stream);
    });
    http2Server.emit("stream", stream, {
      ...Object.fromEntries(Object.entries(headers).filter(([name]) => !OF_HANDSHAKE.test(name))),
      ":method": "POST",
      ":path": url,
      ":authority": headers.host,
    });
  }
}

/** Without TLS nothing but its first bytes tells the protocol of a connection. */
function byFirstBytes(http2Server: Http2Server, over: (socket: Socket) => void): void {
  const served = http2Server.listeners("connection");
  http2Server.removeAllListeners("connection");
  http2Server.on("connection", (socket) => {
    let head: Buffer = Buffer.alloc(0);
    const failed = () => {};
    const look = () => {
      head = Buffer.concat([head, socket.read() ?? Buffer.alloc(0)]);
      const begun = head.toString("latin1", 0, PREFACE.length);
      if (begun.length < PREFACE.length && PREFACE.startsWith(begun)) return;
      socket.off("readable", look).off("error", failed);
      socket.unshift(head);
      if (begun !== PREFACE) return over(socket);
      for (const listener of served) listener.call(http2Server, socket);
    };
    socket.on("error", failed).on("readable", look);
  });
}

interface Problem {
  status: string;
  text: string;
}

/** Why an upgrade is none to a call; undefined: it is one. */
function problemOf({ headers }: IncomingMessage): Problem | undefined {
  const protocols = (headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
  if (!protocols.includes(SUBPROTOCOL)) {
    return {
      status: "400 Bad Request",
      text: `only WebSockets of the subprotocol ${SUBPROTOCOL} are served`,
    };
  }
  // A page in a browser cannot set it: it can bring a client certificate, but no call.
  if (headers["content-type"]?.startsWith("application/grpc")) return undefined;
  return { status: "415 Unsupported Media Type", text: "the content type must be application/grpc" };
}

/** Answers what is no upgrade. */
function refuse({ headers }: IncomingMessage, response: ServerResponse): void {
  const isStripped = headers["sec-websocket-protocol"] !== undefined;
  const text = isStripped
    ? "the headers Connection: Upgrade and Upgrade: websocket are missing; the proxy in front must pass WebSockets on"
    : `this port serves gRPC, over HTTP/2 or WebSocket (${SUBPROTOCOL})`;
  response.writeHead(isStripped ? 400 : 404, { connection: "close", "content-type": "text/plain" });
  response.end(text);
}

function answer({ status, text }: Problem): string {
  const head = ["Connection: close", "Content-Type: text/plain", `Content-Length: ${text.length}`];
  return [`HTTP/1.1 ${status}`, ...head, "", text].join("\r\n");
}
