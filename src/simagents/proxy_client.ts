/** A client of the resource proxy, in argocd-server's place. */
import type { Agent, IncomingMessage } from "node:http";
import { request, type RequestOptions } from "node:https";
import { parseJson } from "../base/json.ts";
import { isRecord } from "../domain/resources/object.ts";
import type { TlsMaterial } from "../adapters/tls/files.ts";

/** An answer over HTTP. */
export interface Answered {
  status: number;
  headers: IncomingMessage["headers"];
  text: string;
  /** Its body as JSON; undefined: it is none. */
  json: Record<string, unknown> | undefined;
}

export interface Asking {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
  /** Keeps connections; absent: each request has one of its own. */
  connections?: Agent;
}

/** Asks. @throws Error where the connection fails */
export function askProxy(
  port: number,
  tls: Partial<TlsMaterial>,
  path: string,
  { method = "GET", headers = {}, body, signal, connections }: Asking = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const options = {
      ...optionsOf(port, tls, path),
      ...{ method, headers, agent: connections ?? false },
      ...(signal ? { signal } : {}),
    };
    const call = request(options as RequestOptions, (response) => {
      const chunks: string[] = [];
      response.setEncoding("utf8").on("data", (chunk: string) => chunks.push(chunk));
      response.on("error", reject).on("end", () => {
        const text = chunks.join("");
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json: jsonOf(text) });
      });
    });
    call.on("error", reject);
    call.end(body);
  });
}

/** An answer that is read as it comes, over a connection of its own. */
export class StreamedRead {
  /** 0: there is none yet. */
  status = 0;
  headers: IncomingMessage["headers"] = {};
  over = false;
  /** Resolves when it is over. */
  readonly ended: Promise<void>;
  readonly #call: ReturnType<typeof request>;

  /** @param take is called with its text, as it comes */
  constructor(port: number, tls: Partial<TlsMaterial>, path: string, take: (text: string) => void) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    const end = () => {
      this.over = true;
      resolve();
    };
    const options = { ...optionsOf(port, tls, path), agent: false } as RequestOptions;
    this.#call = request(options, (response) => {
      this.status = response.statusCode ?? 0;
      this.headers = response.headers;
      response.setEncoding("utf8").on("data", take);
      for (const event of ["end", "close", "error"]) response.on(event, end);
    });
    this.#call.on("error", end).on("close", end).end();
  }

  /** Closes the connection. */
  leave(): void {
    this.#call.destroy();
  }
}

function optionsOf(port: number, { cert, key, ca }: Partial<TlsMaterial>, path: string): RequestOptions {
  return { host: "127.0.0.1", port, path, cert, key, ca } as RequestOptions;
}

function jsonOf(text: string): Record<string, unknown> | undefined {
  try {
    const value = parseJson(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
