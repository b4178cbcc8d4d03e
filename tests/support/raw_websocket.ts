/** Calls over WebSocket as no library makes them: the handshake and every frame by hand, as the contract has them or otherwise. */
import { Buffer } from "node:buffer";
import net from "node:net";
import tls from "node:tls";
import { stopReading } from "../../src/adapters/net/reading.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { until } from "./until.ts";

export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;
const BOUND_MS = 30_000;

export interface RawOptions {
  /** Absent: without TLS. */
  tls?: TlsMaterial | undefined;
  alpn?: string[];
  /** Instead of those of the handshake, or beside them; undefined: left out. */
  headers?: Record<string, string | undefined>;
  /** Sent at once, behind the handshake. */
  behind?: Buffer;
}

/** The headers that an agent's library sends with a call. */
const HANDSHAKE = {
  Host: "principal:8443",
  "User-Agent": "argocd-agent/v0.0.1 grpc-go/1.75.0",
  Connection: "Upgrade",
  "Content-Type": "application/grpc",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Protocol": "grpc-ws",
  "Sec-WebSocket-Version": "13",
  Te: "trailers",
  Upgrade: "websocket",
};

export interface RawMessage {
  opcode: number;
  body: Buffer;
}

/** A frame of a client; `told` is its length as it says, which need not be true. */
export function rawFrame(
  opcode: number,
  body: Uint8Array,
  { final = true, masked = true, told = body.length } = {},
): Buffer {
  const head = Buffer.alloc(told > 65_535 ? 10 : told > 125 ? 4 : 2);
  head.writeUInt8((final ? 0x80 : 0) | opcode, 0);
  head.writeUInt8((masked ? 0x80 : 0) | (told > 65_535 ? 127 : told > 125 ? 126 : told), 1);
  if (told > 65_535) head.writeBigUInt64BE(BigInt(told), 2);
  else if (told > 125) head.writeUInt16BE(told, 2);
  // A mask of zeros masks nothing.
  return Buffer.concat([head, Buffer.alloc(masked ? 4 : 0), body]);
}

export class RawWebSocket {
  /** The status of the answer to the handshake; 0: none yet. */
  status = 0;
  /** The head of that answer, and the body of one that refuses. */
  answer = "";
  closed = false;
  readonly messages: RawMessage[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #unsent = 0;

  private constructor(private readonly socket: net.Socket) {
    socket.on("error", () => {}).on("close", () => this.closed = true);
    socket.on("data", (data: Buffer) => this.#heard(data));
  }

  /** Asks for a call, and waits for an answer. */
  static async open(
    port: number,
    path: string,
    { tls: material, alpn, headers = {}, behind = Buffer.alloc(0) }: RawOptions = {},
  ): Promise<RawWebSocket> {
    const raw = new RawWebSocket(await rawSocket(port, material, alpn));
    const lines = Object.entries({ ...HANDSHAKE, ...headers }).flatMap(([name, value]) =>
      value === undefined ? [] : [`${name}: ${value}`]
    );
    raw.write(Buffer.concat([Buffer.from(`GET ${path} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`), behind]));
    await until(() => raw.status > 0 || raw.closed, BOUND_MS, () => `no answer to ${path}`, 1);
    return raw;
  }

  /** The bytes that the other end has not taken yet. */
  get unsent(): number {
    return this.#unsent;
  }

  /** Sends bytes as they are. */
  write(bytes: Buffer): void {
    this.#unsent += bytes.length;
    this.socket.write(bytes, () => this.#unsent -= bytes.length);
  }

  /** Sends a frame of gRPC as a message. */
  send(frame: Uint8Array): void {
    this.write(rawFrame(BINARY, frame));
  }

  /** Reads no more. */
  pause(): void {
    stopReading(this.socket);
  }

  /** Goes away without a word. */
  drop(): void {
    this.socket.destroy();
  }

  /** The next message. */
  async next(): Promise<RawMessage> {
    await until(
      () => this.messages.length > 0 || this.closed,
      BOUND_MS,
      () => `no message; ${this.answer}`,
      1,
    );
    const message = this.messages.shift();
    if (!message) throw new Error(`closed; ${this.answer}`);
    return message;
  }

  /** The code and text of the close frame that comes next, whatever comes before it. */
  async closing(): Promise<{ code: number; text: string }> {
    for (let message = await this.next();; message = await this.next()) {
      if (message.opcode !== CLOSE) continue;
      const { body } = message;
      this.write(rawFrame(CLOSE, body.subarray(0, 2)));
      return { code: body.length < 2 ? 0 : body.readUInt16BE(0), text: body.subarray(2).toString() };
    }
  }

  /** The trailers of the call, whatever comes before them. */
  async trailers(): Promise<{ status: number; message: string }> {
    for (let message = await this.next();; message = await this.next()) {
      if (message.opcode === CLOSE) throw new Error(`closed with ${message.body.readUInt16BE(0)}`);
      if (message.opcode !== BINARY || message.body[0] !== 0x80) continue;
      const { "grpc-status": status, "grpc-message": text = "" } = fieldsIn(message);
      if (status !== undefined) return { status: Number(status), message: decodeURI(text) };
    }
  }

  untilClosed(): Promise<void> {
    return until(() => this.closed, BOUND_MS, () => "it is open", 1);
  }

  #heard(data: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, data]);
    if (this.status !== 101) this.#readAnswer();
    while (this.status === 101 && this.#readFrame());
  }

  #readAnswer(): void {
    const end = this.#rest.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.#rest.subarray(0, end).toString();
    this.status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1]);
    if (this.status === 101) {
      this.answer = head;
      this.#rest = this.#rest.subarray(end + 4);
    } else this.answer = this.#rest.toString();
  }

  #readFrame(): boolean {
    const rest = this.#rest;
    if (rest.length < 2) return false;
    const short = rest.readUInt8(1) & 0x7f;
    const from = short === 127 ? 10 : short === 126 ? 4 : 2;
    if (rest.length < from) return false;
    const length = short === 127
      ? Number(rest.readBigUInt64BE(2))
      : short === 126
      ? rest.readUInt16BE(2)
      : short;
    if (rest.length < from + length) return false;
    this.messages.push({ opcode: rest.readUInt8(0) & 0x0f, body: rest.subarray(from, from + length) });
    this.#rest = rest.subarray(from + length);
    return true;
  }
}

/** A connection, over TLS where there is material; without ALPN unless it is asked for. */
export function rawSocket(port: number, material?: TlsMaterial, alpn?: string[]): Promise<net.Socket> {
  const host = "127.0.0.1";
  return new Promise((resolve, reject) => {
    const socket: net.Socket = material
      ? tls.connect({
        host,
        port,
        ca: material.ca,
        cert: material.cert,
        key: material.key,
        servername: "principal",
        checkServerIdentity: () => undefined,
        ...(alpn ? { ALPNProtocols: alpn } : {}),
      }, () => resolve(socket))
      : net.connect({ host, port }, () => resolve(socket));
    socket.once("error", reject);
  });
}

/** The fields of headers or trailers, as they come. */
export function fieldsIn({ opcode, body }: RawMessage): Record<string, string> {
  if (opcode !== BINARY || body[0] !== 0x80 || body.readUInt32BE(1) !== body.length - 5) {
    throw new Error(`no metadata: opcode ${opcode}, ${body.subarray(0, 200).toString("latin1")}`);
  }
  return Object.fromEntries(
    body.subarray(5).toString().split("\r\n").slice(0, -1).map((line): [string, string] => {
      const at = line.indexOf(": ");
      return [line.slice(0, at).toLowerCase(), line.slice(at + 2)];
    }),
  );
}
