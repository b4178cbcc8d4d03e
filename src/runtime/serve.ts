/** The composition root: builds a principal from its settings, starts it, and stops it in order. */
import { VERSION } from "../version.ts";
import { ChangeIndex } from "../changes/index.ts";
import type { ReplicationPolicy } from "../grpc/auth.ts";
import { adminHandlers } from "../grpc/admin.ts";
import { eventStreamHandlers } from "../grpc/agents.ts";
import { authenticationHandlers, versionHandlers } from "../grpc/authentication.ts";
import { type Authenticator, authenticator } from "../grpc/methods.ts";
import { Tokens } from "../grpc/tokens.ts";
import { diffHandlers, inventoryHandlers } from "../grpc/diff.ts";
import { knowingHandlers } from "../grpc/knowing.ts";
import { linkHandlers } from "../grpc/link.ts";
import { operatorHandlers } from "../grpc/operator.ts";
import { switchoverHandler, switchoverLinkHandlers } from "../grpc/switchover.ts";
import { replicationHandlers } from "../grpc/replication.ts";
import { createServer, listen, listenPlaintext, RotatingCredentials, shutdown } from "../grpc/server.ts";
import * as services from "../grpc/services.ts";
import { initialModel } from "../ha/state.ts";
import { healthApp, startingApp } from "../http/health.ts";
import { metricsApp } from "../http/metrics.ts";
import { ProcessingTimes } from "../http/processing.ts";
import type { Store } from "../store/port.ts";
import { type TlsSide, TlsWatch } from "../tls/files.ts";
import { AgentRegistry } from "./agents.ts";
import { ChangeWriter } from "./apply.ts";
import { type ClusterInfo, NO_CLUSTER_INFO } from "./cluster_info.ts";
import { Clusters } from "./clusters.ts";
import { type Context, type HistoryEntry, newCounters, newFollowing } from "./context.ts";
import { Driver } from "./driver.ts";
import { Effects } from "./effects.ts";
import { Feed } from "./feed.ts";
import { Fleet } from "./fleet.ts";
import { History } from "./history.ts";
import { Follower } from "./follow.ts";
import type { Log } from "./log.ts";
import { LossManifest } from "./loss.ts";
import { principalUid, readMemory } from "./memory.ts";
import { noteCommand, observe, remember } from "./observe.ts";
import { reasonOf } from "./reason.ts";
import { jwtPem, tlsEveryMs, tlsSource } from "./secrets.ts";
import type { Settings } from "./settings.ts";
import { openStore, StoreMonitor } from "./stores.ts";
import { Switchover } from "./switchover.ts";

/** Open calls may take this long to end at shutdown. */
const GRACE_MS = 1_500;

/** Without TLS there is no peer to dial. */
const WITHOUT_TLS: TlsSide = {
  get current(): never {
    throw new Error("this principal serves without TLS and has no peer");
  },
};

/** A running principal. */
export interface Running {
  readonly ctx: Context;
  /** Where it listens; ports are the real ones where 0 was asked for. */
  readonly ports: { grpc: number; admin: number; healthz: number; metrics: number };
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
  const index = new ChangeIndex(crypto.randomUUID());
  const history: HistoryEntry[] = [];
  const monitor = new StoreMonitor(store, log, (text) => remember(history, text));
  undo.push(() => monitor.stop());
  let health = startingApp(() => monitor.problem);
  const healthz = serveHttp(
    (request) => health.fetch(request),
    listenHost(settings),
    settings.healthzPort,
    undo,
  );
  const agentsAuth = authenticator(
    settings.auth,
    (fingerprint) => isBlocked({ index, settings }, fingerprint),
  );
  const tls = settings.plaintext ? undefined : await monitor.patiently(() => openTls(settings, store, log));
  undo.push(() => tls?.close());
  const tokens = await monitor.patiently(() => loadTokens(settings, store));
  const uid = await monitor.patiently(() => principalUid(store, settings.namespace));
  const memory = await monitor.patiently(() => readMemory(store, settings.namespace));

  const clusters = new Clusters();
  const feed = new Feed(store, index, settings.scope, clusters);
  const failed = startFeed(feed, undo);
  monitor.follow();
  await feed.synced;

