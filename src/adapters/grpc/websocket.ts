/** The parts of the library's WebSockets that are used here: it comes without types. */
import type { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import * as library from "ws";

/** RFC 6455, section 7.4.1. */
export const CLOSE = { normal: 1000, protocol: 1002, unsupported: 1003 } as const;

/** An open WebSocket, or one that is closing. */
export interface WebSocket {
  readonly readyState: number;
  on(event: "message", listener: (message: Buffer, isBinary: boolean) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "open" | "pong", listener: () => void): unknown;
  on(event: "close", listener: (code: number, reason: Buffer) => void): unknown;
  on(event: "unexpected-response", listener: (request: unknown, response: IncomingMessage) => void): unknown;
  send(message: Buffer, sent: (error?: Error) => void): void;
  ping(): void;
  pause(): void;
  resume(): void;
  close(code: number, reason?: string): void;
  terminate(): void;
}

/** `readyState` of a WebSocket that messages pass. */
export const OPEN = 1;

/** Takes connections over after their handshake, from a server of HTTP/1. */
export interface WebSocketServer {
  handleUpgrade(
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    opened: (one: WebSocket) => void,
  ): void;
}

interface Library {
  WebSocketServer: new (options: Record<string, unknown>) => WebSocketServer;
  WebSocket: new (address: string, protocols: string[], options: Record<string, unknown>) => WebSocket;
}

export const { WebSocketServer, WebSocket } = library as unknown as Library;
