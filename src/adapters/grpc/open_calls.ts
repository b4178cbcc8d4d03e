/**
 * The calls and connections that are open, of every service. What let a call in must go on holding: when a certificate is revoked or
 * expires, its authority is replaced, or a user is removed, each open call is checked once more and ends at once where it would not be let in now. A connection
 * whose certificate no longer counts is closed too.
 */
import grpc from "@grpc/grpc-js";
import type { Log } from "../../base/log.ts";
import { ClientCertificates, type TlsServer } from "../net/client_certificates.ts";
import type { Endpoints } from "../net/endpoints.ts";
import { Trust } from "../net/trust.ts";
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
  http2Servers: Map<TlsServer, unknown>;
}

export class OpenCalls {
  /** By the metadata of the call, which its handler sees too. */
  readonly #byMetadata = new WeakMap<grpc.Metadata, OpenCall>();
  readonly #calls = new Set<OpenCall>();
  readonly #certificates: ClientCertificates;
  #checking = false;

  /** @param blocked whether a certificate is on the blocklist, by upper-case hex SHA-256 */
  constructor(blocked: (fingerprint: string) => boolean, log: Log) {
    this.#certificates = new ClientCertificates({
      blocked,
      graceMs: GRACE_MS,
      ends: (reason, from) => {
        log.warn("connection ended", { from, reason });
        this.#checkCalls();
      },
    });
  }

  /** For a server's options: it sees every call of the server. */
  readonly interceptor: grpc.ServerInterceptor = (_, call) => {
    const connection = this.#certificates.of(call.getConnectionInfo());
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
    return this.#certificates.of(connection)?.fingerprint || undefined;
  }

  /** Sees every connection of a server that listens. */
  attach(server: grpc.Server): void {
    for (const http2Server of (server as unknown as TlsServers).http2Servers.keys()) {
      this.#certificates.attach(http2Server);
    }
  }

  /** A further condition of an open call. */
  require(metadata: grpc.Metadata, condition: Condition): void {
    this.#byMetadata.get(metadata)?.conditions.push(condition);
  }

  /** The authorities that vouch for clients from now on, as PEM. */
  trust(ca: { toString(): string }): void {
    this.#certificates.trust(Trust.of(ca));
    this.#checkCalls();
  }

  /** Call when a condition may have changed. */
  recheck(): void {
    this.#certificates.recheck();
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
}

function problemOf({ conditions }: OpenCall): string | undefined {
  for (const condition of conditions) {
    const problem = condition();
    if (problem !== undefined) return problem;
  }
  return undefined;
}
