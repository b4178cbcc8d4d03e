/**
 * Terminals over WebSocket, in the protocol that Kubernetes' clients speak. A refusal that comes once the client is known to speak it goes
 * over the channel of the status: clients take a failed upgrade for an old server, and would try another protocol and hide the reason.
 *
 * Invariant: each way is read only as fast as it is taken; a client that takes nothing, or that is gone without a word, is cut.
 */
import { Buffer } from "node:buffer";
import { type IncomingMessage, type Server, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";
import { monotonicMs } from "../../base/clock.ts";
import { TERMINAL_BUFFER_BYTES, type TerminalInput, terminalQueue } from "../../domain/proxy/terminal.ts";
import {
  closeCodeOf,
  inputOf,
  messageOf,
  type Protocol,
  protocolOf,
  PROTOCOLS,
  refusalMessage,
} from "../../domain/proxy/terminal_channels.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { AdmittedTerminal, ResourceProxy } from "../../principal/ports/resource_proxy.ts";
import type { OpenTerminal } from "../../principal/ports/terminals.ts";
import type { Gate } from "../net/gate.ts";
import { resumeReading, stopReading } from "../net/reading.ts";

/** A client is asked for a sign of life this often, gives one, and takes what was sent, within these times. */
export interface TerminalDoorTiming {
  pingMs: number;
  silentMs: number;
  stuckMs: number;
}

export const TERMINAL_DOOR_TIMING: TerminalDoorTiming = { pingMs: 15_000, silentMs: 60_000, stuckMs: 60_000 };
/** Answers to a client's pings that wait for it to read. */
const MAX_PONG_BYTES = 4_096;
/** Text: no client of the protocol sends any. */
const UNSUPPORTED = 1_003;

/** The client of a refused upgrade has read why, and closed its end, within this time. */
const REFUSED_MS = 5_000;

export const NO_UPGRADE = `a terminal needs an upgrade to WebSocket with the subprotocol ${
  PROTOCOLS.join(" or ")
}`;

export interface TerminalDoorParts {
  admit(request: IncomingMessage): ReturnType<ResourceProxy["admit"]>;
  refuse: ResourceProxy["refuse"];
  gate: Pick<Gate, "busy">;
  timing: TerminalDoorTiming;
}

export class TerminalDoor {
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: TERMINAL_BUFFER_BYTES,
    autoPong: false,
    clientTracking: false,
    handleProtocols: (offered) => protocolOf(offered) ?? false,
  });

  /** Connections that HTTP has let go. */
  readonly #connections = new Set<Duplex>();

  constructor(private readonly parts: TerminalDoorParts) {}

  attach(server: Pick<Server, "on">): void {
    server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      socket.on("error", () => {});
      this.#connections.add(socket);
      const over = this.parts.gate.busy(request.socket);
      socket.once("close", () => {
        this.#connections.delete(socket);
        over();
      });
      this.#upgrade(request, socket, head).catch(() => socket.destroy());
    });
  }

  /** Ends every terminal. */
  close(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const admitted = await this.parts.admit(request);
    if (socket.destroyed) return;
    if ("status" in admitted) return refuseRaw(socket, admitted);
    if (!("terminal" in admitted)) {
      return refuseRaw(socket, this.parts.refuse(400, "only a request for a terminal may be upgraded"));
    }
    const problem = problemOf(request);
    if (problem) return refuseRaw(socket, this.parts.refuse(problem.code, problem.message));
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      new TerminalSocket(webSocket, socket, this.parts.timing).serve(admitted).catch(() =>
        webSocket.terminate()
      );
    });
  }
}

/** One terminal's WebSocket. */
class TerminalSocket {
  readonly #gone = new AbortController();
  readonly #input: ReadableStream<TerminalInput>;
  #heardAtMs = monotonicMs();
  #reading = true;

