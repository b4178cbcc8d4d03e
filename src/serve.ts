/** The composition root: builds a principal from its settings, starts it, and stops it in order. */
import { VERSION } from "./base/version.ts";
import { adminHandlers } from "./adapters/grpc/admin.ts";
import { guarded } from "./adapters/grpc/admin_access.ts";
import { eventStreamHandlers } from "./adapters/grpc/agents.ts";
import { authenticationHandlers, versionHandlers } from "./adapters/grpc/authentication.ts";
import { type Authenticator, authenticator } from "./adapters/grpc/methods.ts";
import { SignedTokens } from "./adapters/grpc/tokens.ts";
import { dialPeer } from "./adapters/grpc/dial.ts";
import { GrpcPeer } from "./adapters/grpc/peer.ts";
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
import { healthApp, startingApp } from "./adapters/http/health.ts";
import { metricsApp } from "./adapters/http/metrics.ts";
import { ProcessingTimes } from "./adapters/http/processing.ts";
import { openSqlite } from "./adapters/store/sqlite.ts";
import { admits } from "./domain/resources/scope.ts";
import type { Store } from "./principal/ports/store.ts";
import type { Peer } from "./principal/ports/peer.ts";
import { TlsWatch } from "./adapters/tls/files.ts";
import { type AgentClusters, type ClusterInfo, NO_CLUSTER_INFO } from "./principal/ports/cluster_info.ts";
import type { Operations } from "./principal/ports/operations.ts";
import { type Core, openCore } from "./principal/principal.ts";
import type { Log } from "./base/log.ts";
import { type RecentEvent, remember } from "./principal/core/observe.ts";
import { reasonOf } from "./base/reason.ts";
import { hasSigningKey, jwtPem, tlsEveryMs, tlsSource } from "./adapters/tls/secrets.ts";
import type { Settings } from "./config/settings.ts";
import { StoreMonitor } from "./principal/core/store_monitor.ts";

/** Open calls may take this long to end at shutdown. */
const GRACE_MS = 1_500;
const ADMIN_MESSAGE_BYTES = 4 * 1024 * 1024;

