/**
 * Types of the @std modules and of ws, as far as this project uses them: npm's `deno-std` carries @std without types.
 * The signatures are @std's own.
 */
declare module "@std/assert" {
  export class AssertionError extends Error {}
  export function assert(expr: unknown, message?: string): asserts expr;
  export function assertEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertNotEquals<T>(actual: T, expected: T, message?: string): void;
  export function assertStringIncludes(actual: string, expected: string, message?: string): void;
  export function assertMatch(actual: string, expected: RegExp, message?: string): void;
  export function assertExists<T>(actual: T, message?: string): asserts actual is NonNullable<T>;
  export function assertThrows(fn: () => unknown, message?: string): unknown;
  export function assertRejects(fn: () => Promise<unknown>, message?: string): Promise<unknown>;
  export function fail(message?: string): never;
}

declare module "@std/async/delay" {
  export function delay(ms: number, options?: { signal?: AbortSignal; persistent?: boolean }): Promise<void>;
}

declare module "@std/async/deadline" {
  export function deadline<T>(promise: Promise<T>, ms: number): Promise<T>;
}

declare module "@std/cli/parse-args" {
  export interface ParseOptions {
    boolean?: string[] | boolean;
    string?: string[];
    collect?: string[];
    negatable?: string[];
    alias?: Record<string, string | string[]>;
    default?: Record<string, unknown>;
    stopEarly?: boolean;
    "--"?: boolean;
    unknown?: (arg: string, key?: string, value?: unknown) => unknown;
  }
  export function parseArgs(
    args: string[],
    options?: ParseOptions,
  ): { _: (string | number)[] } & Record<string, unknown>;
}

declare module "@std/data-structures/binary-heap" {
  export class BinaryHeap<T> {
    constructor(compare?: (a: T, b: T) => number);
    readonly length: number;
    push(...values: T[]): number;
    pop(): T | undefined;
    peek(): T | undefined;
  }
}

declare module "@std/fmt/colors" {
  export function bold(text: string): string;
  export function dim(text: string): string;
  export function green(text: string): string;
  export function red(text: string): string;
  export function yellow(text: string): string;
  export function cyan(text: string): string;
  export function stripAnsiCode(text: string): string;
}

declare module "@std/streams/text-line-stream" {
  export class TextLineStream extends TransformStream<string, string> {}
}

declare module "@std/path/glob-to-regexp" {
  export function globToRegExp(
    glob: string,
    options?: { extended?: boolean; globstar?: boolean; caseInsensitive?: boolean },
  ): RegExp;
}

declare module "ws" {
  import type { EventEmitter } from "node:events";
  import type { IncomingMessage } from "node:http";
  import type { RequestOptions } from "node:https";
  import type { Duplex } from "node:stream";
  export class WebSocket extends EventEmitter {
    constructor(url: string, protocols: readonly string[], options?: RequestOptions & { origin?: string });
    static readonly OPEN: number;
    readonly bufferedAmount: number;
    readonly protocol: string;
    readonly readyState: number;
    send(data: Uint8Array | string, sent?: (error?: Error) => void): void;
    ping(): void;
    pong(data: Uint8Array): void;
    close(code?: number, reason?: string): void;
    terminate(): void;
  }
  export class WebSocketServer extends EventEmitter {
    constructor(options: {
      server?: unknown;
      noServer?: boolean;
      handleProtocols: (offered: Set<string>) => string | false;
      maxPayload?: number;
      autoPong?: boolean;
      clientTracking?: boolean;
    });
    handleUpgrade(
      request: IncomingMessage,
      socket: Duplex,
      head: Uint8Array,
      opened: (socket: WebSocket) => void,
    ): void;
  }
}
