/** The composition root: builds a principal from its settings, starts it, and stops it in order. */
import { VERSION } from "../version.ts";
import { ChangeIndex } from "../changes/index.ts";
import type { ReplicationPolicy } from "../grpc/auth.ts";
import { adminHandlers } from "../grpc/admin.ts";
import {
  authenticationHandlers,
  eventStreamHandlers,
  Tokens,
  versionHandlers,
} from "../grpc/authentication.ts";
import { linkHandlers } from "../grpc/link.ts";
import { operatorHandlers } from "../grpc/operator.ts";
import { replicationHandlers } from "../grpc/replication.ts";
import { createServer, listen, listenPlaintext, RotatingCredentials, shutdown } from "../grpc/server.ts";
import * as services from "../grpc/services.ts";
import { initialModel, type Model } from "../ha/state.ts";
import { healthApp, startingApp } from "../http/health.ts";
import { metricsApp } from "../http/metrics.ts";
import type { Store } from "../store/port.ts";
import { TlsWatch } from "../tls/files.ts";
import { ChangeWriter } from "./apply.ts";
import type { Context, Counters, Following, HistoryEntry } from "./context.ts";
import { Driver, transitionLabel } from "./driver.ts";
import { Effects } from "./effects.ts";
import { Feed } from "./feed.ts";
import { Follower } from "./follow.ts";
import type { Log } from "./log.ts";
import { LossManifest } from "./loss.ts";
import { principalUid, readMemory } from "./memory.ts";
import { reasonOf } from "./reason.ts";
import { jwtPem, tlsEveryMs, tlsSource } from "./secrets.ts";
import type { Settings } from "./settings.ts";
import { openStore, StoreMonitor } from "./stores.ts";

const HISTORY_KEPT = 100;
/** Open calls may take this long to end at shutdown. */
const GRACE_MS = 1_500;

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
  const tls = await monitor.patiently(() =>
    TlsWatch.open(
      tlsSource(settings, store),
      (level, message) => log[level](message),
      tlsEveryMs(settings),
    )
  );
  undo.push(() => tls.close());
  const tokens = await monitor.patiently(() => loadTokens(settings, store));
  const uid = await monitor.patiently(() => principalUid(store, settings.namespace));
  const memory = await monitor.patiently(() => readMemory(store, settings.namespace));

  const index = new ChangeIndex(crypto.randomUUID());
  const feed = new Feed(store, index, settings.scope);
  const feeding = new AbortController();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const feedEnded = feed.run(feeding.signal).catch((error) => failed.reject(error));
  undo.push(async () => {
    feeding.abort();
    await feedEnded;
  });
  monitor.follow();
  await feed.synced;

  const { ctx, driver, effects } = wire({ settings, log, store, index, uid, tls, history, monitor });
  const ports = { healthz, ...await openListeners(ctx, tls, tokens, undo) };
  health = healthApp(ctx);
  undo.push(() => effects.stop());
  driver.input({ type: "start", memory });
  log.info("principal started", { version: VERSION, uid, ...ports });
  return { ctx, ports, failed: failed.promise, stop };
}

interface Parts {
  settings: Settings;
  log: Log;
  store: Store;
  index: ChangeIndex;
  uid: string;
  tls: TlsWatch;
  history: HistoryEntry[];
  monitor: StoreMonitor;
}

