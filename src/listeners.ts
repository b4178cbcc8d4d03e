/** The listeners of a principal: for agents and the peer, for operators, for metrics and probes. */
import { adminHandlers } from "./adapters/grpc/admin.ts";
import { guarded } from "./adapters/grpc/admin_access.ts";
import { agentCallers, eventStreamHandlers } from "./adapters/grpc/agents.ts";
import { terminalStreamHandlers } from "./adapters/grpc/terminal_stream.ts";
import { logStreamHandlers } from "./adapters/grpc/log_stream.ts";
import { authenticationHandlers, versionHandlers } from "./adapters/grpc/authentication.ts";
import type { Authenticator } from "./adapters/grpc/methods.ts";
import type { OpenCalls } from "./adapters/grpc/open_calls.ts";
import { drillStage } from "./drill_stage.ts";
import { deletionsHandlers } from "./adapters/grpc/deletions.ts";
import { diffHandlers } from "./adapters/grpc/diff.ts";
import { drillHandlers } from "./adapters/grpc/drill.ts";
import { knowingHandlers } from "./adapters/grpc/knowing.ts";
import { operatorHandlers } from "./adapters/grpc/operator.ts";
import { switchoverHandler } from "./adapters/grpc/switchover.ts";
import { linkHandlers } from "./adapters/grpc/link_service.ts";
import { reconcileHandlers } from "./adapters/grpc/reconcile.ts";
import { replicationHandlers } from "./adapters/grpc/replication_service.ts";
import {
  createServer,
  listen,
  listenPlaintext,
  RotatingCredentials,
  shutdown,
} from "./adapters/grpc/server.ts";
import * as services from "./adapters/grpc/services.ts";
import type { WebSockets } from "./adapters/grpc/websockets.ts";
import { metricsApp } from "./adapters/http/metrics.ts";
import { type Answer, serveHttp } from "./adapters/http/server.ts";
import type { Measurements } from "./adapters/http/measurements.ts";
import { hostPort } from "./adapters/net/addresses.ts";
import { Descriptors } from "./adapters/net/descriptors.ts";
import { Connections, Gate } from "./adapters/net/gate.ts";
import { agentsBounds, descriptorsOf, type GateBounds, LISTENERS } from "./adapters/net/listener_bounds.ts";
import type { Expiries } from "./adapters/tls/expiries.ts";
import type { TlsWatch } from "./adapters/tls/files.ts";
import { ProxyListener } from "./proxy_listener.ts";
import { openRedisProxy, type RedisDoor } from "./redis_listener.ts";
import type { UiNeeds } from "./principal/core/ui_needs.ts";
import type { Rows } from "./principal/ports/telemetry.ts";
import type { Core } from "./principal/principal.ts";
import type { Tracing } from "./principal/ports/tracing.ts";
import { type Log, ofComponent, teller } from "./base/log.ts";
import type { Settings } from "./config/settings.ts";

/** Open calls may take this long to end at shutdown. */
const GRACE_MS = 1_500;
const ADMIN_MESSAGE_BYTES = 4 * 1024 * 1024;

/** The gates of this process's listeners. */
export class Gates {
  readonly #connections = new Connections();
  readonly #bounds = new Map<string, GateBounds>();

  constructor(private readonly log: Log) {}

  /** The connections that are open. */
  get open(): number {
    return this.#connections.open;
  }

  /** Connections that were refused or closed at a bound, by listener and reason. */
  get cuts(): Rows {
    return this.#connections.cuts;
  }

