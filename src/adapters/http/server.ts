/** An HTTP listener for probes and metrics: small requests without a body, each answered within a bound of time. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Gate } from "../net/gate.ts";
import { closeHttp, listen } from "../net/listening.ts";

/** An answer is taken by its client within this time. */
const ANSWER_MS = 30_000;
/** A longer body ends its connection. */
const MAX_DISCARDED = 65_536;

/** Answers a request. */
export type Answer = (request: Request) => Response | Promise<Response>;

/** Serves HTTP; its port, and how to end it. @throws Error where the address is taken */
export async function serveHttp(
  answer: Answer,
  address: { hostname: string; port: number },
  gate: Gate,
): Promise<{ port: number; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const over = gate.busy(request.socket);
    const timer = setTimeout(() => request.socket.destroy(), ANSWER_MS);
    response.once("close", () => {
      clearTimeout(timer);
      over();
    });
    respond(answer, request, response).catch(() => request.socket.destroy());
  });
  return { port: await listen(server, address, gate), close: () => closeHttp(server) };
}

async function respond(answer: Answer, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { method = "GET", url = "/" } = request;
  const target = URL.parse(url, "http://localhost");
  const bodiless = method === "GET" || method === "HEAD";
  if (!bodiless) await discard(request);
  if (!target || !bodiless) return void response.writeHead(target ? 405 : 400).end();
  const { status, headers, body } = await answer(new Request(target, { method }));
  response.writeHead(status, Object.fromEntries(headers));
  response.end(body && method === "GET" ? new Uint8Array(await new Response(body).arrayBuffer()) : undefined);
}

/** Reads a body to no purpose, so that its sender hears the answer. @throws RangeError where it is too long for that */
async function discard(request: IncomingMessage): Promise<void> {
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Uint8Array).length;
    if (size > MAX_DISCARDED) throw new RangeError("the body is too long");
  }
}
