/**
 * A principal without its listeners and files: everything that remembers, decides, replicates and writes, over a store and a way to
 * the peer. `serve.ts` gives it the real ones; the simulator gives it a simulated clock, network and disk.
 */
import { ChangeIndex } from "../domain/changes/index.ts";
import type { AuthMethod } from "../domain/agents/identity.ts";
import type { Situation } from "../domain/ha/situation.ts";
import type { ChainedEntry } from "../domain/ha/history.ts";
import type { Input, Memory, Model, Standing } from "../domain/ha/state.ts";
import type { Key } from "../domain/resources/keys.ts";
import { Refusal } from "../domain/ha/refusal.ts";
import type { Store } from "./ports/store.ts";
import type { Tenure } from "./ports/store_lock.ts";
import { VERSION } from "../base/version.ts";
import { type AgentCalls, agentSources } from "./agent_sources.ts";
import { ActiveStore } from "./active/active_store.ts";
import { type AdmissionParts, AgentAdmission } from "./active/admission.ts";
import { AgentCleanup, type AgentCleanupParts } from "./active/agent_cleanup.ts";
import { AgentRefusals } from "./active/agent_refusals.ts";
import type { AgentClusters, ClusterInfo } from "./ports/cluster_info.ts";
import { ClusterSecrets } from "./active/cluster_secrets.ts";
import type { RecentEvent } from "./core/observe.ts";
import { Blocklist } from "./core/blocklist.ts";
import { SaidOnce } from "./core/said_once.ts";
import { Counters } from "./core/counters.ts";
import { PeerNeeds } from "./core/dependencies.ts";
import { Dependencies } from "../domain/resources/dependencies.ts";
import { Comparison, concernsOf, PeerSays } from "./core/concerns.ts";
import { ExposureKeeper } from "./core/exposure.ts";
import { type Following, newFollowing } from "./core/following.ts";
import type { Admission } from "./ports/agents.ts";
import { AgentRedis } from "./core/agent_redis.ts";
import { type AgentCachesParts, SharedCaches } from "./core/agent_caches.ts";
import type { Health } from "./ports/health.ts";
import type { ResourceProxy } from "./ports/resource_proxy.ts";
import type { OpenWork, Processing, Rows, Series } from "./ports/telemetry.ts";
import type { Tracing } from "./ports/tracing.ts";
import { ChangeTraces } from "./core/change_traces.ts";
import { OperationTraces } from "./core/operation_traces.ts";
import type { AgentRequests } from "./ports/requests.ts";
import type { Tokens } from "./ports/tokens.ts";
import type { EffectRunner } from "./core/driver.ts";
import { Effects } from "./core/effects.ts";
import { CurrentRequests } from "./core/current_requests.ts";
import { ForeignObjects } from "./core/foreign_objects.ts";
import { Feed } from "./core/feed.ts";
import { Fleet, type FleetParts } from "./active/fleet.ts";
import { AgentsResourceProxy, type ResourceProxyParts } from "./active/resource_proxy.ts";
import { Roster } from "./active/roster.ts";
import { ReplicaDeletions, type ReplicaDeletionsParts } from "./replica/replica_deletions.ts";
import { type ClientParts, ReplicationClient } from "./replica/replication_client.ts";
import { healthOf, type HealthParts } from "./core/health.ts";
import { History } from "./core/history.ts";
import { seriesOf } from "./core/metrics.ts";
import { KeptObjects } from "./core/kept_objects.ts";
import { DeletionRecord } from "./core/deletion_record.ts";
import type { Log } from "../base/log.ts";
import { copying } from "./replica/copying.ts";
import type { DriftRepair } from "./replica/drift_repair.ts";
import { ForwardedRequests } from "./replica/forwarded_requests.ts";
import { LossManifest } from "./replica/loss_manifest.ts";
import type { Peer, PeerService, PlainPeerService } from "./ports/peer.ts";
import { PeerVoice } from "./core/peer_voice.ts";
import { knownPeer, replicationPolicy } from "./core/replication_policy.ts";
import { GoReplicas } from "./active/go_replicas.ts";
import { isPeerReachable, standingOf } from "./core/standing.ts";
import { Replicas } from "./core/replica_sessions.ts";
import { Deletions, type HeldDeletions, heldIn } from "./operations/deletions.ts";
import { operationsOf, situation } from "./operations/operations.ts";
import { Drill } from "./operations/drill.ts";
import { commandsOf, drivenMachine } from "./operations/machine.ts";
import type { Leadership } from "./active/leadership.ts";
import { PendingDeletions } from "./operations/pending_deletions.ts";
import { PeerServer } from "./operations/peer_server.ts";
import { Announcer } from "./core/announcer.ts";
import type { Noticeboard } from "./ports/noticeboard.ts";
import { Readiness, type ReadinessParts } from "./operations/readiness.ts";
import { repairHere } from "./operations/repair.ts";
import { KeptHere } from "./operations/kept_here.ts";
import { Reconciler } from "./operations/reconcile.ts";
import type { UiNeeds } from "./core/ui_needs.ts";
import type { StoreMonitor } from "./core/store_monitor.ts";
import { Switchover } from "./operations/switchover.ts";
import type { Drills, Operations } from "./ports/operations.ts";
import type { Stage } from "./ports/stage.ts";
import type { PeerStore } from "./core/peer_store.ts";
import type { StoreMarks } from "./core/store_marks.ts";
import type { UnreadParts } from "./core/unread_params.ts";
import { UnconfirmedWrites } from "./core/unconfirmed_writes.ts";
import { WriteBack } from "./active/write_back.ts";