  /** File descriptors at the bounds of every gate. */
  get descriptors(): number {
    return descriptorsOf(this.#bounds.values());
  }

  of(bounds: GateBounds): Gate {
    this.#bounds.set(bounds.listener, bounds);
    return new Gate(bounds, new Descriptors(bounds.reserve), this.log, this.#connections);
  }
}

/** Where a principal listens; ports are the real ones where 0 was asked for, and 0 where it does not. */
export interface Ports {
  grpc: number;
  admin: number;
  adminTls: number;
  healthz: number;
  profiles: number;
  metrics: number;
  resourceProxy: number;
  redisProxy: number;
}

/** Steps that undo what was opened; the last comes first. */
export type Undo = (() => Promise<void> | void)[];

/** Takes these steps. */
export async function undone(steps: Undo): Promise<void> {
  for (let step = steps.pop(); step; step = steps.pop()) await step();
}

/** The parts needed to admit clients. */
interface Doors {
  settings: Settings;
  log: Log;
  /** Undefined: without TLS. */
  tls: TlsWatch | undefined;
  authenticator: Authenticator;
  measurements: Measurements;
  tracing: Tracing;
  /** Ends what a revoked or expired certificate, or a removed user, has open. */
  openCalls: OpenCalls;
  gates: Gates;
  /** Undefined: this side has no Redis. */
  redis: RedisDoor | undefined;
  /** The services behind Argo CD's UI that do not work. */
  uiNeeds: UiNeeds;
  /** When each certificate expires. */
  expiries: Expiries;
}

/** Everything that a principal that acts answers on, but for probes. */
export async function openListeners(
  core: Core,
  doors: Doors,
  undo: Undo,
): Promise<Omit<Ports, "healthz" | "profiles">> {
  const { settings, log, tls, authenticator, measurements, tracing, openCalls, gates } = doors;
  const counting = measurements.calls;
  const host = settings.listenHost;
  const metrics = await openMetrics(core, settings, measurements.registry, gates, undo);
  const server = createServer(settings.maxMessageBytes, { openCalls, counting, tracing });
  server.addService(services.versionService, versionHandlers());
  server.addService(services.authenticationService, authenticationHandlers(core.admission, authenticator));
  const telling = { log: ofComponent(log, "grpc-event"), tell: teller(log, "events", settings.log) };
  const callerOf = agentCallers(core.admission, authenticator, openCalls);
  server.addService(services.eventStreamService, eventStreamHandlers(core.admission, callerOf, telling));
  server.addService(services.logStreamService, logStreamHandlers(core.logs, callerOf));
  server.addService(services.terminalStreamService, terminalStreamHandlers(core.terminals, callerOf));
  server.addService(services.replicationService, replicationHandlers(core.plainPeerService));
  if (!settings.plainContract) server.addService(services.linkService, linkHandlers(core.peerService));
  const webSockets = settings.webSockets ? await openWebSockets(settings) : undefined;
  undo.push(() => shutdown(server, GRACE_MS).then(() => webSockets?.close()));
  const address = hostPort(host, settings.listenPort);
  const { connections, perSource } = settings.connections;
  const gate = gates.of(agentsBounds(connections, perSource));
  const grpcPort = tls
    ? await listen(server, address, rotating(tls, settings), gate, webSockets)
    : await listenPlaintext(server, address, gate, webSockets);
  openCalls.attach(server);
  const admin = settings.haEnabled ? await openAdmin(core, doors, undo) : { admin: 0, adminTls: 0 };
  const resourceProxy = await openResourceProxy(core, doors, undo);
  const redis = doors.redis &&
    {
      ...doors.redis,
      settings,
      log: ofComponent(log, "redis-proxy"),
      gate: gates.of(LISTENERS.redisProxy),
      hostname: settings.servicesHost,
    };
  const redisProxy = redis ? await openRedisProxy(core.caches, redis, undo) : 0;
  return { grpc: grpcPort, ...admin, metrics, resourceProxy, redisProxy };
}

/** Loaded only where agents come over them. */
async function openWebSockets({ maxMessageBytes }: Settings): Promise<WebSockets> {
  const { WebSockets } = await import("./adapters/grpc/websockets.ts");
  return new WebSockets(maxMessageBytes);
}

/** The resource proxy; its port, 0 where it is off or waits for its Secrets. @throws Error as `ProxyListener.open` */
async function openResourceProxy(
  { resourceProxy, store, blocklist }: Pick<Core, "resourceProxy" | "store" | "blocklist">,
  { settings, log, gates, uiNeeds, expiries }: Doors,
  undo: Undo,
): Promise<number> {
  const { resourceProxy: wanted, namespace, tlsVersions } = settings;
  if (!wanted) return 0;
  const own = { wanted, namespace, tlsVersions, hostname: settings.servicesHost };
  const listener = await ProxyListener.open(resourceProxy, {
    ...own,
    ...{
      store,
      blocklist,
      log: ofComponent(log, "resource-proxy"),
      uiNeeds,
      expiries,
      gate: gates.of(LISTENERS.resourceProxy),
    },
  });
  undo.push(() => listener.close());
  return listener.port;
}

/** `/metrics`; its port, 0 where it is off. */
export function openMetrics(
  { series }: Pick<Core, "series">,
  settings: Settings,
  registry: Measurements["registry"],
  gates: Gates,
  undo: Undo,
): Promise<number> {
  if (settings.metricsPort === 0) return Promise.resolve(0);
  return openHttp(
    metricsApp(series, registry).fetch,
    settings,
    settings.metricsPort,
    gates.of(LISTENERS.metrics),
    undo,
  );
}

/** The answers to probes; its port. @throws Error where the address is taken */
export function openHealth(answer: Answer, settings: Settings, gates: Gates, undo: Undo): Promise<number> {
  return openHttp(answer, settings, settings.healthzPort, gates.of(LISTENERS.health), undo);
}

/** Profiles on the loopback; its port, 0 where it is off. The profilers are loaded only then. */
export async function openProfiling(
  { pprofPort: port }: Settings,
  gates: Gates,
  undo: Undo,
): Promise<number> {
  if (port === 0) return 0;
  const { profilingApp, MAX_PROFILE_SECONDS } = await import("./adapters/http/profiling.ts");
  const http = await serveHttp(
    profilingApp().fetch,
    { hostname: "127.0.0.1", port },
    gates.of(LISTENERS.profiles),
    { answerMs: (MAX_PROFILE_SECONDS + 60) * 1_000, localOnly: true },
  );
  undo.push(() => http.close());
  return http.port;
}

async function openHttp(
  answer: Answer,
  settings: Settings,
  port: number,
  gate: Gate,
  undo: Undo,
): Promise<number> {
  const http = await serveHttp(answer, { hostname: settings.servicesHost, port }, gate);
  undo.push(() => http.close());
  return http.port;
}

function rotating(tls: TlsWatch, { tlsVersions, requireClientCerts }: Settings): RotatingCredentials {
  const credentials = new RotatingCredentials(tls.current, tlsVersions, requireClientCerts);
  tls.onRotation((material) => credentials.rotate(material));
  return credentials;
}

/** The loopback listener, and where configured another over mTLS for whom it names. */
export async function openAdmin(
  core: Pick<Core, "operations" | "index" | "model" | "drills">,
  { settings, log, tls, tracing, openCalls, gates, measurements: { calls: counting } }:
    & Pick<Doors, "settings" | "log" | "tls" | "tracing" | "gates" | "measurements">
    & Partial<Pick<Doors, "openCalls">>,
  undo: Undo,
): Promise<{ admin: number; adminTls: number }> {
  const { operations, index, model } = core;
  const haAdmin = adminHandlers(operations);
  const operator = {
    ...operatorHandlers(operations),
    Switchover: switchoverHandler(operations),
    ...knowingHandlers(operations),
    ...diffHandlers(operations),
    ...drillHandlers(core.drills(drillStage({ settings, index, model }))),
    ...reconcileHandlers(operations),
    ...deletionsHandlers(operations),
  };
  const loopback = createServer(ADMIN_MESSAGE_BYTES, { counting, tracing });
  loopback.addService(services.adminService, haAdmin);
  loopback.addService(services.operatorService, operator);
  undo.push(() => loopback.forceShutdown());
  const admin = await listenPlaintext(loopback, `127.0.0.1:${settings.adminPort}`, gates.of(LISTENERS.admin));
  const { adminListen, auth } = settings;
  if (!adminListen || !tls || !openCalls || auth.method !== "mtls") return { admin, adminTls: 0 };
  const policy = {
    rule: auth.rule,
    readers: new Set(adminListen.readers),
    operators: new Set(adminListen.operators),
  };
  const guard = (service: object, handlers: typeof operator) =>
    guarded(service as services.Methods, handlers, policy, log);
  const remote = createServer(ADMIN_MESSAGE_BYTES, { openCalls, counting, tracing });
  remote.addService(services.adminService, guard(services.adminService, haAdmin as typeof operator));
  remote.addService(services.operatorService, guard(services.operatorService, operator));
  undo.push(() => remote.forceShutdown());
  const adminTls = await listen(
    remote,
    adminListen.address,
    rotating(tls, settings),
    gates.of(LISTENERS.remoteAdmin),
  );
  openCalls.attach(remote);
  return { admin, adminTls };
}
