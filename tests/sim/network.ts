/**
 * The simulated network: gRPC calls and streams between processes, over the production code's own methods and codecs. Messages of one
 * stream keep their order, as under TCP; a path can be slow, refuse connections, or swallow everything one way or both, and then what
 * was on the way arrives late, or the connection is given up, each end finding out by itself.
 */
import type { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import type { Client } from "../../src/adapters/grpc/dial.ts";
import type { Methods } from "../../src/adapters/grpc/services.ts";
import type { Clock, Process } from "./clock.ts";
import { SOUND_PATH } from "./sound.ts";
import { ClientStream, failure, ServerStream } from "./streams.ts";

/** A server's keepalive: it gives a silent connection up after this long. */
const KEEPALIVE_MS = 10_000;
/** Messages under way before a writer is told to wait. */
const BUFFER_MESSAGES = 16;
/** How often a packet that is swallowed is tried again. */
const STALLED_LOOK_MS = 200;

/** One way between two hosts. */
export interface Path {
  minMs: number;
  maxMs: number;
  /** Connections are refused. */
  refuses: boolean;
  /** Nothing arrives. */
  swallows: boolean;
}

/** The caller, as a server sees it. */
export type Peer = { sslPeerCertificate?: { raw: Buffer } };

interface Served {
  definition: grpc.MethodDefinition<unknown, unknown>;
  // deno-lint-ignore no-explicit-any
  handler: any;
}

/** A process that serves. */
export interface Server {
  process: Process;
  methods: Map<string, Served>;
}

/** The methods of a service, as a server has them. */
export function serve(
  into: Server["methods"],
  service: Methods,
  handlers: grpc.UntypedServiceImplementation,
): void {
  for (const [name, definition] of Object.entries(service)) {
    const handler = handlers[name];
    if (handler) into.set(definition.path, { definition, handler });
  }
}

export class Network {
  readonly #paths = new Map<string, Path>();
  /** By host. */
  readonly servers = new Map<string, Server>();
  readonly #connections = new Set<Connection>();

  constructor(readonly clock: Clock) {}

  /** The way from one host to another. */
  path(from: string, to: string): Path {
    const name = `${from}>${to}`;
    let path = this.#paths.get(name);
    if (!path) this.#paths.set(name, path = { ...SOUND_PATH });
    return path;
  }

  get paths(): Iterable<Path> {
    return this.#paths.values();
  }

  /** A channel of `process` on `from` to whatever serves on the host `to`. */
  dial(process: Process, from: string, to: () => string, peer: Peer = {}): Client {
    return new SimClient(this, process, from, to, peer) as unknown as Client;
  }

  /** Everything that a process had open is reset. */
  died(process: Process): void {
    for (const connection of this.#connections) connection.lost(process);
  }

  /** Breaks what is open between two hosts. */
  cut(a: string, b: string): void {
    for (const connection of this.#connections) {
      const { from, to } = connection;
      if ((from === a && to === b) || (from === b && to === a)) connection.reset();
    }
  }

  delayMs({ minMs, maxMs }: Path): number {
    return minMs + this.clock.random.next() * (maxMs - minMs);
  }

  /** Told of every stream and call between two hosts. */
  onDial: (from: string, to: string) => void = () => {};

  open(client: SimClient, path: string): Connection {
    this.onDial(client.from, client.to());
    const connection = new Connection(this, client, client.to(), path);
    this.#connections.add(connection);
    connection.onClosed = () => this.#connections.delete(connection);
    connection.begin();
    return connection;
  }
}

/** The part of grpc.Client that the production code uses. */
class SimClient {
  readonly #open = new Set<Connection>();

  constructor(
    readonly network: Network,
    readonly process: Process,
    readonly from: string,
    readonly to: () => string,
    readonly peer: Peer,
  ) {}

  makeUnaryRequest(
    path: string,
    encode: (message: unknown) => Buffer,
    decode: (bytes: Buffer) => unknown,
    message: unknown,
    metadata: grpc.Metadata,
    { deadline }: { deadline: number },
    callback: (error: unknown, response?: unknown) => void,
  ): void {
    let answered = false;
    const finish = (error: unknown, response?: unknown) => {
      if (answered) return;
      answered = true;
      callback(error, response);
      connection.cancel();
    };
    const connection = this.network.open(this, path);
    connection.metadata = metadata;
    connection.toClient = (bytes) => finish(null, decode(bytes));
    connection.ended = (code, details) => finish(failure(code, details));
    connection.send("server", encode(message));
    setTimeout(
      () => finish(failure(grpc.status.DEADLINE_EXCEEDED, "Deadline exceeded")),
      deadline - Date.now(),
    );
  }

  makeBidiStreamRequest(
    path: string,
    encode: (message: unknown) => Buffer,
    decode: (bytes: Buffer) => unknown,
    metadata = new grpc.Metadata(),
  ): ClientStream {
    const connection = this.network.open(this, path);
    connection.metadata = metadata;
    this.#open.add(connection);
    return new ClientStream(connection, encode, decode);
  }

  makeServerStreamRequest(
    path: string,
    encode: (message: unknown) => Buffer,
    decode: (bytes: Buffer) => unknown,
    message: unknown,
  ): ClientStream {
    const stream = this.makeBidiStreamRequest(path, encode, decode);
    stream.write(message);
    return stream;
  }

  close(): void {
    for (const connection of this.#open) connection.cancel();
  }
}

/** The messages in flight to one end, in order. */
interface Lane {
  packets: { atMs: number; arrive(): void }[];
  /** Since when nothing passes; Infinity: it passes. */
  stalledAtMs: number;
}

function lane(): Lane {
  return { packets: [], stalledAtMs: Infinity };
}

/** One HTTP/2 stream with a connection of its own. */
export class Connection {
  metadata = new grpc.Metadata();
  toClient: (bytes: Buffer) => void = () => {};
  toServer: ((bytes: Buffer) => void) | undefined;
  ended: (code: grpc.status, details: string) => void = () => {};
  onClosed = () => {};
  /** A server's end is gone, from the server's point of view. */
  onLost: () => void = () => {};
  onDrain: Record<"client" | "server", () => void> = { client: () => {}, server: () => {} };
  readonly from: string;
  #server: Server | undefined;
  #clientOver = false;
  #serverOver = false;
  readonly #underway = { client: 0, server: 0 };
  readonly #lanes = { client: lane(), server: lane() };

  constructor(
    readonly network: Network,
    readonly client: SimClient,
    readonly to: string,
    readonly path: string,
  ) {
    this.from = client.from;
  }

  /** Reaches the server, or finds nobody. */
  begin(): void {
    const { network, from, to } = this;
    const there = network.path(from, to);
    if (there.refuses) return this.#fail(grpc.status.UNAVAILABLE, "connect ECONNREFUSED");
    this.#carry("server", () => {
      const server = network.servers.get(to);
      if (!server) return this.#fail(grpc.status.UNAVAILABLE, "connect ECONNREFUSED");
      this.#server = server;
      network.clock.schedule(server.process, 0, () => this.#accept(server), `accept ${this.path}`);
    });
  }

  /** Sends towards one end; false: wait for its drain. */
  send(to: "client" | "server", bytes: Buffer): boolean {
    this.#underway[to]++;
    this.#carry(to, () => {
      const process = to === "client" ? this.client.process : this.#server?.process;
      if (!process) return;
      this.network.clock.schedule(process, 0, () => {
        this.#underway[to]--;
        if (to === "client" ? !this.#clientOver : !this.#serverOver) {
          if (to === "client") this.toClient(bytes);
          else this.toServer?.(bytes);
        }
        const writer = to === "client" ? "server" : "client";
        const sender = writer === "client" ? this.client.process : this.#server?.process;
        if (this.#underway[to] === BUFFER_MESSAGES - 1 && sender) {
          this.network.clock.schedule(sender, 0.1, () => this.onDrain[writer](), "drain");
        }
      }, `${this.path} to ${to}`);
    });
    return this.#underway[to] < BUFFER_MESSAGES;
  }

  /** The server ends the stream with a status. */
  status(code: grpc.status, details: string): void {
    if (this.#serverOver) return;
    this.#serverOver = true;
    this.#carry("client", () => this.#tellClient(code, details));
    this.onClosed();
  }

  /** The client has given up. */
  cancel(): void {
    if (this.#clientOver) return;
    this.#clientOver = true;
    this.#carry("server", () => this.#loseServer());
    this.onClosed();
  }

  /** Both ends find the connection gone. */
  reset(): void {
    this.#loseServer();
    this.#tellClient(grpc.status.UNAVAILABLE, "Connection dropped");
    this.onClosed();
  }

  /** A process has died: the other end finds out, where packets still pass. */
  lost(process: Process): void {
    if (process === this.client.process) {
      this.#clientOver = true;
      this.#carry("server", () => this.#loseServer());
      this.onClosed();
    } else if (process === this.#server?.process) {
      this.#serverOver = true;
      this.#carry("client", () => this.#tellClient(grpc.status.UNAVAILABLE, "Connection dropped"));
      this.onClosed();
    }
  }

  #accept(server: Server): void {
    if (this.#clientOver) return;
    const served = server.methods.get(this.path);
    if (!served) return this.status(grpc.status.UNIMPLEMENTED, "unknown method");
    const { definition } = served;
    if (definition.requestStream) {
      const call = new ServerStream(this, definition);
      served.handler(call);
      return;
    }
    this.toServer = (bytes) => {
      const request = definition.requestDeserialize(bytes);
      if (definition.responseStream) return served.handler(new ServerStream(this, definition, request));
      const call = { request, metadata: this.metadata, getAuthContext: () => this.client.peer };
      served.handler(call, (error: { code: grpc.status; details: string } | null, response: unknown) => {
        if (error) this.status(error.code, error.details);
        else this.send("client", definition.responseSerialize(response));
      });
    };
  }

  #fail(code: grpc.status, details: string): void {
    const { network, from, to } = this;
    this.#serverOver = true;
    const later = network.delayMs(network.path(to, from));
    network.clock.schedule(this.client.process, later, () => this.#tellClient(code, details), "unavailable");
    this.onClosed();
  }

  #tellClient(code: grpc.status, details: string): void {
    this.network.clock.schedule(this.client.process, 0, () => {
      if (this.#clientOver) return;
      this.#clientOver = true;
      this.ended(code, details);
    }, "status");
  }

  #loseServer(): void {
    const process = this.#server?.process;
    if (!process) return;
    this.network.clock.schedule(process, 0, () => {
      if (this.#serverOver) return;
      this.#serverOver = true;
      this.onLost();
    }, "lost");
  }

  /** Runs `arrive` when a packet has passed: in order each way, and while a path swallows not before it heals. */
  #carry(to: "client" | "server", arrive: () => void): void {
    const lane = this.#lanes[to];
    const { network } = this;
    const path = this.#pathTo(to);
    lane.packets.push({ atMs: network.clock.nowMs + network.delayMs(path), arrive });
    if (lane.packets.length === 1) this.#pass(to);
  }

  #pathTo(to: "client" | "server"): Path {
    const { network, from } = this;
    return to === "server" ? network.path(from, this.to) : network.path(this.to, from);
  }

  /** The first packet of a lane passes when its time has come. */
  #pass(to: "client" | "server"): void {
    const { clock } = this.network;
    const lane = this.#lanes[to];
    const first = lane.packets[0];
    if (!first) return;
    clock.schedule(clock.nobody, first.atMs - clock.nowMs, () => {
      if (this.#pathTo(to).swallows) {
        lane.stalledAtMs = Math.min(lane.stalledAtMs, clock.nowMs);
        if (clock.nowMs - lane.stalledAtMs >= KEEPALIVE_MS) this.#silent();
        first.atMs = clock.nowMs + STALLED_LOOK_MS;
        return this.#pass(to);
      }
      lane.stalledAtMs = Infinity;
      lane.packets.shift();
      first.arrive();
      this.#pass(to);
    }, `packet to ${to}`);
  }

  /** The server's pings are not answered: it gives up, and the client hears of it when packets pass again. */
  #silent(): void {
    if (this.#serverOver || !this.#server) return;
    this.#loseServer();
    this.#carry("client", () => this.#tellClient(grpc.status.UNAVAILABLE, "Connection dropped"));
    this.onClosed();
  }
}
