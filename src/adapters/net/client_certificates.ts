/**
 * The client certificates of a TLS server's open connections. A connection whose certificate is revoked or expires, or whose authority is
 * replaced, is closed, whatever it is used for.
 */
import type { DetailedPeerCertificate, TLSSocket } from "node:tls";
import { monotonicMs } from "../../base/clock.ts";
import { connectionKey, type Endpoints } from "./endpoints.ts";
import { certificateProblem, lookAgainMs, type SeenCertificate } from "./seen_certificate.ts";
import { type Trust, UNTRUSTED } from "./trust.ts";

/** A handshake that began before the authorities were replaced has ended by then. */
const HANDSHAKE_MS = 15_000;

/** The part of a TLS server that is needed here. */
export interface TlsServer {
  prependListener(event: "secureConnection", listener: (socket: TLSSocket) => void): unknown;
}

export interface ClientCertificatesOptions {
  /** Whether a certificate is on the blocklist, by upper-case hex SHA-256. */
  blocked(fingerprint: string): boolean;
  /** For so long, in ms, a client may read why its requests end before its connection is closed. */
  graceMs: number;
  /** Hears of each connection whose certificate counts no more. */
  ends(problem: string, from: string): void;
}

export class ClientCertificates {
  readonly #connections = new Map<string, Connection>();
  #trust: Trust | undefined;
  #trustedSinceMs = -Infinity;

  constructor(private readonly options: ClientCertificatesOptions) {}

  /** The authorities that vouch from now on; undefined at first: those of each handshake. */
  trust(trust: Trust): void {
    if (trust.pem === this.#trust?.pem) return;
    this.#trustedSinceMs = this.#trust ? monotonicMs() : -Infinity;
    this.#trust = trust;
    this.recheck();
  }

  /** Sees every connection of a server that listens. */
  attach(server: TlsServer): void {
    server.prependListener("secureConnection", (socket) => {
      const key = connectionKey(socket);
      const isVerified = monotonicMs() - this.#trustedSinceMs > HANDSHAKE_MS;
      const verifiedBy = isVerified ? this.#trust : undefined;
      const connection = new Connection(socket, this.options, () => this.#trust, verifiedBy);
      this.#connections.set(key, connection);
      socket.once("close", () => {
        connection.closed();
        if (this.#connections.get(key) === connection) this.#connections.delete(key);
      });
      connection.check();
    });
  }

  /** The certificate at the other end of a connection; undefined: the connection is not known. */
  of(connection: Endpoints): ClientCertificate | undefined {
    return this.#connections.get(connectionKey(connection));
  }

  /** Call when the blocklist may have changed. */
  recheck(): void {
    for (const connection of this.#connections.values()) connection.check();
  }
}

/** A client certificate that the handshake has verified. */
export interface ClientCertificate {
  /** Upper-case hex SHA-256; empty: the client came without one. */
  readonly fingerprint: string;
  /** Empty: it has none, or several. */
  readonly commonName: string;
  /** Why it does not count; undefined: it counts, or there is none. */
  problem(): string | undefined;
}

class Connection implements ClientCertificate {
  readonly commonName: string;
  readonly #certificate: SeenCertificate;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ending = false;

  constructor(
    private readonly socket: TLSSocket,
    private readonly options: ClientCertificatesOptions,
    private readonly trust: () => Trust | undefined,
    private verifiedBy: Trust | undefined,
  ) {
    const { fingerprint256 = "", valid_to = "", subject } = socket.getPeerCertificate() ?? {};
    const fingerprint = fingerprint256.replaceAll(":", "").toUpperCase();
    this.#certificate = { fingerprint, notAfterMs: Date.parse(valid_to) };
    const name: unknown = subject?.CN;
    this.commonName = typeof name === "string" ? name : "";
  }

  get fingerprint(): string {
    return this.#certificate.fingerprint;
  }

  problem(): string | undefined {
    if (this.fingerprint === "") return undefined;
    return certificateProblem(this.#certificate, this.options.blocked) ??
      (this.#isTrusted() ? undefined : UNTRUSTED);
  }

  #isTrusted(): boolean {
    const trust = this.trust();
    if (!trust || trust === this.verifiedBy) return true;
    if (!trust.vouchesFor(chainOf(this.socket))) return false;
    this.verifiedBy = trust;
    return true;
  }

  /** Closes itself, after its client could read why, where its certificate does not count any more. */
  check(): void {
    if (this.fingerprint === "" || this.#ending) return;
    clearTimeout(this.#timer);
    const problem = this.problem();
    if (problem === undefined) {
      this.#timer = setTimeout(() => this.check(), lookAgainMs(this.#certificate));
      return;
    }
    this.#ending = true;
    this.#timer = setTimeout(() => this.socket.destroy(), this.options.graceMs);
    this.options.ends(problem, this.socket.remoteAddress ?? "");
  }

  closed(): void {
    this.#ending = true;
    clearTimeout(this.#timer);
  }
}

/** The certificates that a client presented, as far as the handshake left them behind. */
function chainOf(socket: TLSSocket): Uint8Array[] {
  const chain: Uint8Array[] = [];
  const seen = new Set<string>();
  let one: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (one?.raw && one.fingerprint256 && !seen.has(one.fingerprint256)) {
    seen.add(one.fingerprint256);
    chain.push(one.raw);
    one = one.issuerCertificate;
  }
  return chain;
}
