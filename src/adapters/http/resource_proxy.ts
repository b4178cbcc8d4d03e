/**
 * The door of the resource proxy: HTTP/1.1 over TLS with client certificates. It reads a request's body only once the request may go on,
 * and no more of it than an API server would take; a caller that leaves, does not send or does not read ends its request.
 */
import { onAbort } from "../../base/abort.ts";
import { PROXY_IDLE_MS } from "../net/listener_bounds.ts";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { MAX_BODY_BYTES } from "../../domain/proxy/request.ts";
import { traceOf } from "../../domain/events/trace.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { ResourceProxy, StreamedAnswer } from "../../principal/ports/resource_proxy.ts";
import type { ClientCertificates } from "../net/client_certificates.ts";
import type { Gate } from "../net/gate.ts";
import { closeHttp, listen, type TlsVersions } from "../net/listening.ts";
import {
  NO_UPGRADE,
  refuseRaw,
  TERMINAL_DOOR_TIMING,
  TerminalDoor,
  type TerminalDoorTiming,
} from "./terminal_door.ts";

/** A body has arrived, an answer was taken by its caller, and some of a streamed one, within these times. */
const TIMING = { bodyMs: 30_000, answerMs: 120_000, stuckMs: 60_000 };
/** Of the bodies and answers of all requests, so much is held at a time. */
const MAX_HELD = 256 * 1024 * 1024;
const TEXT = {
  "content-type": "text/plain; charset=utf-8",
  "cache-control": "no-cache, no-transform",
  "x-content-type-options": "nosniff",
};
const encoder = new TextEncoder();
const FULL = "the resource proxy holds too many large requests and answers; try again";
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
  tlsVersions: TlsVersions;
  certificates: ClientCertificates;
  gate: Gate;
  timing?: typeof TIMING;
  terminalTiming?: TerminalDoorTiming;
  maxHeld?: number;
}

/** A door that is open. */
export interface OpenDoor {
  port: number;
  /** Exchanges the certificates of connections to come. */
  rotate(tls: ProxyTls): void;
  close(): Promise<void>;
}

/** Serves the resource proxy. @throws Error where the address is taken */
export async function serveResourceProxy(proxy: ResourceProxy, door: ResourceProxyDoor): Promise<OpenDoor> {
  const { tlsVersions, gate, certificates } = door;
  const context = ({ cert, key, ca }: ProxyTls) => ({
    ...{ cert, key, ca },
    ...tlsVersions,
    requestCert: true,
    rejectUnauthorized: true,
  });
  const caller = new Callers(proxy, door);
  const server = createServer(
    context(door.tls),
    (request, response) => {
      response.once("close", gate.busy(request.socket));
      caller.answer(request, response).catch(() => request.socket.destroy());
    },
  );
  server.keepAliveTimeout = PROXY_IDLE_MS;
  server.requestTimeout = 0;
  server.on("connect", (_, socket) => {
    refuseRaw(socket as Socket, proxy.refuse(403, "cannot CONNECT: the method is not served"));
  });
  const terminals = new TerminalDoor({
    admit: (request) => caller.admit(request),
    refuse: (code, message) => proxy.refuse(code, message),
    gate,
    timing: door.terminalTiming ?? TERMINAL_DOOR_TIMING,
  });
  terminals.attach(server);
  const port = await listen(server, door, gate, { purpose: " for the resource proxy" });
  certificates.attach(server);
  return {
    port,
    rotate: (tls) => server.setSecureContext(context(tls)),
    close: () => {
      terminals.close();
      return closeHttp(server);
    },
  };
}

/** Answers requests. */
class Callers {
  readonly #timing: typeof TIMING;
  #held = 0;