/** The settings that the parts of a principal take. */
export type CoreSettings =
  & AdmissionParts["settings"]
  & FleetParts["settings"]
  & ClientParts["settings"]
  & ReplicaDeletionsParts["settings"]
  & HealthParts["settings"]
  & Leadership["settings"]
  & ReadinessParts["settings"]
  & ResourceProxyParts["settings"]
  & AgentCachesParts["settings"]
  & UnreadParts
  & AgentCleanupParts["settings"]
  & {
    readonly preferredRole: "primary" | "replica";
    /** As operators call this side. */
    readonly sideName: string;
    readonly auth: AuthMethod;
    readonly allowedReplicationClients: readonly string[];
    readonly allowAnyReplicationClient: boolean;
    readonly peerIdentity: string;
  };

/** The parts that a principal is put together from. */
export interface CoreParts {
  settings: CoreSettings;
  log: Log;
  store: Store;
  /** The time for which this process may act on the store. */
  tenure: Pick<Tenure, "holds">;
  monitor: StoreMonitor;
  peer: Peer;
  history: RecentEvent[];
  processing: Processing;
  tracing: Tracing;
  /** Whether a key is configured that signs agents' tokens. */
  hasSigningKey: boolean;
  /** The services behind Argo CD's UI that do not work. */
  uiNeeds: UiNeeds;
  /** Undefined: no signing key is configured, and no agent is admitted. */
  tokens: Tokens | undefined;
  clusterInfo(clusters: AgentClusters): Promise<ClusterInfo>;
  /** The connections and calls that are open in this process. */
  work: OpenWork;
  /** When the certificates that this process shows and trusts expire, in unix seconds. */
  certificates(): Rows;
}

