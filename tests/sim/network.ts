/**
 * The simulated network: streams between processes, in domain values that are copied on the way. Messages of one stream keep their
 * order, as under TCP; a path can be slow, refuse connections, or swallow everything one way or both. Then what was in flight arrives
 * late, or the connection is dropped, and each end finds that out by itself.
 */
import type { CertificateNames } from "../../src/domain/agents/identity.ts";
import type { StreamEvents } from "../../src/principal/ports/stream.ts";
import type { Clock, Process } from "./clock.ts";
import { SOUND_PATH } from "./sound.ts";

/** A server's keepalive: it drops a silent connection after this long. */
const KEEPALIVE_MS = 10_000;
/** Messages in flight before a writer is told to wait. */
const BUFFER_MESSAGES = 16;
/** How often a packet that is swallowed is retried. */
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

/** The callers that open streams. */
export interface Caller {
  process: Process;
  /** Its host. */
  from: string;
  certificate?: CertificateNames;
}

/** How a stream ends that was not ended in good order. */
export interface Failure {
  kind: "refused" | "unimplemented" | "failed";
  message: string;
}

/** A server's end of a stream. */
export interface ServerEnd {
  readonly caller: Caller;
  /** Sends; false: wait until it is drained. */
  send(message: unknown): boolean;
  /** Ends the stream. */
  end(failure?: Failure): void;
}

/** A server of a stream: it takes the sending end and returns the handlers of the other. */
export type Handler = (stream: ServerEnd) => StreamEvents<unknown>;

/** A process that serves. */
export interface Server {
  process: Process;
  /** By the stream's name. */
  handlers: Map<string, Handler>;
}

/** The events at the caller's end of a stream. */
export interface CallerEvents {
  received(message: unknown): void;
  drained(): void;
  /** Told once, and not after `cancel`. */
  ended(failure: Failure | undefined): void;
}

const DROPPED: Failure = { kind: "failed", message: "Connection dropped" };
const UNREACHABLE: Failure = { kind: "failed", message: "connect ECONNREFUSED" };

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

  /** Told of every stream between two hosts. */
  onDial: (from: string, to: string) => void = () => {};

  /** Opens a stream to whatever serves on the host `to`. */
  open(caller: Caller, to: string, name: string, events: CallerEvents): Connection {
    this.onDial(caller.from, to);
    const connection = new Connection(this, caller, to, name, events);
    this.#connections.add(connection);
    connection.onClosed = () => this.#connections.delete(connection);
    connection.begin();
    return connection;
  }

  /** One request, and its answer within `timeoutMs`. */
  call(caller: Caller, to: string, name: string, request: unknown, timeoutMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const late = { kind: "failed", message: "Deadline exceeded" } as const;
      const timer = setTimeout(() => finish(() => reject(late)), timeoutMs);
      const finish = (tell: () => void) => {
        clearTimeout(timer);
        tell();
        connection.cancel();
      };
      const connection = this.open(caller, to, name, {
        received: (answer) => finish(() => resolve(answer)),
        drained: () => {},
        ended: (failure) => finish(() => reject(failure ?? DROPPED)),
      });
      connection.send("server", request);
    });
  }
}

/** The messages in flight to one end, in order. */
interface Queue {
  packets: { atMs: number; arrive(): void }[];
  /** Since when nothing passes; Infinity: it passes. */
  stalledAtMs: number;
}

function queueOf(): Queue {
  return { packets: [], stalledAtMs: Infinity };
}

/** One stream with a connection of its own. */
export class Connection {
  onClosed = () => {};
  readonly from: string;
  #server: Server | undefined;
  /** The handlers of the server's end. */
  #served: StreamEvents<unknown> | undefined;
  #clientOver = false;
  #serverOver = false;
  readonly #underway = { client: 0, server: 0 };
  readonly #queues = { client: queueOf(), server: queueOf() };

  constructor(
    readonly network: Network,
    readonly caller: Caller,
    readonly to: string,
    readonly name: string,
    private readonly events: CallerEvents,
  ) {
    this.from = caller.from;
  }

