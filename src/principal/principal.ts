/**
 * A principal without its listeners and files: everything that remembers, decides, replicates and writes, over a store and a way to
 * the peer. `serve.ts` gives it the real ones; the simulator gives it a simulated clock, network and disk.
 */
import { ChangeIndex } from "../domain/changes/index.ts";
import { type Command, initialModel, type Memory, type Model, type Standing } from "../domain/ha/state.ts";
import { IdentifiedStore } from "./core/identified_store.ts";
import type { Store } from "./ports/store.ts";
import { VERSION } from "../base/version.ts";
import { ActiveStore } from "./active/active_store.ts";
import { AgentAdmission } from "./active/admission.ts";
import { ChangeWriter } from "./replica/change_writer.ts";
import type { AgentClusters, ClusterInfo } from "./ports/cluster_info.ts";
import { ClusterSecrets } from "./active/cluster_secrets.ts";
import type { RecentEvent } from "./core/observe.ts";
import type { Context } from "./core/context.ts";
import { Blocklist } from "./core/blocklist.ts";
import { Counters } from "./core/counters.ts";
import { Comparison, concernsOf, PeerSays } from "./core/concerns.ts";
import { ExposureKeeper } from "./core/exposure.ts";
import { newFollowing } from "./core/following.ts";
import type { Admission } from "./ports/agents.ts";
import type { Health } from "./ports/health.ts";
import type { Processing, Series } from "./ports/telemetry.ts";
import type { Tokens } from "./ports/tokens.ts";
import { Driver } from "./core/driver.ts";
import { Effects } from "./core/effects.ts";
import { ForeignObjects } from "./core/foreign_objects.ts";
import { Feed } from "./core/feed.ts";
import { Fleet } from "./active/fleet.ts";
import { Roster } from "./active/roster.ts";
import { ReplicationClient } from "./replica/replication_client.ts";
import { healthOf } from "./core/health.ts";
import { History } from "./core/history.ts";
import { seriesOf } from "./core/metrics.ts";
import type { Log } from "../base/log.ts";
import { LossManifest } from "./replica/loss_manifest.ts";
import { principalUid, readMemory } from "./core/memory.ts";
import type { Peer, PeerService, PlainPeerService } from "./ports/peer.ts";
import type { ReplicationPolicy } from "../domain/replication/admission.ts";
import { GoReplicas } from "./active/go_replicas.ts";
import { noteCommand, observe, observeUnhandled } from "./core/observe.ts";
import { Replicas } from "./core/replica_sessions.ts";
import { operationsOf } from "./operations/operations.ts";
import { PeerServer } from "./operations/peer_server.ts";
import { Readiness } from "./operations/readiness.ts";
import { repairHere } from "./operations/repair.ts";
import { Reconciler } from "./operations/reconcile.ts";
import type { Settings } from "../config/settings.ts";
import { UnconfirmedWrites } from "./core/unconfirmed_writes.ts";
import type { StoreMonitor } from "./core/store_monitor.ts";
import { Switchover } from "./operations/switchover.ts";
import type { Operations } from "./ports/operations.ts";
import { WriteBack } from "./active/write_back.ts";

/** The parts of a core. */
export interface CoreParts {
  settings: Settings;
  log: Log;
  store: Store;
  monitor: StoreMonitor;
  peer: Peer;
  history: RecentEvent[];
  processing: Processing;
  /** Whether a key is configured that signs agents' tokens. */
  hasSigningKey: boolean;
  /** Undefined: no signing key is configured, and no agent is admitted. */
  tokens: Tokens | undefined;
  clusterInfo(clusters: AgentClusters): Promise<ClusterInfo>;
}

/** A principal that has read its store and has not started. */
export interface Core {
  readonly ctx: Context;
  /** Lets agents in. */
  readonly admission: Admission;
  readonly health: Health;
  /** The series of `/metrics`. */
  readonly series: readonly Series[];
  /** The calls that adapters make for operators. */
  readonly operations: Operations;
  /** The answers to the peer, in our own contract and in the Go principal's. */
  readonly peerService: PeerService;
  readonly plainPeerService: PlainPeerService;
  /** Rejects when the principal cannot go on, because its store failed. */
  readonly failed: Promise<never>;
  /** Begins, with what the store remembers. */
  start(): void;
  /** Ends what the active does and what the replica does. */
  rest(): Promise<void>;
  /** Ends everything. */
  stop(): Promise<void>;
}

