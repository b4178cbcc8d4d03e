/** The composition root: builds a principal from its settings, starts it while it holds the lock on its store, and stops it in order. */
import { VERSION } from "./base/version.ts";
import { everyAddress } from "./adapters/net/addresses.ts";
import { authenticator } from "./adapters/grpc/methods.ts";
import { NO_TRACING, type Tracing } from "./principal/ports/tracing.ts";
import { DialledCalls } from "./adapters/grpc/dialled_calls.ts";
import { OpenCalls } from "./adapters/grpc/open_calls.ts";
import { openTokens } from "./adapters/grpc/signing_key.ts";
import { healthApp, startingApp } from "./adapters/http/health.ts";
import { Measurements } from "./adapters/http/measurements.ts";
import type { Waiting } from "./domain/ha/state.ts";
import type { Store } from "./principal/ports/store.ts";
import type { Tenure } from "./principal/ports/store_lock.ts";
import { type TlsMaterial, TlsWatch } from "./adapters/tls/files.ts";
import { CERTIFICATE_FOR_A_PAIR } from "./domain/ha/preflight.ts";
import { pairProblem } from "./adapters/grpc/auth.ts";
import { type AgentClusters, type ClusterInfo, NO_CLUSTER_INFO } from "./principal/ports/cluster_info.ts";
import type { Operations } from "./principal/ports/operations.ts";
import { type Office, runTenures } from "./principal/core/tenures.ts";
import type { Core, CoreParts } from "./principal/principal.ts";
import { openCore, type WaitingCore, waitingCore } from "./principal/opening.ts";
import { type Log, ofComponent } from "./base/log.ts";
import { type RecentEvent, remember } from "./principal/core/observe.ts";
import { reasonOf } from "./base/reason.ts";
import { Expiries } from "./adapters/tls/expiries.ts";
import { generatedTls } from "./adapters/tls/generated.ts";
import { hasSigningKey, rereadMs, TLS_FLAGS, tlsSource } from "./adapters/tls/secrets.ts";
import type { Settings } from "./config/settings.ts";
import { UiNeeds } from "./principal/core/ui_needs.ts";
import { StoreMonitor } from "./principal/core/store_monitor.ts";
import {
  Gates,
  openAdmin,
  openHealth,
  openListeners,
  openMetrics,
  openProfiling,
  type Ports,
  type Undo,
  undone,
} from "./listeners.ts";
import { openTracer, peerOf } from "./outgoing.ts";
import { openRedis, type RedisDoor } from "./redis_listener.ts";
import { openBoard, openLock, openStore } from "./stores.ts";

/** A running principal. */
export interface Running {
  readonly settings: Settings;
  readonly core: Omit<Core, "failed" | "stop">;
  /** The calls of an operator. */
  readonly operations: Operations;
  readonly ports: Ports;
  /** Rejects when the principal cannot go on, e.g. because its store failed. */
  readonly failed: Promise<never>;
  stop(): Promise<void>;
}