/** A principal that has read its store and has not started: its doors for adapters, and what it shows of itself. */
export interface Core extends AgentCalls {
  /** Lets agents in. */
  readonly admission: Admission;
  /** The Kubernetes API of agents' clusters. */
  readonly resourceProxy: ResourceProxy;
  /** The Redis of agents' clusters, as Argo CD's UI reads it. */
  readonly caches: SharedCaches;
  readonly health: Health;
  /** The series of `/metrics`. */
  readonly series: readonly Series[];
  /** The calls that adapters make for operators. */
  readonly operations: Operations;
  drills(stage: Stage): Drills;
  /** The answers to the peer, in our own contract and in the Go principal's. */
  readonly peerService: PeerService;
  readonly plainPeerService: PlainPeerService;
  /** Whether the pair is ready for a failover. */
  readonly readiness: Readiness;
  /** Announces this side on a noticeboard, until what it returns is called. */
  announce(board: Noticeboard): () => void;
  readonly switchover: Switchover;
  readonly reconciler: Reconciler;
  readonly uid: string;
  readonly store: Store;
  readonly index: ChangeIndex;
  readonly blocklist: Blocklist;
  readonly clusters: ClusterSecrets;
  readonly roster: Roster;
  readonly fleet: Fleet;
  /** The way to the agents, in whatever role. */
  readonly requests: AgentRequests;
  readonly replicas: Replicas;
  readonly following: Following;
  readonly counters: Counters;
  readonly kept: KeptObjects;
  readonly heldDeletions: HeldDeletions;
  readonly exposure: ExposureKeeper;
  readonly copies: DriftRepair;
  readonly pending: PendingDeletions;
  readonly foreign: ForeignObjects;
  readonly peerNeeds: PeerNeeds;
  /** The state machine's present model. */
  model(): Model;
  standing(): Standing;
  /** This side's situation, with the peer's answer. */
  situation(): Promise<Situation>;
  /** The durable history, oldest first. */
  chain(): readonly ChainedEntry[];
  /** Open while this principal is ACTIVE and serves; aborted when it stops. */
  activeScope(): AbortSignal | undefined;
  /** Rejects when the principal cannot go on, because its store failed. */
  readonly failed: Promise<never>;
  /** Begins, with what the store remembers. */
  start(): void;
  /** Ends what the active does and what the replica does; nothing begins any more. */
  rest(reason: string): Promise<void>;
  /** Ends everything. */
  stop(): Promise<void>;
}

/** The parts that are read from the store before the others are made. */
export interface Read extends Omit<CoreParts, "clusterInfo"> {
  index: ChangeIndex;
  uid: string;
  clusters: ClusterSecrets;
  dependencies: Dependencies;
  chain: History;
  clusterInfo: ClusterInfo;
  foreign: ForeignObjects;
  marks: StoreMarks;
  peerStore: PeerStore;
  feed: Feed;
}

/** Puts a principal together from what was read of its store. */
export function composed(read: Read, memory: Memory | undefined) {
  const roles = rolesOf(read);
  return { roles, core: coreOf(roles, memory) };
}