  /** @param connection that the WebSocket goes over */
  constructor(
    private readonly socket: WebSocket,
    private readonly connection: Duplex,
    private readonly timing: TerminalDoorTiming,
  ) {
    socket.on("error", () => {});
    this.#input = new ReadableStream<TerminalInput>({
      start: (controller) => this.#listen(controller),
      pull: () => this.#read(true),
      cancel: () => this.#read(true),
    }, terminalQueue());
    this.#watch();
  }

  async serve({ terminal }: AdmittedTerminal): Promise<void> {
    const answer = await terminal({ input: this.#input, signal: this.#gone.signal });
    if ("status" in answer) {
      await this.#send(refusalMessage(answer.body));
      return this.socket.close(1_000);
    }
    await this.#show(answer);
  }

  async #show({ output }: OpenTerminal): Promise<void> {
    for await (const part of output) {
      if (this.#gone.signal.aborted) return;
      await this.#send(messageOf(part));
      if ("end" in part) this.socket.close(closeCodeOf(part.end));
    }
  }

  /** Resolves when the message has left. @throws Error where the client is gone, or takes nothing */
  #send(message: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      const stuck = setTimeout(() => this.socket.terminate(), this.timing.stuckMs);
      this.socket.send(message, (error) => {
        clearTimeout(stuck);
        if (error) reject(error);
        else resolve();
      });
    });
  }

  #read(on: boolean): void {
    if (on === this.#reading) return;
    this.#reading = on;
    if (on) resumeReading(this.connection);
    else stopReading(this.connection);
  }

  #listen(controller: ReadableStreamDefaultController<TerminalInput>): void {
    const { socket } = this;
    socket.on("message", (data: Uint8Array, isBinary: boolean) => {
      this.#heardAtMs = monotonicMs();
      if (!isBinary) return socket.close(UNSUPPORTED, "only binary messages are served");
      const input = inputOf(data, socket.protocol as Protocol);
      if (!input || this.#gone.signal.aborted) return;
      try {
        controller.enqueue(input);
      } catch {
        return; // The terminal has ended.
      }
      if ((controller.desiredSize ?? 0) <= 0) this.#read(false);
    });
  }

  /** Ends what is gone: a socket that closed, and one that gives no sign of life. */
  #watch(): void {
    const { socket, timing } = this;
    const heard = () => this.#heardAtMs = monotonicMs();
    socket.on("pong", heard);
    socket.on("ping", (data: Uint8Array) => {
      heard();
      if (socket.bufferedAmount < MAX_PONG_BYTES) socket.pong(data);
    });
    const timer = setInterval(() => {
      // Of one that is not read, no sign is seen.
      if (!this.#reading) heard();
      if (monotonicMs() - this.#heardAtMs > timing.silentMs) return socket.terminate();
      if (socket.readyState === WebSocket.OPEN && socket.bufferedAmount < MAX_PONG_BYTES) socket.ping();
    }, timing.pingMs);
    socket.on("close", () => {
      clearInterval(timer);
      this.#gone.abort(new Error("the caller is gone"));
    });
  }
}

/** Why a request is no terminal's upgrade; undefined: it is one. */
function problemOf({ method, headers }: IncomingMessage): { code: number; message: string } | undefined {
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((one) => one.trim());
  const isWebSocket = method === "GET" && headers.upgrade?.toLowerCase() === "websocket";
  if (!isWebSocket || !protocolOf(offered)) return { code: 400, message: NO_UPGRADE };
  const { origin } = headers;
  if (origin === undefined || hostOf(origin) === headers.host) return undefined;
  return { code: 403, message: `a page of ${origin.slice(0, 200)} may open no terminal here` };
}

function hostOf(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

/** Answers over a connection that HTTP has let go, and closes it. */
export function refuseRaw(socket: Duplex, { status, body, retryAfterS }: HttpAnswer): void {
  const bytes = Buffer.from(body);
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`,
    "Content-Type: application/json",
    `Content-Length: ${bytes.length}`,
    ...(retryAfterS === undefined ? [] : [`Retry-After: ${retryAfterS}`]),
    "Connection: close",
  ];
  socket.on("error", () => {});
  const timer = setTimeout(() => socket.destroy(), REFUSED_MS);
  socket.once("close", () => clearTimeout(timer));
  socket.end(Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), bytes]));
}