  /** Reaches the server, if there is one. */
  begin(): void {
    const { network, from, to } = this;
    const there = network.path(from, to);
    if (there.refuses) return this.#fail(UNREACHABLE);
    this.#carry("server", () => {
      const server = network.servers.get(to);
      if (!server) return this.#fail(UNREACHABLE);
      this.#server = server;
      network.clock.schedule(server.process, 0, () => this.#accept(server), `accept ${this.name}`);
    });
  }

  /** Sends a copy towards one end; false: wait until it is drained. */
  send(to: "client" | "server", message: unknown): boolean {
    const copy: unknown = structuredClone(message);
    this.#underway[to]++;
    this.#carry(to, () => {
      const process = to === "client" ? this.caller.process : this.#server?.process;
      if (!process) return;
      this.network.clock.schedule(process, 0, () => {
        this.#underway[to]--;
        if (to === "client" && !this.#clientOver) this.events.received(copy);
        if (to === "server" && !this.#serverOver) this.#served?.received(copy);
        if (this.#underway[to] === BUFFER_MESSAGES - 1) this.#drained(to);
      }, `${this.name} to ${to}`);
    });
    return this.#underway[to] < BUFFER_MESSAGES;
  }

  /** The server ends the stream. */
  end(failure?: Failure): void {
    if (this.#serverOver) return;
    this.#serverOver = true;
    this.#carry("client", () => this.#tellClient(failure));
    this.onClosed();
  }

  /** The caller ends the stream. */
  cancel(): void {
    if (this.#clientOver) return;
    this.#clientOver = true;
    this.#carry("server", () => this.#loseServer());
    this.onClosed();
  }

  /** Both ends find the connection gone. */
  reset(): void {
    this.#loseServer();
    this.#tellClient(DROPPED);
    this.onClosed();
  }

  /** A process has died: the other end finds out, where packets still pass. */
  lost(process: Process): void {
    if (process === this.caller.process) {
      this.#clientOver = true;
      this.#carry("server", () => this.#loseServer());
      this.onClosed();
    } else if (process === this.#server?.process) {
      this.#serverOver = true;
      this.#carry("client", () => this.#tellClient(DROPPED));
      this.onClosed();
    }
  }

  #accept(server: Server): void {
    if (this.#clientOver) return;
    const handler = server.handlers.get(this.name);
    if (!handler) return this.end({ kind: "unimplemented", message: "unknown method" });
    this.#served = handler({
      caller: this.caller,
      send: (message) => this.#serverOver || this.send("client", message),
      end: (failure) => this.end(failure),
    });
  }

  /** The writer towards an end is told that there is room. */
  #drained(to: "client" | "server"): void {
    const writer = to === "client" ? this.#server?.process : this.caller.process;
    if (!writer) return;
    this.network.clock.schedule(writer, 0.1, () => {
      if (to === "server") this.events.drained();
      else this.#served?.drained();
    }, "drain");
  }

  #fail(failure: Failure): void {
    const { network, from, to } = this;
    this.#serverOver = true;
    const later = network.delayMs(network.path(to, from));
    network.clock.schedule(this.caller.process, later, () => this.#tellClient(failure), "unavailable");
    this.onClosed();
  }

  #tellClient(failure: Failure | undefined): void {
    this.network.clock.schedule(this.caller.process, 0, () => {
      if (this.#clientOver) return;
      this.#clientOver = true;
      this.events.ended(failure);
    }, "ended");
  }

  #loseServer(): void {
    const process = this.#server?.process;
    if (!process) return;
    this.network.clock.schedule(process, 0, () => {
      if (this.#serverOver) return;
      this.#serverOver = true;
      this.#served?.closed();
    }, "lost");
  }

  /** Runs `arrive` when a packet has passed: in order each way, and while a path swallows not before it heals. */
  #carry(to: "client" | "server", arrive: () => void): void {
    const queue = this.#queues[to];
    const { network } = this;
    const path = this.#pathTo(to);
    queue.packets.push({ atMs: network.clock.nowMs + network.delayMs(path), arrive });
    if (queue.packets.length === 1) this.#pass(to);
  }

  #pathTo(to: "client" | "server"): Path {
    const { network, from } = this;
    return to === "server" ? network.path(from, this.to) : network.path(this.to, from);
  }

  /** The first packet of a queue passes when its time has come. */
  #pass(to: "client" | "server"): void {
    const { clock } = this.network;
    const queue = this.#queues[to];
    const first = queue.packets[0];
    if (!first) return;
    clock.schedule(clock.nobody, first.atMs - clock.nowMs, () => {
      if (this.#pathTo(to).swallows) {
        queue.stalledAtMs = Math.min(queue.stalledAtMs, clock.nowMs);
        if (clock.nowMs - queue.stalledAtMs >= KEEPALIVE_MS) this.#silent();
        first.atMs = clock.nowMs + STALLED_LOOK_MS;
        return this.#pass(to);
      }
      queue.stalledAtMs = Infinity;
      queue.packets.shift();
      first.arrive();
      this.#pass(to);
    }, `packet to ${to}`);
  }

  /** The server's pings are not answered: it drops the connection, and the caller hears of it as soon as packets pass. */
  #silent(): void {
    if (this.#serverOver || !this.#server) return;
    this.#loseServer();
    this.#carry("client", () => this.#tellClient(DROPPED));
    this.onClosed();
  }
}
