/** An HTTP listener for probes and metrics: small requests without a body, each answered within a bound of time. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { reasonOf } from "../../base/reason.ts";
import { hostPort } from "../net/addresses.ts";
import type { Gate } from "../net/gate.ts";

/** An answer is taken by its client within this time. */
const ANSWER_MS = 30_000;
/** A longer body ends its connection. */
const MAX_DISCARDED = 65_536;

/** Answers a request. */
export type Answer = (request: Request) => Response | Promise<Response>;

/** Serves HTTP; its port, and how to end it. @throws Error where the address is taken */
export function serveHttp(
  answer: Answer,
  { hostname, port }: { hostname: string; port: number },
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
  return new Promise((resolve, reject) => {
    server.once(
      "error",
      (error) => reject(new Error(`cannot listen on ${hostPort(hostname, port)}: ${reasonOf(error)}`)),
    );
    server.listen(port, hostname, () => {
      // A connection that cannot be accepted ends nothing.
      server.on("error", () => {});
      gate.guard(server);
      resolve({ port: (server.address() as AddressInfo).port, close: () => closed(server) });
    });
  });
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

function closed(server: ReturnType<typeof createServer>): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
