/** An HTTP listener for probes, metrics and profiles: small requests without a body, each answered within a bound of time. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { Gate } from "../net/gate.ts";
import { closeHttp, listen } from "../net/listening.ts";

/** An answer is taken by its client within this time. */
const ANSWER_MS = 30_000;
/** A longer body ends its connection. */
const MAX_DISCARDED = 65_536;

/** A web page whose name leads to the loopback, and a page of another site, must not read what is for this machine alone. */
const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])(:\d+)?$/;
const OWN_SITES = ["none", "same-origin"];

/** Rules of a listener. */
export interface HttpRules {
  /** An answer is there, and taken by its client, within this time. */
  answerMs?: number;
  /** Only programs of this machine are answered, and no web pages. */
  localOnly?: boolean;
}

/** Answers a request; its signal aborts when the asker is gone. */
export type Answer = (request: Request) => Response | Promise<Response>;

/** Serves HTTP; its port, and how to end it. @throws Error where the address is taken */
export async function serveHttp(
  answer: Answer,
  address: { hostname: string; port: number },
  gate: Gate,
  { answerMs = ANSWER_MS, localOnly = false }: HttpRules = {},
): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const over = gate.busy(request.socket);
    const gone = new AbortController();
    const timer = setTimeout(() => request.socket.destroy(), answerMs);
    response.once("close", () => {
      clearTimeout(timer);
      over();
      gone.abort(new Error("the asker is gone"));
    });
    if (localOnly && !isLocal(request)) return void response.writeHead(403).end("only for this machine\n");
    respond(answer, request, response, gone.signal).catch(() => request.socket.destroy());
  });
  return { port: await listen(server, address, gate), close: () => closeHttp(server) };
}

function isLocal({ headers }: IncomingMessage): boolean {
  const site = String(headers["sec-fetch-site"] ?? "none");
  return LOOPBACK.test(headers.host ?? "") && OWN_SITES.includes(site);
}

async function respond(
  answer: Answer,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { method = "GET", url = "/" } = request;
  const target = URL.parse(url, "http://localhost");
  const bodiless = method === "GET" || method === "HEAD";
  if (!bodiless) await discard(request);
  if (!target || !bodiless) return void response.writeHead(target ? 405 : 400).end();
  const { status, headers, body } = await answer(new Request(target, { method, signal }));
  response.writeHead(status, Object.fromEntries(headers));
  if (!body || method !== "GET") return void response.end();
  await pipeline(Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]), response);
}

/** Reads a body to no purpose, so that its sender hears the answer. @throws RangeError where it is too long for that */
async function discard(request: IncomingMessage): Promise<void> {
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Uint8Array).length;
    if (size > MAX_DISCARDED) throw new RangeError("the body is too long");
  }
}