/** A running principal. */
export interface Running {
  readonly settings: Settings;
  readonly core: Core;
  /** The calls of an operator. */
  readonly operations: Operations;
  /** Where it listens; ports are the real ones where 0 was asked for. */
  readonly ports: { grpc: number; admin: number; adminTls: number; healthz: number; metrics: number };
  /** Rejects when the principal cannot go on, e.g. because its store failed. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

/** Starts a principal. @throws Error (with one clear line) and leaves nothing running */
export async function startPrincipal(settings: Settings, log: Log): Promise<Running> {
  const undo: (() => Promise<void> | void)[] = [];
  const stop = async () => {
    for (let step = undo.pop(); step; step = undo.pop()) await step();
  };
  try {
    return await start(settings, log, undo, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

async function start(
  settings: Settings,
  log: Log,
  undo: (() => Promise<void> | void)[],
  stop: () => Promise<void>,
): Promise<Running> {
  const store = await openStore(settings);
  undo.push(() => store.close());
  const history: RecentEvent[] = [];
  const monitor = new StoreMonitor(store, log, (text) => remember(history, text));
  undo.push(() => monitor.stop());
  let health = startingApp(() => monitor.problem);
  const healthz = serveHttp(
    (request) => health.fetch(request),
    listenHost(settings),
    settings.healthzPort,
    undo,
  );
  const tls = settings.plaintext ? undefined : await monitor.patiently(() => openTls(settings, store, log));
  undo.push(() => tls?.close());
  const tokens = await monitor.patiently(() => loadTokens(settings, store));
  const processing = new ProcessingTimes();
  const core = await openCore({
    settings,
    log,
    store,
    monitor,
    peer: peerOf(settings, tls),
    hasSigningKey: hasSigningKey(settings),
    history,
    processing,
    tokens,
    clusterInfo: (clusters) => openClusterInfo(settings, clusters, log),
  });
  undo.push(() => core.stop());
  const agentsAuth = authenticator(settings.auth, (fingerprint) => core.blocklist.has(fingerprint));
  const doors = { settings, log, tls, authenticator: agentsAuth, processing };
  const ports = { healthz, ...await openListeners(core, doors, undo) };
  health = healthApp(core.health);
  undo.push(() => core.rest());
  core.start();
  if (settings.haEnabled) undo.push(core.readiness.watch());
  log.info("principal started", { version: VERSION, uid: core.uid, ...ports });
  return { settings, core, operations: core.operations, ports, failed: core.failed, stop };
}

/** Opens the store that the settings name; the Kubernetes client is loaded only where it is used. @throws StoreError */
async function openStore({ store, scope, dataDir }: Settings): Promise<Store> {
  if (store.type === "sqlite") {
    Deno.mkdirSync(dataDir, { recursive: true });
    return openSqlite(store.path);
  }
  const { openKubernetes } = await import("./adapters/store/kubernetes.ts");
  return openKubernetes({
    ...store,
    namespace: scope.namespace,
    admits: (namespace) => admits(scope, namespace),
  });
}

/** The way to the peer. */
function peerOf(
  { peerAddress, peerHealthz, maxMessageBytes }: Settings,
  tls: TlsWatch | undefined,
): Peer {
  const material = () => {
    if (tls) return tls.current;
    throw new Error("this principal serves without TLS and has no peer");
  };
  return new GrpcPeer({
    address: peerAddress,
    healthz: peerHealthz,
    dial: () => dialPeer(peerAddress, material(), maxMessageBytes),
    certificateNotAfterMs: () => material().notAfterMs,
  });
}

function openTls(settings: Settings, store: Store, log: Log): Promise<TlsWatch> {
  const tell = (level: "info" | "warn" | "error", message: string) => log[level](message);
  return TlsWatch.open(tlsSource(settings, store), tell, tlsEveryMs(settings));
}

/** The key that signs agents' tokens; undefined where none is configured: then no agent can authenticate. */
async function loadTokens(settings: Settings, store: Store): Promise<SignedTokens | undefined> {
  if (settings.generateJwtKey && settings.jwtKey === "") return await SignedTokens.generate();
  if (!hasSigningKey(settings)) return undefined;
  const { text, from } = await jwtPem(settings, store);
  try {
    return await SignedTokens.fromPem(text.toString("utf8"));
  } catch (error) {
    throw new Error(`${from} is not a readable RSA key (PKCS#8 PEM): ${reasonOf(error)}`);
  }
}

function listenHost(settings: Settings): string {
  return settings.listenHost || "0.0.0.0";
}

/** The parts needed to admit clients. */
interface Doors {
  settings: Settings;
  log: Log;
  /** Undefined: without TLS. */
  tls: TlsWatch | undefined;
  authenticator: Authenticator;
  processing: ProcessingTimes;
}

/** Argo CD's Redis, where one is configured; its library is loaded only then. */
async function openClusterInfo(settings: Settings, clusters: AgentClusters, log: Log): Promise<ClusterInfo> {
  if (!settings.redis) return NO_CLUSTER_INFO;
  const { RedisClusterInfo } = await import("./adapters/redis/cluster_info.ts");
  return new RedisClusterInfo(settings.redis, clusters, log);
}

async function openListeners(
  core: Core,
  doors: Doors,
  undo: (() => Promise<void> | void)[],
): Promise<Omit<Running["ports"], "healthz">> {
  const { settings, log, tls, authenticator, processing } = doors;
  const host = listenHost(settings);
  const metrics = settings.metricsPort === 0 ? 0 : serveHttp(
    metricsApp(core.series, processing.registry).fetch,
    host,
    settings.metricsPort,
    undo,
  );
  const server = createServer(settings.maxMessageBytes);
  server.addService(services.versionService, versionHandlers());
  server.addService(services.authenticationService, authenticationHandlers(core.admission, authenticator));
  server.addService(services.eventStreamService, eventStreamHandlers(core.admission, authenticator, log));
  server.addService(services.replicationService, replicationHandlers(core.plainPeerService));
  if (!settings.plainContract) server.addService(services.linkService, linkHandlers(core.peerService));
  undo.push(() => shutdown(server, GRACE_MS));
  const address = `${host}:${settings.listenPort}`;
  const grpcPort = tls
    ? await listen(server, address, rotating(tls, settings))
    : await listenPlaintext(server, address);
  const admin = settings.haEnabled ? await openAdmin(core, doors, undo) : { admin: 0, adminTls: 0 };
  return { grpc: grpcPort, ...admin, metrics };
}

function rotating(tls: TlsWatch, { tlsMinVersion, requireClientCerts }: Settings): RotatingCredentials {
  const credentials = new RotatingCredentials(tls.current, tlsMinVersion, requireClientCerts);
  tls.onRotation((material) => credentials.rotate(material));
  return credentials;
}

/** The loopback listener, and where configured another over mTLS for whom it names. */
async function openAdmin(
  core: Core,
  { settings, log, tls }: Doors,
  undo: (() => Promise<void> | void)[],
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
  const loopback = createServer(ADMIN_MESSAGE_BYTES);
  loopback.addService(services.adminService, haAdmin);
  loopback.addService(services.operatorService, operator);
  undo.push(() => loopback.forceShutdown());
  const admin = await listenPlaintext(loopback, `127.0.0.1:${settings.adminPort}`);
  const { adminListen, auth } = settings;
  if (!adminListen || !tls || auth.method !== "mtls") return { admin, adminTls: 0 };
  const policy = {
    rule: auth.rule,
    readers: new Set(adminListen.readers),
    operators: new Set(adminListen.operators),
    blocked: (fingerprint: string) => core.blocklist.has(fingerprint),
  };
  const guard = (service: object, handlers: typeof operator) =>
    guarded(service as services.Methods, handlers, policy, log);
  const remote = createServer(ADMIN_MESSAGE_BYTES);
  remote.addService(services.adminService, guard(services.adminService, haAdmin as typeof operator));
  remote.addService(services.operatorService, guard(services.operatorService, operator));
  undo.push(() => remote.forceShutdown());
  return { admin, adminTls: await listen(remote, adminListen.address, rotating(tls, settings)) };
}

function serveHttp(
  answer: (request: Request) => Response | Promise<Response>,
  hostname: string,
  port: number,
  undo: (() => Promise<void> | void)[],
): number {
  try {
    const server = Deno.serve({ hostname, port, onListen: () => {} }, answer);
    undo.push(() => server.shutdown());
    return (server.addr as Deno.NetAddr).port;
  } catch (error) {
    throw new Error(`cannot listen on ${hostname}:${port}: ${reasonOf(error)}`);
  }
}