/** Makes the parts that act in a role, each from exactly what it takes. */
function rolesOf(read: Read) {
  const { settings, log, store, index, uid, clusters, foreign, feed, peer, hasSigningKey, history } = read;
  const lookUp = (key: Key) => feed.lookUp(key);
  const { dependencies } = read;
  const { replicas, following, counters, comparison, peerSays, peerNeeds } = nothingKnown(read);
  const { clusterInfo, processing, tracing } = read;
  const operations = new OperationTraces(tracing);
  const run: EffectRunner = (effect) => effects.run(effect);
  const { driver, machine } = drivenMachine({ ...read, counters, operations }, run);
  const { model } = machine;
  const input = (input: Input) => driver.input(input);
  const activeScope = (): AbortSignal | undefined => effects.scope;
  const voice = new PeerVoice({ log, model, input, peerIdentity: knownPeer(settings, peer) });
  const storeProblem = () => read.monitor.problem;
  const activeStore: ActiveStore = new ActiveStore(store, activeScope);
  const roster = new Roster(activeStore, settings.namespace, log, index);
  const refusals = new AgentRefusals(log);
  const blocklist = new Blocklist(index, settings.namespace);
  const kept = new KeptObjects({ store, settings, log });
  const losses = new LossManifest({ model, store, settings, log, index, kept });
  const deletions = new DeletionRecord({ settings, kept, history: read.chain, model });
  const remembering = { settings, log, store, activeStore, model };
  const exposure = new ExposureKeeper({ ...remembering, index, replicas, comparison });
  const writeBack = new WriteBack(activeStore, log);
  const agents = { settings, log, counters, refusals, roster, clusters, activeStore, foreign, tracing };
  const traces = new ChangeTraces({ tracing, index, activeScope });
  const unproven = () => model().memory.unproven;
  const unconfirmed = new UnconfirmedWrites(store, index, (key, version) => read.marks.saw(key, version));
  const fleet = new Fleet({ ...agents, index, clusterInfo, lookUp, processing, uid, unproven, traces });
  const cleanup = new AgentCleanup({ settings, log, store, index, roster, fleet, activeScope });
  const replicaDeletions = new ReplicaDeletions({ settings, index, log, unconfirmed });
  const heldDeletions = heldIn(activeScope, fleet, replicaDeletions);
  const { marks, peerStore, uiNeeds } = read;
  const identity = { uid, name: settings.sideName, namespace: settings.namespace };
  const standing = () => standingOf(identity, model(), fleet.connected, marks.point);

  const copied = { store, index, settings, counters, losses, foreign, log, feed, following, unconfirmed };
  const { writer, writerOver, drift, copies } = copying({ ...copied, model, deletions, marks });
  const heard = { peerSays, peerNeeds, voice, refusals };
  const counted = { ...heard, following, kept, foreign, comparison, dependencies, index, copies, feed };
  const lists = { heldDeletions, quotas: fleet.quotas, uiNeeds, roster, chain: read.chain };
  const concerns = () => concernsOf({ ...counted, ...lists });
  const known = { ...heard, peer, dependencies, following, counters, hasSigningKey, model, standing };
  const condition = { ...known, concerns, storeProblem };
  const asking = { ...condition, settings, comparison, marks };
  const peerReachable = () => isPeerReachable(model());
  const connectedAgents = () => fleet.connected;
  const reporting = { ...condition, index, replicas, history, exposure, peerReachable, connectedAgents };
  const streaming = { index, log, counters, settings, model, standing, input, peerStore, voice, tracing };
  const forwarded = new ForwardedRequests(tracing);
  const requests = new CurrentRequests(() => activeScope() !== undefined, fleet.requests, forwarded);
  const heldLines = new SaidOnce();
  const held = { following, comparison, losses, drift, deletions: replicaDeletions, forwarded, heldLines };
  const follower = new ReplicationClient({ ...streaming, ...held, writer, peer });
  const acting = { follower, fleet, writeBack, exposure, copies };
  const written = { store, log, index, replicas, losses, activeStore, input };
  const effects = new Effects({ ...asking, ...written, tenure: read.tenure }, acting);
  return {
    read,
    ...{ driver, machine, activeScope, activeStore, roster, blocklist, losses, traces, operations },
    ...acting,
    effects,
    asking,
    reporting,
    requests,
    leadership: { ...streaming, replicas, activeScope, lookUp, marks, traces },
    adoptionWriter: writerOver(activeStore),
    ...{ kept, deletions, heldDeletions, cleanup },
  };
}

