/** A user of a terminal, who speaks the channel protocol over WebSocket as Kubernetes' clients do. */
import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { parseJson } from "../../src/base/json.ts";
import { PROTOCOLS } from "../../src/domain/proxy/terminal_channels.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { resumeReading, stopReading } from "../../src/adapters/net/reading.ts";
import { until } from "./principals.ts";

export const BOUND_MS = 30_000;
export const EXEC =
  "/api/v1/namespaces/shop/pods/web/exec?command=sh&container=main&stdin=true&stdout=true&stderr=true&tty=true";

export interface UserOptions {
  path?: string;
  protocols?: readonly string[];
  headers?: Record<string, string>;
}

/** How an upgrade was refused. */
interface Refused {
  status: number;
  text: string;
}

export class TerminalUser {
  readonly socket: WebSocket;
  /** Of channel 1. */
  text = "";
  bytes = 0;
  /** Of channel 3. */
  status: Record<string, unknown> | undefined;
  closed: number | undefined;
  refused: Refused | undefined;
  texts = 0;

  constructor(port: number, { cert, key, ca }: TlsMaterial, options: UserOptions = {}) {
    const { path = EXEC, protocols = PROTOCOLS, headers = {} } = options;
    this.socket = new WebSocket(`wss://localhost:${port}${path}`, protocols, { cert, key, ca, headers });
    this.socket.on("error", () => {});
    this.socket.on("unexpected-response", (_, response) => {
      const chunks: Uint8Array[] = [];
      response.on("data", (chunk: Uint8Array) => chunks.push(chunk));
      response.on("end", () => {
        const text = chunks.map((chunk) => new TextDecoder().decode(chunk)).join("");
        this.refused = { status: response.statusCode, text };
      });
    });
    this.socket.on("message", (data: Uint8Array, isBinary: boolean) => this.#take(data, isBinary));
    this.socket.on("close", (code: number) => this.closed = code);
  }

  #take(data: Uint8Array, isBinary: boolean): void {
    if (!isBinary) this.texts++;
    const rest = data.subarray(1);
    if (data[0] === 1) {
      this.bytes += rest.length;
      this.text = (this.text + new TextDecoder().decode(rest)).slice(-100_000);
    }
    if (data[0] === 3) this.status = parseJson(new TextDecoder().decode(rest)) as Record<string, unknown>;
  }

  /** Sends a message on a channel. */
  send(channel: number, data: string | Uint8Array): void {
    if (this.socket.readyState === 0) {
      this.socket.once("open", () => this.send(channel, data));
      return;
    }
    const bytes = typeof data === "string" ? new TextEncoder().encode(data) : data;
    const message = new Uint8Array(1 + bytes.length);
    message[0] = channel;
    message.set(bytes, 1);
    this.socket.send(message);
  }

  type(text: string): void {
    this.send(0, text);
  }

  resize(Width: number, Height: number): void {
    this.send(4, JSON.stringify({ Width, Height }));
  }

  /** Reads nothing. */
  pause(): void {
    stopReading(connectionOf(this.socket));
  }

  resume(): void {
    resumeReading(connectionOf(this.socket));
  }

  async until(what: string, holds: () => boolean): Promise<this> {
    const seen = () => {
      const { text, status, closed, refused } = this;
      return `${what}: ${JSON.stringify({ text: text.slice(-100), status, closed, refused })}`;
    };
    await until(holds, BOUND_MS, seen);
    return this;
  }

  shows(text: string): Promise<this> {
    return this.until(`"${text.slice(-100)}" is not shown`, () => this.text.includes(text));
  }

  /** Runs a line at the prompt. */
  async run(line: string, shown: string): Promise<void> {
    this.type(`${line}\n`);
    await this.shows(shown);
  }

  ended(): Promise<this> {
    return this.until("it does not end", () => this.closed !== undefined);
  }
}

/** The TLS connection beneath. */
function connectionOf(socket: WebSocket): Duplex {
  return (socket as unknown as { _socket: Duplex })._socket;
}