  const clusterInfo = await openClusterInfo(settings, clusters, log);
  undo.push(() => clusterInfo.close());
  const processing = new ProcessingTimes();
  const chain = new History(store, settings.namespace, log);
  await monitor.patiently(() => chain.load());
  const parts = {
    settings,
    log,
    store,
    index,
    uid,
    tls,
    history,
    monitor,
    clusters,
    clusterInfo,
    processing,
    chain,
  };
  const { ctx, driver, effects } = wire(parts);
  const ports = {
    healthz,
    ...await openListeners(ctx, { tls, tokens, authenticator: agentsAuth, processing }, undo),
  };
  health = healthApp(ctx);
  undo.push(() => effects.stop());
  driver.input({ type: "start", memory });
  log.info("principal started", { version: VERSION, uid, ...ports });
  return { ctx, ports, failed, stop };
}

function openTls(settings: Settings, store: Store, log: Log): Promise<TlsWatch> {
  const tell = (level: "info" | "warn" | "error", message: string) => log[level](message);
  return TlsWatch.open(tlsSource(settings, store), tell, tlsEveryMs(settings));
}

/** Runs a feed until the principal stops; rejects when the store fails. */
function startFeed(feed: Feed, undo: (() => Promise<void> | void)[]): Promise<never> {
  const feeding = new AbortController();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const ended = feed.run(feeding.signal).catch((error) => failed.reject(error));
  undo.push(async () => {
    feeding.abort();
    await ended;
  });
  return failed.promise;
}

interface Parts {
  settings: Settings;
  log: Log;
  store: Store;
  index: ChangeIndex;
  uid: string;
  tls: TlsWatch | undefined;
  history: HistoryEntry[];
  monitor: StoreMonitor;
  clusters: Clusters;
  clusterInfo: ClusterInfo;
  processing: ProcessingTimes;
  chain: History;
}

function wire(parts: Parts): { ctx: Context; driver: Driver; effects: { stop(): Promise<void> } } {
  const { tls, monitor, chain, ...shared } = parts;
  const { settings, log, store, uid, clusters } = shared;
  const { preferredRole, peerAddress } = settings;
  const driver = new Driver(
    initialModel({ preferredRole, peerAddress, uid }, Date.now()),
    (effect) => effects.run(effect),
    (before, after, name, refused) => observe(ctx, chain, { before, after, name, refused }),
  );
  const ctx: Context = {
    ...shared,
    version: VERSION,
    replicas: new Set(),
    following: newFollowing(),
    counters: newCounters(),
    storeProblem: () => monitor.problem,
    model: () => driver.model,
    input: (input) => driver.input(input),
    chain: () => chain.chain,
    command: (kind, force, who = "") => {
      noteCommand(ctx, chain, `${kind}${force ? " --force" : ""}`, who);
      return driver.command(kind, force);
    },
    activeScope: () => effects.scope,
    standing: () => standing(ctx),
    peerReachable: () =>
      driver.model.state === "active"
        ? driver.model.peer !== undefined
        : driver.model.state === "replicating",
    connectedAgents: () => fleet.connected,
    registry: new AgentRegistry({ store, settings, log, activeScope: () => effects.scope }),
    fleet: () => fleet,
    proved: (revision) => manifest.proved(revision),
    redial: () => follower.redial(),
  };
  const fleet = new Fleet(ctx, clusters, (fingerprint) => isBlocked(ctx, fingerprint));
  const manifest = new LossManifest(ctx);
  const writer = new ChangeWriter(
    store,
    settings.scope,
    ctx.counters,
    (key, next) => manifest.beforeWrite(key, next),
  );
  const material = tls ?? WITHOUT_TLS;
  const follower = new Follower(ctx, material, writer);
  const effects = new Effects(ctx, material, follower, fleet);
  return {
    ctx,
    driver,
    effects: {
      stop: async () => {
        await effects.stopServing(false, "this principal is shutting down");
        await follower.stop();
      },
    },
  };
}

function standing(ctx: Context) {
  const { state, sinceMs, memory } = ctx.model();
  return {
    uid: ctx.uid,
    version: ctx.version,
    namespace: ctx.settings.namespace,
    state,
    epoch: memory.epoch,
    sinceMs,
    connectedAgents: ctx.connectedAgents(),
  };
}

/** The key that signs agents' tokens; undefined where none is configured: then no agent can authenticate. */
async function loadTokens(settings: Settings, store: Store): Promise<Tokens | undefined> {
  if (settings.generateJwtKey && settings.jwtKey === "") return await Tokens.generate();
  if (settings.jwtKey === "" && settings.store.type === "sqlite") return undefined;
  const { text, from } = await jwtPem(settings, store);
  try {
    return await Tokens.fromPem(text.toString("utf8"));
  } catch (error) {
    throw new Error(`${from} is not a readable RSA key (PKCS#8 PEM): ${reasonOf(error)}`);
  }
}

