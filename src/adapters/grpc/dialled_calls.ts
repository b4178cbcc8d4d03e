/**
 * Calls that this side has open as a client: they end when the certificate of the server that they go to is revoked or expires, as those
 * of clients do at our listeners (open_calls.ts).
 */
import type { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import grpc from "@grpc/grpc-js";
import { sha256 } from "../../base/sha256.ts";
import { certificateProblem, lookAgainMs, type SeenCertificate } from "../net/seen_certificate.ts";
import { Trust, UNTRUSTED } from "../net/trust.ts";

interface ServerCertificate extends SeenCertificate {
  der: Buffer;
}

interface DialledCall {
  certificate(): ServerCertificate | undefined;
  cancel(why: string): void;
}

/** One channel: hears the certificate of its server, and sees its calls. */
export interface Dialled {
  presented(der: Buffer): Error | undefined;
  readonly interceptor: grpc.Interceptor;
}

export class DialledCalls {
  readonly #calls = new Set<DialledCall>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #trust: Trust | undefined;

  /** @param blocked whether a certificate is on the blocklist, by upper-case hex SHA-256 */
  constructor(private readonly blocked: (fingerprint: string) => boolean) {}

  /** For a channel that is about to be dialled. */
  dialled(): Dialled {
    let seen: ServerCertificate | undefined;
    return {
      presented: (der) => {
        const notAfterMs = Date.parse(new X509Certificate(der).validTo);
        seen = { der, fingerprint: sha256(der).toUpperCase(), notAfterMs };
        const problem = certificateProblem(seen, this.blocked);
        if (problem !== undefined) return new Error(`its certificate does not count: ${problem}`);
        this.#lookAgain(seen);
        return undefined;
      },
      interceptor: (options, nextCall) => {
        const call = new grpc.InterceptingCall(nextCall(options), {
          start: (metadata, _listener, next) => {
            this.#calls.add(entry);
            next(metadata, {
              onReceiveStatus: (status, pass) => {
                this.#calls.delete(entry);
                pass(status);
              },
            });
          },
        });
        const entry: DialledCall = {
          certificate: () => seen,
          cancel: (why) => call.cancelWithStatus(grpc.status.UNAUTHENTICATED, `the server's: ${why}`),
        };
        return call;
      },
    };
  }

  /** The authorities that vouch for servers from now on, as PEM. A channel that is dialled later verifies by itself. */
  trust(ca: { toString(): string }): void {
    const trust = Trust.of(ca);
    const before = this.#trust;
    this.#trust = trust;
    if (!before || before.pem === trust.pem) return;
    for (const call of [...this.#calls]) {
      const certificate = call.certificate();
      if (certificate && !trust.vouchesFor([certificate.der])) call.cancel(UNTRUSTED);
    }
  }

  /** Call when the blocklist has changed. */
  recheck(): void {
    for (const call of [...this.#calls]) {
      const certificate = call.certificate();
      const problem = certificate && certificateProblem(certificate, this.blocked);
      if (problem) call.cancel(problem);
    }
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** The last one dialled is the one that matters: a channel is closed before the next is opened. */
  #lookAgain(certificate: SeenCertificate): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.recheck();
      if (this.#calls.size > 0) this.#lookAgain(certificate);
    }, Math.max(1_000, lookAgainMs(certificate)));
    Deno.unrefTimer(this.#timer as unknown as number);
  }
}