function wire(parts: Parts): { ctx: Context; driver: Driver; effects: { stop(): Promise<void> } } {
  const { settings, log, store, index, uid, tls, history, monitor } = parts;
  const { preferredRole, peerAddress } = settings;
  const driver = new Driver(
    initialModel({ preferredRole, peerAddress, uid }, Date.now()),
    (effect) => effects.run(effect),
    (before, after, name, refused) => observe(ctx, before, after, name, refused),
  );
  const ctx: Context = {
    settings,
    log,
    store,
    index,
    uid,
    version: VERSION,
    replicas: new Set(),
    following: newFollowing(),
    counters: newCounters(),
    history,
    storeProblem: () => monitor.problem,
    model: () => driver.model,
    input: (input) => driver.input(input),
    command: (kind, force) => driver.command(kind, force),
    activeScope: () => effects.scope,
    standing: () => standing(ctx),
    peerReachable: () =>
      driver.model.state === "active"
        ? driver.model.peer !== undefined
        : driver.model.state === "replicating",
    connectedAgents: () => 0,
  };
  const manifest = new LossManifest(ctx);
  const writer = new ChangeWriter(
    store,
    settings.scope,
    ctx.counters,
    (key, next) => manifest.beforeWrite(key, next),
  );
  const follower = new Follower(ctx, tls, writer);
  const effects = new Effects(ctx, tls, follower);
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

function observe(ctx: Context, before: Model, after: Model, name: string, refused: boolean): void {
  const { counters, log, history } = ctx;
  log.debug("step", { row: name });
  if (refused) {
    log.warn("command refused", { row: name, state: after.state });
    return;
  }
  if (after.state !== before.state) {
    const label = transitionLabel(before, after);
    counters.transitions[label] = (counters.transitions[label] ?? 0) + 1;
    if (name === "promoted") counters.failovers++;
    if (name === "demoted") counters.failbacks++;
    log.info(`${before.state.toUpperCase()} -> ${after.state.toUpperCase()}: ${after.explanation}`);
  } else if (after.explanation !== before.explanation) {
    log.info(`${after.state.toUpperCase()}: ${after.explanation}`);
  }
  if (after.state === before.state && after.explanation === before.explanation) return;
  remember(history, `${after.state.toUpperCase()}: ${after.explanation}`);
}

function remember(history: HistoryEntry[], text: string): void {
  history.push({ atMs: Date.now(), text });
  if (history.length > HISTORY_KEPT) history.shift();
}

/** The key that signs agents' tokens; undefined where none is configured: then no agent can authenticate. */
async function loadTokens(settings: Settings, store: Store): Promise<Tokens | undefined> {
  if (settings.generateJwtKey) return await Tokens.generate();
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

async function openListeners(
  ctx: Context,
  tls: TlsWatch,
  tokens: Tokens | undefined,
  undo: (() => Promise<void> | void)[],
): Promise<Omit<Running["ports"], "healthz">> {
  const { settings } = ctx;
  const policy: ReplicationPolicy = {
    haEnabled: settings.haEnabled,
    rule: settings.auth,
    allowed: new Set(settings.allowedReplicationClients),
    allowAny: settings.allowAnyReplicationClient,
    blocked: (fingerprint) => isBlocked(ctx, fingerprint),
  };
  const host = listenHost(settings);
  const metrics = settings.metricsPort === 0
    ? 0
    : serveHttp(metricsApp(ctx).fetch, host, settings.metricsPort, undo);
  const server = createServer(settings.maxMessageBytes);
  server.addService(services.versionService, versionHandlers(ctx));
  server.addService(services.authenticationService, authenticationHandlers(ctx, policy, tokens));
  server.addService(services.eventStreamService, eventStreamHandlers(ctx));
  server.addService(services.replicationService, replicationHandlers(ctx, policy));
  if (!settings.plainContract) server.addService(services.linkService, linkHandlers(ctx, policy));
  const credentials = new RotatingCredentials(
    tls.current,
    settings.tlsMinVersion,
    settings.requireClientCerts,
  );
  tls.onRotation((material) => credentials.rotate(material));
  undo.push(() => shutdown(server, GRACE_MS));
  const grpcPort = await listen(server, `${host}:${settings.listenPort}`, credentials);
  const admin = settings.haEnabled ? await openAdmin(ctx, undo) : 0;
  return { grpc: grpcPort, admin, metrics };
}

async function openAdmin(ctx: Context, undo: (() => Promise<void> | void)[]): Promise<number> {
  const server = createServer(4 * 1024 * 1024);
  server.addService(services.adminService, adminHandlers(ctx));
  server.addService(services.operatorService, operatorHandlers(ctx));
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
function isBlocked(ctx: Context, fingerprint: string): boolean {
  const entry = ctx.index.get(`ConfigMap/${ctx.settings.namespace}/argocd-agent-tls-blocklist`);
  if (!entry || entry.deleted) return false;
  const { data } = JSON.parse(entry.payload) as { data?: Record<string, string> };
  return data !== undefined && fingerprint in data;
}

function newFollowing(): Following {
  return {
    contract: "",
    connected: false,
    behind: 0,
    caughtUpAtMs: 0,
    driftAtMs: 0,
    lastEventMs: 0,
    lastSequence: 0,
    held: [],
    heldTotal: 0,
  };
}

function newCounters(): Counters {
  return {
    eventsForwarded: 0,
    eventsReceived: 0,
    eventsApplied: 0,
    applyErrors: 0,
    snapshotApplyErrors: 0,
    snapshotFetchErrors: 0,
    operationErrors: {},
    refused: 0,
    reconnects: 0,
    snapshots: 0,
    sequenceGaps: 0,
    connectionsRejected: {},
    transitions: {},
    failovers: 0,
    failbacks: 0,
  };
}