function listenHost(settings: Settings): string {
  return settings.listenHost || "0.0.0.0";
}

/** What is needed to let anybody in. */
interface Doors {
  /** Undefined: without TLS. */
  tls: TlsWatch | undefined;
  tokens: Tokens | undefined;
  authenticator: Authenticator;
  processing: ProcessingTimes;
}

/** Argo CD's Redis, where one is configured; its library is loaded only then. */
async function openClusterInfo(settings: Settings, clusters: Clusters, log: Log): Promise<ClusterInfo> {
  if (!settings.redis) return NO_CLUSTER_INFO;
  const { RedisClusterInfo } = await import("./redis.ts");
  return new RedisClusterInfo(settings.redis, clusters, log);
}

async function openListeners(
  ctx: Context,
  { tls, tokens, authenticator, processing }: Doors,
  undo: (() => Promise<void> | void)[],
): Promise<Omit<Running["ports"], "healthz">> {
  const { settings } = ctx;
  const policy: ReplicationPolicy = {
    haEnabled: settings.haEnabled,
    rule: settings.auth.method === "mtls" ? settings.auth.rule : undefined,
    allowed: new Set(settings.allowedReplicationClients),
    allowAny: settings.allowAnyReplicationClient,
    blocked: (fingerprint) => isBlocked(ctx, fingerprint),
  };
  const host = listenHost(settings);
  const metrics = settings.metricsPort === 0
    ? 0
    : serveHttp(metricsApp(ctx, processing.registry).fetch, host, settings.metricsPort, undo);
  const server = createServer(settings.maxMessageBytes);
  server.addService(services.versionService, versionHandlers(ctx));
  server.addService(services.authenticationService, authenticationHandlers(ctx, authenticator, tokens));
  server.addService(services.eventStreamService, eventStreamHandlers(ctx, authenticator, tokens));
  server.addService(services.replicationService, replicationHandlers(ctx, policy));
  const material = tls ?? WITHOUT_TLS;
  const switchover = new Switchover(ctx, material);
  if (!settings.plainContract) {
    const handlers = {
      ...linkHandlers(ctx, policy, material),
      ...switchoverLinkHandlers(switchover, policy),
      ...inventoryHandlers(ctx, policy),
    };
    server.addService(services.linkService, handlers);
  }
  undo.push(() => shutdown(server, GRACE_MS));
  const address = `${host}:${settings.listenPort}`;
  const grpcPort = tls
    ? await listen(server, address, rotating(tls, settings))
    : await listenPlaintext(server, address);
  const admin = settings.haEnabled
    ? await openAdmin(ctx, {
      Switchover: switchoverHandler(ctx, switchover, material),
      ...knowingHandlers(ctx, material),
      ...diffHandlers(ctx, material),
    }, undo)
    : 0;
  return { grpc: grpcPort, admin, metrics };
}

function rotating(tls: TlsWatch, { tlsMinVersion, requireClientCerts }: Settings): RotatingCredentials {
  const credentials = new RotatingCredentials(tls.current, tlsMinVersion, requireClientCerts);
  tls.onRotation((material) => credentials.rotate(material));
  return credentials;
}

async function openAdmin(
  ctx: Context,
  more: Parameters<ReturnType<typeof createServer>["addService"]>[1],
  undo: (() => Promise<void> | void)[],
): Promise<number> {
  const server = createServer(4 * 1024 * 1024);
  server.addService(services.adminService, adminHandlers(ctx));
  server.addService(services.operatorService, {
    ...operatorHandlers(ctx),
    ...more,
  });
  undo.push(() => server.forceShutdown());
  return await listenPlaintext(server, `127.0.0.1:${ctx.settings.adminPort}`);
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

/** The peer's blocklist: a ConfigMap whose keys are fingerprints. */
function isBlocked({ index, settings }: Pick<Context, "index" | "settings">, fingerprint: string): boolean {
  const entry = index.get(`ConfigMap/${settings.namespace}/argocd-agent-tls-blocklist`);
  if (!entry || entry.deleted) return false;
  const { data } = JSON.parse(entry.payload) as { data?: Record<string, string> };
  return data !== undefined && fingerprint in data;
}