/** Makes what operators, the peer, agents and probes call, each from exactly what it takes. */
function coreOf(
  roles: ReturnType<typeof rolesOf>,
  memory: Memory | undefined,
): Omit<Core, "failed" | "stop"> {
  const { read, driver, machine, activeScope, activeStore, roster, blocklist, losses } = roles;
  const { follower, fleet, exposure, copies, effects, asking, reporting, leadership } = roles;
  const { kept, heldDeletions, operations } = roles;
  const { settings, log, store, index, uid, clusters, foreign, peer, tokens, hasSigningKey } = read;
  const { replicas, following, counters, peerSays, peerNeeds, model, standing } = reporting;
  const followers = () => replicas.counted.length;
  const { command, handover } = commandsOf(driver, machine, operations, followers);
  const chain = () => read.chain.chain;
  const redial = () => follower.redial();
  const theFleet = () => fleet;

  const readiness = new Readiness({ ...asking, ...reporting, store });
  const moving = { log, index, replicas, losses, exposure, copies, fleet: theFleet, activeScope, redial };
  const switchover = new Switchover({ ...machine, ...asking, ...moving, command, handover, operations });
  const keptHere = new KeptHere({ ...machine, ...roles, ...read, following, activeScope });
  const adopting = { ...machine, settings, index, kept, keptHere, peer, activeScope, standing, chain };
  const reconciler = new Reconciler({ ...adopting, store, foreign }, roles.adoptionWriter);
  const pending = new PendingDeletions({ index, activeStore });
  const deletions = new Deletions({ ...adopting, heldDeletions, pending }, roles.adoptionWriter);
  const way = { settings, log, counters, activeScope, model, peer };
  const { own, sources } = agentSources(way, fleet.requests);
  const repairing = { ...machine, settings, index, following, peer, standing };
  const peerService = new PeerServer({
    ...{ ...leadership, ...own, peerSays, peerNeeds, redial, switchover, keptHere },
    ...{ requests: fleet.requests, policy: replicationPolicy(settings) },
    condition: (examine, fields) => readiness.condition(examine, fields),
    repair: (request) => repairHere(repairing, request),
  });
  const operating = { ...machine, ...asking, ...reporting, roster, fleet: theFleet, store, command, chain };
  const serving = { settings, activeStore, clusters, log, counters, roster, model, activeScope };
  const admitting = { ...serving, tracing: read.tracing, refusals: reporting.refusals };
  const redis = new AgentRedis(roles.requests);
  const { work, certificates, feed: { tally } } = read;
  const measuring = { work, certificates, chain, tally };
  const measured = { ...reporting, ...measuring, store, readiness, fleet: theFleet };
  return {
    admission: new AgentAdmission({ ...admitting, version: VERSION, fleet: theFleet }, tokens),
    resourceProxy: new AgentsResourceProxy(admitting, roles.requests, tokens, sources),
    ...own,
    caches: new SharedCaches({ settings, index, roster, clusters, redis, counters }),
    health: healthOf({ settings, following, hasSigningKey, tenure: read.tenure, model, activeScope }),
    series: seriesOf(measured, settings.haEnabled),
    operations: operationsOf(operating, { readiness, switchover, reconciler, deletions }),
    drills: (stage) => new Drill({ ...machine, ...reporting, settings, chain }, stage),
    peerService,
    announce: (board) => new Announcer({ ...machine, ...reporting, readiness }, board).watch(),
    plainPeerService: new GoReplicas(leadership, (...call) => peerService.authorize(...call)),
    ...{ readiness, switchover, reconciler, uid, store, index, blocklist, clusters, roster, fleet, replicas },
    ...{ following, counters, kept, heldDeletions, exposure, copies, foreign, peerNeeds },
    ...{ pending, model, standing, chain, activeScope, requests: roles.requests },
    situation: () => situation(operating),
    start: () => driver.input({ type: "start", memory }),
    rest: (reason) => {
      driver.end(new Refusal(reason, "unavailable"));
      return effects.rest(reason);
    },
  };
}

/** Of a principal that has just started. */
function nothingKnown({ dependencies, peerStore: { before } }: Read) {
  return {
    replicas: new Replicas(),
    following: newFollowing(before && { ...before.inSync, startedAtMs: before.startedAtMs }),
    counters: new Counters(),
    comparison: new Comparison(),
    peerSays: new PeerSays(),
    peerNeeds: new PeerNeeds(dependencies),
  };
}
