/**
 * The door of the resource proxy: HTTP/1.1 over TLS with client certificates. It reads a request's body only once the request may go on,
 * and no more of it than an API server would take; a caller that leaves, does not send or does not read ends its request.
 */
import { Buffer } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { reasonOf } from "../../base/reason.ts";
import { MAX_BODY_BYTES } from "../../domain/proxy/request.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { ResourceProxy } from "../../principal/ports/resource_proxy.ts";
import type { ClientCertificates } from "../net/client_certificates.ts";
import type { Gate } from "../net/gate.ts";

/** argocd-server keeps idle connections for 5 minutes; a proxy that ends them earlier would fail requests that are just being sent. */
export const PROXY_IDLE_MS = 330_000;
/** A body has arrived within this time. */
const BODY_MS = 30_000;
/** An answer is taken by its caller within this time. */
const ANSWER_MS = 120_000;
/** So much of a body that is not wanted is read, so that its sender hears why. */
const MAX_DISCARDED = 4 * MAX_BODY_BYTES;

/** A server's identity, and the CA of its clients. */
export interface ProxyTls {
  cert: Buffer;
  key: Buffer;
  ca: Buffer;
}

export interface ResourceProxyDoor {
  hostname: string;
  port: number;
  tls: ProxyTls;
  minVersion: "TLSv1.2" | "TLSv1.3";
  certificates: ClientCertificates;
  gate: Gate;
}

/** A door that is open. */
export interface OpenDoor {
  port: number;
  /** Exchanges the certificates of connections to come. */
  rotate(tls: ProxyTls): void;
  close(): Promise<void>;
}

/** Serves the resource proxy. @throws Error where the address is taken */
export function serveResourceProxy(proxy: ResourceProxy, door: ResourceProxyDoor): Promise<OpenDoor> {
  const { hostname, port, minVersion, gate, certificates } = door;
  const context = ({ cert, key, ca }: ProxyTls) => ({
    ...{ cert, key, ca },
    minVersion,
    requestCert: true,
    rejectUnauthorized: true,
  });
  const caller = new Callers(proxy, certificates);
  const server = createServer(
    context(door.tls),
    (request, response) => {
      response.once("close", gate.busy(request.socket));
      caller.answer(request, response).catch(() => request.socket.destroy());
    },
  );
  server.keepAliveTimeout = PROXY_IDLE_MS;
  server.requestTimeout = 0;
  server.on("connect", (_, socket) => refuseTunnel(proxy, socket as Socket));
  return new Promise((resolve, reject) => {
    server.once(
      "error",
      (error) =>
        reject(new Error(`cannot listen on ${hostname}:${port} for the resource proxy: ${reasonOf(error)}`)),
    );
    server.listen(port, hostname, () => {
      // A connection that cannot be accepted, and a handshake that fails, end nothing.
      server.on("error", () => {});
      gate.guard(server);
      certificates.attach(server);
      resolve({
        port: (server.address() as AddressInfo).port,
        rotate: (tls) => server.setSecureContext(context(tls)),
        close: () => closed(server),
      });
    });
  });
}

/** Answers requests. */
class Callers {
  constructor(private readonly proxy: ResourceProxy, private readonly certificates: ClientCertificates) {}

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort(new Error("the caller is gone")));
    const answer = await this.#answerTo(request, gone.signal);
    if (gone.signal.aborted) return;
    const timer = setTimeout(() => request.socket.destroy(), ANSWER_MS);
    response.once("close", () => clearTimeout(timer));
    // The rest of an unread body would be taken for the next request.
    const whole = request.complete || await discarded(request);
    if (!gone.signal.aborted) send(response, answer, whole);
  }

  async #answerTo(request: IncomingMessage, signal: AbortSignal): Promise<HttpAnswer> {
    const certificate = this.certificates.of(request.socket as TLSSocket);
    const problem = certificate ? certificate.problem() : "its connection has ended";
    if (problem !== undefined) return this.proxy.refuse(401, `authentication failed: ${problem}`);
    const { method = "GET", url = "/", headers } = request;
    const admitted = await this.proxy.admit(
      { commonName: certificate?.commonName ?? "", authorization: headers.authorization ?? "" },
      { method, url, contentType: headers["content-type"] ?? "" },
    );
    if ("status" in admitted) return admitted;
    const body = await bodyOf(request);
    if (body) return await admitted.answer(body, signal);
    return this.proxy.refuse(413, `the body of the request is larger than ${MAX_BODY_BYTES} bytes`);
  }
}

/** The body of a request; undefined: it is too large. @throws Error where it does not come in time */
async function bodyOf(request: IncomingMessage): Promise<Uint8Array | undefined> {
  if (Number(request.headers["content-length"] ?? 0) > MAX_BODY_BYTES) return undefined;
  const chunks: Uint8Array[] = [];
  let size = 0;
  const whole = await inTime(request, (chunk) => {
    size += chunk.length;
    if (size <= MAX_BODY_BYTES) chunks.push(chunk);
    return size <= MAX_BODY_BYTES;
  });
  if (size > MAX_BODY_BYTES) return undefined;
  if (!whole) throw new Error("the caller is gone");
  return Buffer.concat(chunks);
}

/** Reads the rest of a body to no purpose; whether there is nothing left of it. */
async function discarded(request: IncomingMessage): Promise<boolean> {
  let size = 0;
  return await inTime(request, (chunk) => (size += chunk.length) <= MAX_DISCARDED);
}

/** Reads a body while `take` wants more; whether it was read as a whole. @throws Error where it does not come in time */
async function inTime(request: IncomingMessage, take: (chunk: Uint8Array) => boolean): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const data = (chunk: Uint8Array) => take(chunk) || resolve(false);
  const ended = () => resolve(true);
  const closed = () => resolve(request.complete);
  const timer = setTimeout(() => reject(new Error("the body did not come in time")), BODY_MS);
  request.on("data", data).once("end", ended).once("close", closed).once("error", reject).resume();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    request.pause().off("data", data).off("end", ended).off("close", closed).off("error", reject);
  }
}

/** @param keep whether another request may follow on the connection */
function send(response: ServerResponse, { status, body, retryAfterS }: HttpAnswer, keep: boolean): void {
  const bytes = new TextEncoder().encode(body);
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": String(bytes.length),
    "cache-control": "no-cache, private",
    ...(retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) }),
    ...(keep ? {} : { connection: "close" }),
  });
  response.end(bytes);
}

function refuseTunnel(proxy: ResourceProxy, socket: Socket): void {
  const { body } = proxy.refuse(403, "cannot CONNECT: the method is not served");
  socket.on("error", () => {});
  const head =
    `HTTP/1.1 403 Forbidden\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n`;
  socket.end(`${head}Connection: close\r\n\r\n${body}`);
}

function closed(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