/** Starts a principal. @throws Error (with one clear line) and leaves nothing running */
export async function startPrincipal(wanted: Settings, log: Log): Promise<Running> {
  const listenHost = wanted.listenHost || await everyAddress();
  const servicesHost = wanted.servicesHost === "*" ? await everyAddress() : wanted.servicesHost || listenHost;
  const settings = { ...wanted, listenHost, servicesHost };
  const undo: Undo = [];
  const stop = () => undone(undo);
  try {
    const host = await Host.open(settings, log, undo);
    const lock = await openLock(settings, host.measurements.apiRequests);
    undo.push(() => lock.close());
    const ending = new AbortController();
    const ended = runTenures(lock, host, ending.signal).catch((error) => {
      if (!ending.signal.aborted) host.fail(error);
    });
    undo.push(async () => {
      ending.abort(new Error("this principal is shutting down"));
      await ended;
      await host.close();
    });
    await host.opened;
    return {
      settings,
      get core() {
        return host.present.core;
      },
      get operations() {
        return host.present.operations;
      },
      get ports() {
        return host.present.ports;
      },
      failed: host.failed,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The principal that runs in this process now, or ran last: one that acts, or one that waits for the lock on its store. */
interface Present extends Pick<Running, "core" | "operations" | "ports"> {
  undo: Undo;
}

/** This process: the listeners for probes and profiles, which outlive tenures, and what each tenure opens. */
class Host implements Office {
  readonly #history: RecentEvent[] = [];
  readonly #opened = Promise.withResolvers<void>();
  readonly #failed = Promise.withResolvers<never>();
  readonly #gates: Gates;
  readonly #ports = { healthz: 0, profiles: 0 };
  readonly measurements = new Measurements();
  #tracing: Tracing = NO_TRACING;
  #health = startingApp(() => "the lock on the store is asked for");
  #present: Present | undefined;
  #waiting: WaitingCore | undefined;
  /** Opening and closing, one at a time. */
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(private readonly settings: Settings, private readonly log: Log) {
    this.#failed.promise.catch(() => {});
    this.#gates = new Gates(log);
  }

  /** Answers probes from now on. @throws Error where the address is taken */
  static async open(settings: Settings, log: Log, undo: Undo): Promise<Host> {
    const host = new Host(settings, log);
    host.#ports.healthz = await openHealth(
      (request) => host.#health.fetch(request),
      settings,
      host.#gates,
      undo,
    );
    host.#ports.profiles = await openProfiling(settings, host.#gates, undo);
    const tracer = await openTracer(settings, log);
    undo.push(() => tracer.close());
    host.#tracing = tracer.tracing;
    return host;
  }

  /** The parts of a principal that count and trace. */
  get #measured(): Pick<CoreParts, "work" | "processing" | "tracing"> {
    const { calls, processing } = this.measurements;
    const work = {
      cuts: () => this.#gates.cuts,
      open: () => this.#gates.open + calls.open,
      descriptors: () => this.#gates.descriptors,
    };
    return { work, processing, tracing: this.#tracing };
  }

  /** Resolves when a principal acts or waits here. */
  get opened(): Promise<void> {
    return this.#opened.promise;
  }

  /** Rejects when none can. */
  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  get present(): Present {
    if (this.#present) return this.#present;
    throw new Error("this principal is opening its store");
  }

  fail(error: unknown): void {
    this.#opened.reject(error);
    this.#failed.reject(error);
  }

  wait(why: Waiting): void {
    this.#take(async () => {
      if (!this.#waiting) await this.#openWaiting();
      this.#waiting?.wait(why);
      this.#opened.resolve();
    }).catch((error) => this.fail(error));
  }

  act(tenure: Tenure, ended: AbortSignal): Promise<(reason: Error) => Promise<void>> {
    return this.#take(async () => {
      await this.#close();
      const undo: Undo = [];
      try {
        await this.#open(tenure, ended, undo);
      } catch (error) {
        await undone(undo);
        throw error;
      }
      this.#opened.resolve();
      return (reason) => this.#take(() => this.#end(reason));
    });
  }

  close(): Promise<void> {
    return this.#take(() => this.#close());
  }

  #take<T>(act: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(act);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** Ends what is open; from the first moment on the probes say so. */
  async #end(reason: Error): Promise<void> {
    this.#health = startingApp(() => reason.message);
    this.log.info("this process stops acting for its side", {
      event: "tenure_ended",
      reason: reason.message,
    });
    remember(this.#history, `stops acting: ${reason.message}`);
    await this.#close();
  }

  async #close(): Promise<void> {
    await undone(this.#present?.undo ?? []);
    this.#waiting = undefined;
  }

  async #openWaiting(): Promise<void> {
    const { settings, log, measurements } = this;
    const undo: Undo = [];
    const core = waitingCore({
      settings,
      log,
      monitor: new StoreMonitor({ status: () => ({ problem: "", writes: 0, lists: 0 }) }, log, () => {}),
      hasSigningKey: hasSigningKey(settings),
      ...this.#measured,
      certificates: () => [],
      history: this.#history,
      uiNeeds: new UiNeeds(),
    });
    this.#waiting = core;
    const metrics = await openMetrics(core, settings, measurements.registry, this.#gates, undo);
    const { admin } = settings.haEnabled
      ? await openAdmin(
        core,
        { settings, log, tls: undefined, tracing: this.#tracing, gates: this.#gates, measurements },
        undo,
      )
      : { admin: 0 };
    this.#present = {
      core,
      operations: core.operations,
      ports: {
        ...this.#ports,
        grpc: 0,
        admin,
        adminTls: 0,
        metrics,
        resourceProxy: 0,
        redisProxy: 0,
      },
      undo,
    };
    this.#health = healthApp(core.health);
  }

  async #open(tenure: Tenure, ended: AbortSignal, undo: Undo): Promise<void> {
    const { settings, log, measurements } = this;
    const history = this.#history;
    const { apiRequests } = measurements;
    const store = await openStore(settings, () => tenure.holds(), log, apiRequests);
    undo.push(() => store.close());
    const monitor = new StoreMonitor(store, log, (text) => remember(history, text), ended);
    undo.push(() => monitor.stop());
    this.#health = startingApp(() => monitor.problem);
    const tls = settings.plaintext ? undefined : await monitor.patiently(() => openTls(settings, store, log));
    undo.push(() => tls?.close());
    if (tls && settings.haEnabled && settings.peerAddress !== "") tellPairProblem(tls, log);
    const expiries = new Expiries();
    expiries.add("principal", tls);
    const tokens = await monitor.patiently(() => openTokens(settings, store, log, undo));
    const uiNeeds = new UiNeeds();
    const redis = await monitor.patiently(() =>
      openRedis(settings, store, ofComponent(log, "redis-proxy"), undo)
    );
    expiries.add("redis-proxy", redis?.tls);
    const revocations: { list?: Core["blocklist"] } = {};
    const revoked = (fingerprint: string) => revocations.list?.has(fingerprint) ?? false;
    const dialledCalls = new DialledCalls(revoked);
    undo.push(() => dialledCalls.close());
    const core = await openCore({
      settings,
      log,
      store,
      tenure,
      monitor,
      peer: peerOf(settings, tls, dialledCalls, this.#tracing),
      hasSigningKey: hasSigningKey(settings),
      ...this.#measured,
      certificates: () => expiries.rows,
      history,
      tokens,
      clusterInfo: (clusters) => openClusterInfo(settings, redis, clusters, { log, uiNeeds }),
      uiNeeds,
    });
    core.failed.catch((error) => this.fail(error));
    undo.push(() => core.stop());
    const agentsAuth = await authenticator(settings.auth, log, settings.subjectMatch);
    undo.push(() => agentsAuth.close());
    const { blocklist } = core;
    revocations.list = blocklist;
    const openCalls = new OpenCalls(revoked, log);
    for (const calls of [openCalls, dialledCalls]) {
      if (tls) calls.trust(tls.current.ca);
      tls?.onRotation(({ ca }) => calls.trust(ca));
    }
    agentsAuth.onChange(() => openCalls.recheck());
    for (const calls of [openCalls, dialledCalls]) undo.push(blocklist.onChange(() => calls.recheck()));
    const gates = this.#gates;
    const tracing = this.#tracing;
    const doors = { settings, log, tls, measurements, tracing, openCalls, gates, redis, uiNeeds, expiries };
    const ports = {
      ...this.#ports,
      ...await openListeners(core, { ...doors, authenticator: agentsAuth }, undo),
    };
    this.#present = { core, operations: core.operations, ports, undo };
    this.#health = healthApp(core.health);
    undo.push(() => core.rest(reasonOf(tenure.ended.reason ?? "this principal is shutting down")));
    await this.#announce(core, tenure, undo);
    core.start();
    if (settings.haEnabled) undo.push(core.readiness.watch());
    const { closed } = core.health;
    if (closed !== "") log.warn("agents cannot connect", { reason: closed });
    log.info("principal started", { event: "principal_started", version: VERSION, uid: core.uid, ...ports });
  }

  /** Shows the state in the cluster from now on, where that is wanted. */
  async #announce(core: Core, tenure: Tenure, undo: Undo): Promise<void> {
    const { settings, log, measurements } = this;
    const board = await openBoard(settings, () => tenure.holds(), log, measurements.apiRequests);
    if (!board) return;
    const stop = core.announce(board);
    undo.push(async () => {
      stop();
      await board.close();
    });
  }
}