  constructor(private readonly proxy: ResourceProxy, private readonly door: ResourceProxyDoor) {
    this.#timing = door.timing ?? TIMING;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.once("close", () => gone.abort(new Error("the caller is gone")));
    const answer = await this.#answerTo(request, gone.signal);
    if ("stream" in answer) return await this.#stream(answer, response, gone.signal);
    if (gone.signal.aborted) return;
    const timer = setTimeout(() => request.socket.destroy(), this.#timing.answerMs);
    response.once("close", () => clearTimeout(timer));
    // The rest of an unread body would be taken for the next request.
    const whole = request.complete || await this.#discarded(request);
    if (gone.signal.aborted) return;
    const bytes = encoder.encode(answer.body);
    if (!this.#hold(bytes.length)) {
      const full = this.#full();
      return send(response, full, encoder.encode(full.body), whole);
    }
    response.once("close", () => this.#held -= bytes.length);
    send(response, answer, bytes, whole);
  }

  /** Passes a body on as fast as its caller takes it; one that takes nothing for long is cut. */
  async #stream(
    { status, stream }: StreamedAnswer,
    response: ServerResponse,
    gone: AbortSignal,
  ): Promise<void> {
    const reader = stream.getReader();
    onAbort(gone, (reason) => void reader.cancel(reason).catch(() => {}));
    if (gone.aborted) return;
    response.writeHead(status, TEXT).flushHeaders();
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      if (response.write(read.value) || gone.aborted) continue;
      const stuck = setTimeout(() => response.destroy(), this.#timing.stuckMs);
      await once(response, "drain", { signal: gone }).catch(() => {});
      clearTimeout(stuck);
    }
    if (!gone.aborted) response.end();
  }

  /** Lets a request go on, by the credentials that it and its connection have. */
  async admit(request: IncomingMessage): ReturnType<ResourceProxy["admit"]> {
    const certificate = this.door.certificates.of(request.socket as TLSSocket);
    const problem = certificate ? certificate.problem() : "its connection has ended";
    if (problem !== undefined) return this.proxy.refuse(401, `authentication failed: ${problem}`);
    const { method = "GET", url = "/", headers } = request;
    const { traceparent, tracestate } = headers;
    const trace = traceOf({ traceparent, tracestate });
    return await this.proxy.admit(
      { commonName: certificate?.commonName ?? "", authorization: headers.authorization ?? "" },
      { method, url, contentType: headers["content-type"] ?? "", trace },
    );
  }

  async #answerTo(request: IncomingMessage, signal: AbortSignal): Promise<HttpAnswer | StreamedAnswer> {
    const admitted = await this.admit(request);
    if ("status" in admitted) return admitted;
    if ("terminal" in admitted) return this.proxy.refuse(400, NO_UPGRADE);
    const body = await this.#bodyOf(request);
    if (!(body instanceof Uint8Array)) return body;
    try {
      return await admitted.answer(body, signal);
    } finally {
      this.#held -= body.length;
    }
  }

  /** The body of a request, which is held, or why there is none. @throws Error where it does not come in time */
  async #bodyOf(request: IncomingMessage): Promise<Uint8Array | HttpAnswer> {
    const large = () =>
      this.proxy.refuse(413, `the body of the request is larger than ${MAX_BODY_BYTES} bytes`);
    if (Number(request.headers["content-length"] ?? 0) > MAX_BODY_BYTES) return large();
    const chunks: Uint8Array[] = [];
    let size = 0;
    let refused: HttpAnswer | undefined;
    try {
      const whole = await inTime(request, this.#timing.bodyMs, (chunk) => {
        if (size + chunk.length > MAX_BODY_BYTES) refused = large();
        else if (!this.#hold(chunk.length)) refused = this.#full();
        if (refused) return false;
        size += chunk.length;
        chunks.push(chunk);
        return true;
      });
      if (!whole && !refused) throw new Error("the caller is gone");
    } catch (error) {
      this.#held -= size;
      throw error;
    }
    if (!refused) return Buffer.concat(chunks);
    this.#held -= size;
    return refused;
  }

  /** Reads the rest of a body to no purpose; whether there is nothing left of it. */
  async #discarded(request: IncomingMessage): Promise<boolean> {
    let size = 0;
    return await inTime(
      request,
      this.#timing.bodyMs,
      (chunk) => (size += chunk.length) <= MAX_DISCARDED,
    );
  }

  /** Counts bytes that are held from now on; false: there are too many. */
  #hold(bytes: number): boolean {
    if (this.#held + bytes > (this.door.maxHeld ?? MAX_HELD)) return false;
    this.#held += bytes;
    return true;
  }

  #full(): HttpAnswer {
    return { ...this.proxy.refuse(429, FULL), retryAfterS: 1 };
  }
}

/** Reads a body while `take` wants more; whether it was read as a whole. @throws Error where it does not come in time */
async function inTime(
  request: IncomingMessage,
  withinMs: number,
  take: (chunk: Uint8Array) => boolean,
): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  let wanted = true;
  const data = (chunk: Uint8Array) => {
    wanted &&= take(chunk);
    if (!wanted) resolve(false);
  };
  const ended = () => resolve(true);
  const closed = () => resolve(request.complete);
  const timer = setTimeout(() => reject(new Error("the body did not come in time")), withinMs);
  request.on("data", data).once("end", ended).once("close", closed).once("error", reject).resume();
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    request.pause().off("data", data).off("end", ended).off("close", closed).off("error", reject);
  }
}

/** @param keep whether another request may follow on the connection */
function send(
  response: ServerResponse,
  { status, retryAfterS }: HttpAnswer,
  bytes: Uint8Array,
  keep: boolean,
): void {
  response.writeHead(status, {
    "content-type": "application/json",
    "content-length": String(bytes.length),
    "cache-control": "no-cache, private",
    ...(retryAfterS === undefined ? {} : { "retry-after": String(retryAfterS) }),
    ...(keep ? {} : { connection: "close" }),
  });
  response.end(bytes);
}
