/**
 * The calls and connections that are open, of every service. What let a call in must go on holding: when a certificate is revoked or
 * expires, or a user is removed, each open call is checked once more and ends at once where it would not be let in now. A connection
 * whose certificate no longer counts is closed too.
 */
import type { TLSSocket } from "node:tls";
import grpc from "@grpc/grpc-js";
import type { Log } from "../../base/log.ts";
import { certificateProblem, lookAgainMs, type SeenCertificate } from "./seen_certificate.ts";
import { connectionKey, type Endpoints } from "../net/endpoints.ts";
import { REFUSAL_DELAY_MS } from "./pacing.ts";

/** A client has this long to read why its calls ended, before its connection is closed. */
const GRACE_MS = 2 * REFUSAL_DELAY_MS;

/** Why a call may not go on; undefined: it may. */
export type Condition = () => string | undefined;

interface OpenCall {
  readonly conditions: Condition[];
  end(why: string): void;
}

/** The parts of a TLS server that are needed here. */
interface TlsServers {
  http2Servers: Map<
    { prependListener(event: "secureConnection", listener: (socket: TLSSocket) => void): void },
    unknown
  >;
}

export class OpenCalls {
  /** By the metadata of the call, which its handler sees too. */
  readonly #byMetadata = new WeakMap<grpc.Metadata, OpenCall>();
  readonly #calls = new Set<OpenCall>();
  readonly #connections = new Map<string, Connection>();
  #checking = false;

  /** @param blocked whether a certificate is on the blocklist, by upper-case hex SHA-256 */
  constructor(
    private readonly blocked: (fingerprint: string) => boolean,
    private readonly log: Log,
  ) {}

  /** For a server's options: it sees every call of the server. */
  readonly interceptor: grpc.ServerInterceptor = (_, call) => {
    const connection = this.#connections.get(connectionKey(call.getConnectionInfo()));
    let over = false;
    const open: OpenCall = {
      conditions: connection ? [() => connection.problem()] : [],
      end: (details) => {
        over = true;
        this.#calls.delete(open);
        call.sendStatus({ code: grpc.status.UNAUTHENTICATED, details });
      },
    };
    const listener = new grpc.ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        this.#byMetadata.set(metadata, open);
        next(metadata);
      })
      .withOnCancel(() => this.#calls.delete(open))
      .build();
    return new grpc.ServerInterceptingCall(call, {
      start: (next) => {
        const problem = problemOf(open);
        if (problem) return void setTimeout(() => open.end(problem), REFUSAL_DELAY_MS);
        this.#calls.add(open);
        next(listener);
      },
      sendMessage: (message, next) => over || next(message),
      sendStatus: (status, next) => {
        this.#calls.delete(open);
        if (!over) next(status);
      },
    });
  };

  /** The fingerprint of the certificate that a connection came with; undefined: it came with none. */
  certificateOf(connection: Endpoints): string | undefined {
    return this.#connections.get(connectionKey(connection))?.fingerprint || undefined;
  }

  /** Sees every connection of a server that listens. */
  attach(server: grpc.Server): void {
    for (const http2Server of (server as unknown as TlsServers).http2Servers.keys()) {
      http2Server.prependListener("secureConnection", (socket) => this.#connected(socket));
    }
  }

  /** A further condition of an open call. */
  require(metadata: grpc.Metadata, condition: Condition): void {
    this.#byMetadata.get(metadata)?.conditions.push(condition);
  }

  /** Call when a condition may have changed. */
  recheck(): void {
    for (const connection of this.#connections.values()) connection.check();
    this.#checkCalls();
  }

  /** Once for all that changes at the same moment. */
  #checkCalls(): void {
    if (this.#checking) return;
    this.#checking = true;
    queueMicrotask(() => {
      this.#checking = false;
      for (const call of [...this.#calls]) {
        const problem = problemOf(call);
        if (problem) call.end(problem);
      }
    });
  }

  #connected(socket: TLSSocket): void {
    const key = connectionKey(socket);
    const connection = new Connection(socket, this.blocked, (problem) => {
      this.log.warn("connection ended", { from: socket.remoteAddress ?? "", reason: problem });
      this.#checkCalls();
    });
    this.#connections.set(key, connection);
    socket.once("close", () => {
      connection.closed();
      if (this.#connections.get(key) === connection) this.#connections.delete(key);
    });
    connection.check();
  }
}

/** One connection with its client's certificate. */
class Connection {
  readonly #certificate: SeenCertificate;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ending = false;

  constructor(
    private readonly socket: TLSSocket,
    private readonly blocked: (fingerprint: string) => boolean,
    private readonly ends: (problem: string) => void,
  ) {
    const { fingerprint256 = "", valid_to = "" } = socket.getPeerCertificate() ?? {};
    const fingerprint = fingerprint256.replaceAll(":", "").toUpperCase();
    this.#certificate = { fingerprint, notAfterMs: Date.parse(valid_to) };
  }

  /** Upper-case hex SHA-256; empty: it came with no certificate. */
  get fingerprint(): string {
    return this.#certificate.fingerprint;
  }

  /** Why its certificate does not count; undefined: it counts, or there is none. */
  problem(): string | undefined {
    return this.#certificate.fingerprint === ""
      ? undefined
      : certificateProblem(this.#certificate, this.blocked);
  }

  /** Closes itself, after its calls have ended, where its certificate does not count any more. */
  check(): void {
    if (this.#certificate.fingerprint === "" || this.#ending) return;
    clearTimeout(this.#timer);
    const problem = this.problem();
    if (problem === undefined) {
      this.#timer = setTimeout(() => this.check(), lookAgainMs(this.#certificate));
      return;
    }
    this.#ending = true;
    this.#timer = setTimeout(() => this.socket.destroy(), GRACE_MS);
    this.ends(problem);
  }

  closed(): void {
    this.#ending = true;
    clearTimeout(this.#timer);
  }
}

function problemOf({ conditions }: OpenCall): string | undefined {
  for (const condition of conditions) {
    const problem = condition();
    if (problem !== undefined) return problem;
  }
  return undefined;
}
