/** A client of the resource proxy, in argocd-server's place. */
import { request, type RequestOptions } from "node:https";
import { parseJson } from "../base/json.ts";
import { isRecord } from "../domain/resources/object.ts";
import type { TlsMaterial } from "../adapters/tls/files.ts";

/** An answer over HTTP. */
export interface Answered {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  text: string;
  /** Its body as JSON; undefined: it is none. */
  json: Record<string, unknown> | undefined;
}

export interface Asking {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
}

/** Asks over a connection of its own. @throws Error where the connection fails */
export function askProxy(
  port: number,
  { cert, key, ca }: Partial<TlsMaterial>,
  path: string,
  { method = "GET", headers = {}, body, signal }: Asking = {},
): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const options = {
      ...{ host: "127.0.0.1", port, path, method, headers, cert, key, ca, agent: false },
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

function jsonOf(text: string): Record<string, unknown> | undefined {
  try {
    const value = parseJson(text);
    return isRecord(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
