/** The Redis proxy: Argo CD's servers ask it in place of their Redis, and each of their connections has one to the real Redis behind it. */
import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { AgentCaches } from "../../principal/ports/agent_caches.ts";
import type { Gate } from "../net/gate.ts";
import { listen, type TlsVersions } from "../net/listening.ts";
import type { TlsMaterial } from "../tls/files.ts";
import { ProxyConnection } from "./proxy_connection.ts";
import { dialRedis, type Upstream } from "./upstream.ts";

/** The real Redis takes a connection within this time: its clients wait as long. */
const DIAL_MS = 5_000;
/** The same reason is logged once in this time. */
const LOG_EVERY_MS = 60_000;
/** A connection over which nothing passes is probed after this time. */
const KEEPALIVE_MS = 30_000;

/** The certificate of the proxy, which may be exchanged. */
export interface ProxyTls {
  readonly current: TlsMaterial;
  onRotation(listener: (material: TlsMaterial) => void): void;
  readonly versions: TlsVersions;
}

/** The parts of a proxy. */
export interface RedisProxyParts {
  listen: { hostname: string; port: number };
  /** Undefined: without TLS. */
  tls: ProxyTls | undefined;
  redis: Upstream;
  caches: AgentCaches;
  gate: Gate;
  log: Log;
}

/** Serves; its port, and how to end it. @throws Error where the address is taken */
export async function serveRedisProxy(
  parts: RedisProxyParts,
): Promise<{ port: number; close(): Promise<void> }> {
  const { tls, gate } = parts;
  // Both ends of a TLS connection: until its handshake is over there is only the plain one.
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  };
  const failures = new Failures(parts);
  const accept = (client: Socket) => serve(client, parts, failures);
  const server = tls ? tlsServer(tls, accept) : createServer(accept);
  const port = await listen(server, parts.listen, gate, { remedy: "; see --redis-proxy-port" });
  for (const event of ["connection", "secureConnection"]) server.prependListener(event, track);
  return {
    port,
    close: () =>
      new Promise((closed) => {
        server.close(() => closed());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function tlsServer(tls: ProxyTls, accept: (client: Socket) => void) {
  const context = ({ cert, key }: TlsMaterial) => ({ cert, key, ...tls.versions });
  const server = createTlsServer(context(tls.current), accept);
  server.on("tlsClientError", (_, socket) => socket.destroy());
  tls.onRotation((material) => server.setSecureContext(context(material)));
  return server;
}

function serve(
  client: Socket,
  { redis: upstream, caches, gate }: RedisProxyParts,
  failures: Failures,
): void {
  const failed = (reason: string) => {
    failures.note(reason);
    connection.close();
  };
  const timer = setTimeout(() => failed(`no connection within ${DIAL_MS / 1_000} s`), DIAL_MS);
  let isConnected = false;
  const redis = dialRedis(upstream, () => {
    isConnected = true;
    clearTimeout(timer);
  });
  for (const socket of [client, redis]) socket.setNoDelay(true).setKeepAlive(true, KEEPALIVE_MS);
  const connection = new ProxyConnection(client, redis, { caches, busy: () => gate.busy(client) });
  redis.once("error", (error) => isConnected || failed(reasonOf(error)));
  client.once("close", () => clearTimeout(timer));
}

/** Why the real Redis cannot be reached, once in a while. */
class Failures {
  #last = "";
  #atMs = -Infinity;

  constructor(private readonly parts: Pick<RedisProxyParts, "log" | "redis">) {}

  note(reason: string): void {
    const nowMs = monotonicMs();
    if (reason === this.#last && nowMs - this.#atMs < LOG_EVERY_MS) return;
    this.#last = reason;
    this.#atMs = nowMs;
    const { log, redis: { address } } = this.parts;
    log.warn("Redis cannot be reached; the Redis proxy closes its clients' connections", { address, reason });
  }
}