/** Reads the store and puts a principal together. @throws StoreError where the store lacks what will not come by itself */
export async function openCore(parts: CoreParts): Promise<Core> {
  const { settings, log, monitor } = parts;
  let writeBack: WriteBack | undefined;
  const store = new IdentifiedStore(parts.store, (key) => void writeBack?.annotation(key));
  const index = new ChangeIndex(crypto.randomUUID());
  const uid = await monitor.patiently(() => principalUid(store, settings.namespace));
  const memory = await monitor.patiently(() => readMemory(store, settings.namespace));
  const clusters = new ClusterSecrets();
  const feeding = new AbortController();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const foreign = new ForeignObjects(store, settings.namespace, log);
  await monitor.patiently(() => foreign.load());
  const feed = new Feed(store, index, settings.scope, clusters, foreign);
  foreign.onChange = (key) => feed.refresh(key);
  const ended = feed.run(feeding.signal).catch((error) => failed.reject(error));
  const stopFeed = async () => {
    feeding.abort();
    await ended;
  };
  try {
    monitor.follow();
    await feed.synced;
    const chain = new History(store, settings.namespace, log);
    await monitor.patiently(() => chain.load());
    const clusterInfo = await parts.clusterInfo(clusters);
    const core = compose(
      {
        ...parts,
        store,
        index,
        uid,
        clusters,
        chain,
        clusterInfo,
        foreign,
        lookUp: (key) => feed.lookUp(key),
      },
      memory,
    );
    writeBack = core.writeBack;
    await monitor.patiently(() => core.ctx.losses.list());
    await monitor.patiently(() => core.ctx.exposure.load());
    const stop = async () => {
      await core.rest();
      await clusterInfo.close();
      await stopFeed();
    };
    return { ...core, failed: failed.promise, stop };
  } catch (error) {
    await stopFeed();
    throw error;
  }
}

interface Read extends Omit<CoreParts, "clusterInfo"> {
  index: ChangeIndex;
  uid: string;
  clusters: ClusterSecrets;
  chain: History;
  clusterInfo: ClusterInfo;
  foreign: ForeignObjects;
  lookUp: Context["lookUp"];
}

function compose(
  { monitor, chain, tokens, ...shared }: Read,
  memory: Memory | undefined,
): Omit<Core, "failed" | "stop"> & { writeBack: WriteBack } {
  const { settings, log, store, uid, index } = shared;
  const { preferredRole, peerAddress } = settings;
  const driver: Driver = new Driver(
    initialModel({ preferredRole, peerAddress, uid }, Date.now()),
    (effect) => effects.run(effect),
    {
      stepped: (before, after, name, refused) => observe(ctx, chain, { before, after, name, refused }),
      unhandled: (model, input) => observeUnhandled({ log }, model, input),
    },
  );
  const losses: LossManifest = new LossManifest({ model: () => driver.model, store, settings, log, index });
  const activeStore: ActiveStore = new ActiveStore(store, () => effects.scope);
  const ctx: Context = {
    ...shared,
    activeStore,
    version: VERSION,
    ...nothingKnown(),
    concerns: () => concernsOf(ctx),
    losses,
    get readiness() {
      return readiness;
    },
    get exposure() {
      return exposure;
    },
    storeProblem: () => monitor.problem,
    model: () => driver.model,
    input: (input) => driver.input(input),
    chain: () => chain.chain,
    note: (what, who) => noteCommand(driver.model, chain, what, who),
    onModel: (notify) => driver.onChange(notify),
    command: (kind, force, who = "", by) => {
      ctx.note(`${kind}${force ? " --force" : ""}`, who);
      return driver.command(commandOf(kind, force, by));
    },
    begin: (procedure, problem) => driver.begin(procedure, problem),
    handover: (word) => driver.command(word),
    activeScope: () => effects.scope,
    standing: () => standing(ctx),
    peerReachable: () => isPeerReachable(driver.model),
    connectedAgents: () => fleet.connected,
    roster: new Roster(activeStore, settings.namespace, log),
    blocklist: new Blocklist(index, settings.namespace),
    fleet: () => fleet,
    redial: () => follower.redial(),
  };
  const readiness = new Readiness(ctx);
  const exposure: ExposureKeeper = new ExposureKeeper(ctx);
  const fleet = new Fleet(ctx);
  const unconfirmed = new UnconfirmedWrites(store, index);
  const writerOver = (to: Pick<Store, "get" | "write">) =>
    new ChangeWriter(to, settings.scope, ctx.counters, losses, unconfirmed, shared.foreign);
  const follower = new ReplicationClient({ ...ctx, writer: writerOver(store) });
  const writeBack = new WriteBack(activeStore, log);
  const reconciler = new Reconciler(ctx, writerOver(activeStore));
  const procedures = { switchover: new Switchover(ctx), reconciler };
  const effects = new Effects(ctx, { follower, fleet, writeBack, exposure });
  return {
    ctx,
    writeBack,
    operations: operationsOf(ctx, { readiness, ...procedures }),
    ...services(ctx, procedures, tokens),
    start: () => driver.input({ type: "start", memory }),
    rest: () => rest(effects, fleet, follower),
  };
}

