/**
 * The connections of one listener. Each has a time for its first request, its TLS handshake included, and a time that it may be idle; there
 * are so many from one address and so many in all. At a bound the connection that has been idle longest makes room, so that silent ones
 * keep nobody out; where none is idle, the newcomer is refused.
 */
import type { Socket } from "node:net";
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Rows } from "../../principal/ports/telemetry.ts";
import { sourceOf } from "./addresses.ts";
import { connectionKey, type Endpoints } from "./endpoints.ts";
import type { Descriptors } from "./descriptors.ts";
import { type Cut, FIRST_REQUEST_MS, type GateBounds, IDLE_MS } from "./listener_bounds.ts";

/** The same refusal is logged once in this time. */
const LOG_EVERY_MS = 60_000;

/** The parts of a server that are needed here: of node:net, node:tls, node:http and node:http2 alike. */
export interface Listening {
  prependListener(event: string, listener: (socket: Socket) => void): unknown;
  once(event: "close", listener: () => void): unknown;
}

/** A listener is told to accept this often. */
const ACCEPT_MS = 2_000;
const BACKLOG = 511;

/**
 * Deno 2.9 stops accepting for good, and says nothing, once an accept has failed for want of a descriptor. Telling the listener to listen
 * resumes that, and changes nothing otherwise. tests/security/connections_test.ts holds this in place.
 */
function keepAccepting(server: Listening): void {
  const { _handle: handle } = server as { _handle?: { listen?(backlog: number): number } };
  const timer = setInterval(() => handle?.listen?.(BACKLOG), ACCEPT_MS);
  server.once("close", () => clearInterval(timer));
}

/** The connections of one address. */
interface Source {
  count: number;
  /** Those without a request, the one that has been so longest first. */
  idle: Set<Connection>;
}

export class Gate {
  readonly #connections = new Map<string, Connection>();
  readonly #sources = new Map<string, Source>();
  readonly #idle = new Set<Connection>();
  readonly #logged = new Map<string, number>();

  constructor(
    private readonly bounds: GateBounds,
    private readonly descriptors: Pick<Descriptors, "suffice">,
    private readonly log: Log,
    /** The connections of every listener of this process, which share its descriptors. */
    private readonly everywhere: Connections = new Connections(),
    private readonly timing = { firstRequestMs: FIRST_REQUEST_MS, idleMs: IDLE_MS },
  ) {}

  /** The connections that are open. */
  get open(): number {
    return this.#connections.size;
  }

  /** Sees every connection of a server that listens. */
  guard(server: Listening): void {
    keepAccepting(server);
    const isTls = "setSecureContext" in server;
    server.prependListener(
      "connection",
      (socket) => this.#accept(socket, isTls ? "handshake" : "first_request"),
    );
    // From here on the connection is closed through its TLS end.
    server.prependListener(
      "secureConnection",
      (socket) => this.#connections.get(connectionKey(socket))?.secured(socket),
    );
  }

  /** A connection has a request; call the result when that is over. */
  busy(socket: Endpoints): () => void {
    const connection = this.#connections.get(connectionKey(socket));
    if (!connection) return () => {};
    this.#unidle(connection);
    connection.awaited = "idle";
    connection.requests++;
    return () => {
      connection.requests--;
      if (connection.requests === 0) this.#idles(connection, this.bounds.idleMs ?? this.timing.idleMs);
    };
  }

  #accept(socket: Socket, awaited: Cut): void {
    const address = sourceOf(socket.remoteAddress ?? "");
    const source = this.#sources.get(address) ?? { count: 0, idle: new Set() };
    const full = this.#full(source, address);
    if (full) {
      const oldest = full.idle.values().next().value;
      this.everywhere.count(this.bounds.listener, full.cut);
      this.#note(full.reason, address, oldest ? "closed the one that was idle longest" : "refused");
      if (!oldest) return void socket.destroy();
      oldest.drop();
    }
    const connection = new Connection(connectionKey(socket), address, socket, (gone) => this.#gone(gone));
    connection.awaited = awaited;
    source.count++;
    this.everywhere.open++;
    this.#sources.set(address, source);
    this.#connections.set(connection.key, connection);
    this.#idles(connection, this.timing.firstRequestMs);
  }