/** Tells, now and after each rotation, where this side's certificate does not do for a pair. */
function tellPairProblem(tls: TlsWatch, log: Log): void {
  const tell = ({ cert }: TlsMaterial) => {
    const problem = pairProblem(cert);
    if (problem !== "") log.error(`${problem}; ${CERTIFICATE_FOR_A_PAIR}`);
  };
  tell(tls.current);
  tls.onRotation(tell);
}

async function openTls(settings: Settings, store: Store, log: Log): Promise<TlsWatch> {
  const hasAuthority = settings.tls.ca !== "" || settings.store.type === "kubernetes";
  const made = settings.generateTls ? await generatedTls(hasAuthority, log) : {};
  const tell = (level: "info" | "warn" | "error", message: string) =>
    log[level](message, { event: "certificates" });
  return await TlsWatch.open(
    tlsSource(settings, store, TLS_FLAGS, made),
    tell,
    rereadMs(settings.tls.cert, settings.tls.ca),
  );
}

/** Agents' states in Argo CD's Redis, where one is configured; its library is loaded only then. */
async function openClusterInfo(
  { redis }: Settings,
  door: RedisDoor | undefined,
  clusters: AgentClusters,
  told: { log: Log; uiNeeds: UiNeeds },
): Promise<ClusterInfo> {
  if (!redis || !door) return NO_CLUSTER_INFO;
  const { RedisClusterInfo } = await import("./adapters/redis/cluster_info.ts");
  return new RedisClusterInfo(
    { ...redis, tls: door.upstream.tls },
    clusters,
    told.log,
    (problem) => told.uiNeeds.note("Redis", problem),
  );
}