/** Of a principal that has just started. */
function nothingKnown() {
  return {
    replicas: new Replicas(),
    following: newFollowing(),
    counters: new Counters(),
    comparison: new Comparison(),
    peerSays: new PeerSays(),
  };
}

async function rest(effects: Effects, fleet: Fleet, follower: ReplicationClient): Promise<void> {
  effects.rest();
  await effects.stopServing(false, "this principal is shutting down");
  await fleet.ended;
  await follower.stop();
}

/** The calls of the adapters: for agents, the peer, probes and metrics. */
function services(
  ctx: Context,
  procedures: { switchover: Switchover; reconciler: Reconciler },
  tokens: Tokens | undefined,
): Pick<Core, "admission" | "health" | "series" | "peerService" | "plainPeerService"> {
  const peerService = new PeerServer({
    ...ctx,
    ...procedures,
    policy: replicationPolicy(ctx),
    condition: (examine, fields) => ctx.readiness.condition(examine, fields),
    repair: (request) => repairHere(ctx, request),
  });
  const plainPeerService = new GoReplicas(ctx, (certificate) => peerService.authorize(certificate));
  return {
    admission: new AgentAdmission(ctx, tokens),
    health: healthOf(ctx),
    series: seriesOf(ctx, ctx.settings.haEnabled),
    peerService,
    plainPeerService,
  };
}

/** Whose calls of replication are answered. */
function replicationPolicy({ blocklist, settings }: Context): ReplicationPolicy {
  const { haEnabled, auth, allowedReplicationClients, allowAnyReplicationClient } = settings;
  return {
    haEnabled,
    rule: auth.method === "mtls" ? auth.rule : undefined,
    allowed: new Set(allowedReplicationClients),
    allowAny: allowAnyReplicationClient,
    blocked: (fingerprint) => blocklist.has(fingerprint),
  };
}

/** An operator's command, on behalf of a switchover where one gives it. */
function commandOf(kind: "promote" | "demote", force: boolean, by: "switchover" | undefined): Command {
  const own = by ? { by } : {};
  return kind === "promote" ? { type: kind, force, ...own } : { type: kind, ...own };
}

function isPeerReachable({ state, peer }: Model): boolean {
  return state === "active" ? peer !== undefined : state === "replicating";
}

function standing(ctx: Context): Standing {
  const { state, sinceMs, memory } = ctx.model();
  return {
    uid: ctx.uid,
    version: ctx.version,
    namespace: ctx.settings.namespace,
    state,
    epoch: memory.epoch,
    sinceMs,
    connectedAgents: ctx.connectedAgents(),
    lineage: memory.lineage,
  };
}