  /** The bound that one more connection of a source would exceed, and the connections that may make room. */
  #full(source: Source, address: string): { cut: Cut; reason: string; idle: Set<Connection> } | undefined {
    const { connections, perSource, remedy } = this.bounds;
    if (source.count >= perSource) {
      const reason = `${perSource} connections from ${address} are open; ${remedy}`;
      return { cut: "per_source", reason, idle: source.idle };
    }
    if (this.#connections.size >= connections) {
      return { cut: "in_all", reason: `${connections} connections are open; ${remedy}`, idle: this.#idle };
    }
    if (this.descriptors.suffice(this.everywhere.open)) return undefined;
    const reason = `${this.everywhere.open} connections leave too few file descriptors; raise ulimit -n`;
    return { cut: "descriptors", reason, idle: this.everywhere.idle };
  }

  #idles(connection: Connection, forMs: number): void {
    if (connection.closed) return;
    this.#idle.add(connection);
    this.everywhere.idle.add(connection);
    this.#sources.get(connection.address)?.idle.add(connection);
    connection.timer = setTimeout(() => {
      this.everywhere.count(this.bounds.listener, connection.awaited);
      connection.drop();
    }, forMs);
  }

  #unidle(connection: Connection): void {
    this.#idle.delete(connection);
    this.everywhere.idle.delete(connection);
    this.#sources.get(connection.address)?.idle.delete(connection);
    clearTimeout(connection.timer);
  }

  #gone(connection: Connection): void {
    if (connection.closed) return;
    connection.closed = true;
    this.everywhere.open--;
    this.#unidle(connection);
    if (this.#connections.get(connection.key) === connection) this.#connections.delete(connection.key);
    const source = this.#sources.get(connection.address);
    if (source && --source.count === 0) this.#sources.delete(connection.address);
  }

  #note(reason: string, from: string, done: string): void {
    const nowMs = monotonicMs();
    const kind = `${done} ${reason.replaceAll(/\d+/g, "")}`;
    if (nowMs - (this.#logged.get(kind) ?? -LOG_EVERY_MS) < LOG_EVERY_MS) return;
    if (this.#logged.size > 100) this.#logged.clear();
    this.#logged.set(kind, nowMs);
    this.log.warn(`a connection was ${done}`, {
      event: "connection_cut",
      listener: this.bounds.listener,
      from,
      reason,
    });
  }
}

/** The connections of a process. */
export class Connections {
  open = 0;
  /** Those without a request, the one that has been so longest first. */
  readonly idle = new Set<Connection>();
  readonly #cuts = new Map<string, Rows[number]>();

  /** Those that were refused or closed at a bound, by listener and reason. */
  get cuts(): Rows {
    return [...this.#cuts.values()];
  }

  count(listener: string, reason: Cut): void {
    const id = `${listener} ${reason}`;
    const row = this.#cuts.get(id) ?? [{ listener, reason }, 0];
    row[1]++;
    this.#cuts.set(id, row);
  }
}

/** One connection. */
class Connection {
  requests = 0;
  closed = false;
  /** The event that ends the time that runs: without it the connection is cut for this reason. */
  awaited: Cut = "first_request";
  timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly key: string,
    readonly address: string,
    private socket: Socket,
    private readonly gone: (connection: Connection) => void,
  ) {
    this.take(socket);
  }

  /** Its TLS end is there. */
  secured(socket: Socket): void {
    this.awaited = "first_request";
    this.take(socket);
  }

  take(socket: Socket): void {
    this.socket = socket;
    socket.once("close", () => {
      // The plain end of a TLS connection may be handed over rather than closed.
      if (this.socket === socket) this.gone(this);
    });
  }

  /** Closes it, and forgets it at once: the end of a socket takes a while. */
  drop(): void {
    this.gone(this);
    this.socket.destroy();
  }
}
