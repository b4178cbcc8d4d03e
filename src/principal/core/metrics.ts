/**
 * The one table of what `/metrics` shows of a principal: the Go principal's series by name and meaning, and ours (`argocd_agent_ha_…`). A new
 * metric is one entry; a counted one is counted by its name here (`counters.increment("failovers")`).
 */
import { monotonicMs } from "../../base/clock.ts";
import { type ConcernName, CONCERNS, countOf } from "../../domain/ha/concerns.ts";
import { lastPassedDrillMs } from "../../domain/ha/drill.ts";
import { STATES } from "../../domain/ha/state.ts";
import type { Rows, Series } from "../ports/telemetry.ts";
import { AGENTS, PROXIES } from "./agent_metrics.ts";
import { inSyncAgoMs, inSyncBefore, lagMs } from "./following.ts";
import { counted, gauge, isCounted, type Measured, type Metric, total } from "./metric.ts";
import { RESOURCES } from "./resource_metrics.ts";

const HA = {
  state: gauge(
    "argocd_agent_ha_state",
    "1 for the present HA state",
    (from) => STATES.map((state) => [{ state }, +(from.model().state === state)]),
    "state",
  ),
  cutConnections: {
    name: "argocd_agent_ha_connections_cut_total",
    help:
      "Connections that were refused or closed at a bound of their listener; see Bounds in docs/security.md",
    type: "counter",
    labels: ["listener", "reason"],
    read: (from) => from.work.cuts(),
  } satisfies Metric,
  certificates: gauge(
    "argocd_agent_ha_certificate_expiry_timestamp_seconds",
    "Unix time at which a certificate of this side, or the first of the authorities that it trusts, expires",
    (from) => from.certificates(),
    "certificate",
  ),
  agentsRefused: {
    ...counted(
      "argocd_agent_ha_agents_refused_total",
      "Agents' requests that were refused at authentication: credentials, token (expired, or signed by another key), no signing key, mode, version, registration",
      "reason",
    ),
    zeros: () => AUTHENTICATION_REFUSALS.map((reason) => ({ reason })),
  },
  peerReachable: gauge(
    "argocd_agent_ha_peer_reachable",
    "1 while the peer answers, or is followed; no series without a peer, or while another process acts for this side",
    (from) => {
      const { peerAddress, waiting } = from.model();
      return peerAddress === "" || waiting ? [] : [[{}, +from.peerReachable()]];
    },
  ),
  lastDrill: gauge(
    "argocd_agent_ha_last_drill_timestamp_seconds",
    "Unix time of the last ha drill on this side that passed, from its durable history; 0: none",
    (from) => lastPassedDrillMs(from.chain()) / 1_000,
  ),
  transitions: counted("argocd_agent_ha_transitions_total", "State transitions", "from_state", "to_state"),
  failovers: counted("argocd_agent_ha_failovers_total", "Successful promotions"),
  failbacks: counted("argocd_agent_ha_failbacks_total", "Successful demotions"),
  connectionsRejected: counted(
    "argocd_agent_ha_connections_rejected_total",
    "Agent streams refused because of the state",
    "state",
    "reason",
  ),
  epoch: gauge(
    "argocd_agent_ha_epoch",
    "Epoch of the last promotion known here",
    (from) => from.model().memory.epoch,
  ),
  side: gauge(
    "argocd_agent_ha_side_info",
    "1; the labels are the names of this side and of its peer, empty while it does not answer",
    (from) => [[{ side: from.standing().name, peer: from.model().peer?.name ?? "" }, 1]],
    "side",
    "peer",
  ),
  resources: gauge(
    "argocd_agent_ha_resources",
    "Replicated resources in this store",
    (from) => from.index.size,
  ),
  complete: gauge(
    "argocd_agent_ha_complete",
    "1 once this store has held a complete copy",
    (from) => +from.model().memory.complete,
  ),
  storeCurrent: gauge(
    "argocd_agent_ha_store_current",
    "1 while the store can be read and watched; 0: see ha status",
    (from) => +(from.storeProblem() === ""),
  ),
  storeWrites: total(
    "argocd_agent_ha_store_writes_total",
    "Writes to the store; on Kubernetes, write requests to the API server",
    (from) => from.store.status().writes,
  ),
  storeLists: total(
    "argocd_agent_ha_store_lists_total",
    "Full listings of the API server: one per kind, and one more for each watch lost for long",
    (from) => from.store.status().lists,
  ),
  refused: counted(
    "argocd_agent_ha_refused_changes_total",
    "A peer's changes that replication may not write",
  ),
  lag: gauge("argocd_agent_ha_replication_lag_seconds", "Lag of this replica; 0 when ACTIVE", lagSeconds),
  preflightOk: gauge(
    "argocd_agent_ha_preflight_ok",
    "1 for each passing check of ha preflight, 0 for a failing one; refreshed every 5 minutes",
    (from) => (from.readiness.last?.checks ?? []).map(({ name, ok }) => [{ check: name }, +ok]),
    "check",
  ),
  preflightAt: gauge(
    "argocd_agent_ha_preflight_timestamp_seconds",
    "Unix time of the last preflight; 0 before the first",
    (from) => (from.readiness.last?.atMs ?? 0) / 1_000,
  ),
  possibleLoss: gauge(
    "argocd_agent_ha_possible_loss_seconds",
    "Upper bound on what is lost if this side is promoted now, or where it is ACTIVE if it is lost now: the last so many seconds; NaN: not known",
    (from) => {
      if (isActive(from)) return seconds(from.exposure.now().heldAgoMs);
      const agoMs = inSyncAgoMs(from.following, monotonicMs());
      const before = inSyncBefore(from.following, from.model().memory.epoch);
      return seconds(agoMs ?? (before && Math.max(0, Date.now() - before.atMs)));
    },
  ),
  unacknowledged: gauge(
    "argocd_agent_ha_unacknowledged_changes",
    "Changes of this ACTIVE that no replica is known to have; NaN: not known, 0 when not ACTIVE",
    (from) => isActive(from) ? from.exposure.now().unacknowledged ?? Number.NaN : 0,
  ),
  replicaEqual: gauge(
    "argocd_agent_ha_replica_equal_age_seconds",
    "Seconds since a replica of this ACTIVE had everything and the same digest; NaN: never since it became ACTIVE, 0 when not ACTIVE",
    (from) => isActive(from) ? seconds(from.exposure.now().equalAgoMs) : 0,
  ),
  eventsApplied: counted("argocd_agent_ha_replication_events_total", "Changes applied"),
  operationErrors: counted(
    "argocd_agent_ha_resource_operation_errors_total",
    "Failed writes on a replica by kind and operation",
    "kind",
    "operation",
  ),
  applyErrors: counted("argocd_agent_ha_replication_errors_total", "Changes that failed"),
};

/** Why an agent is refused at authentication. */
const AUTHENTICATION_REFUSALS = [
  "credentials",
  "token",
  "no signing key",
  "mode",
  "version",
  "registration",
] as const;
export type AuthenticationRefusal = typeof AUTHENTICATION_REFUSALS[number];

const CONCERN_NAMES = Object.keys(CONCERNS) as ConcernName[];

const CONCERNED = {
  ...Object.fromEntries(
    CONCERN_NAMES.map((name) => {
      const { metric, help } = CONCERNS[name];
      return [name, gauge(metric, help, (from) => countOf(from.concerns(), name))];
    }),
  ) as Record<ConcernName, Metric>,
  peerConcerns: gauge(
    "argocd_agent_ha_peer_concerns",
    "The same of the peer, as it last said, by concern",
    ({ peerSays: { agoMs, concerns } }) =>
      agoMs === undefined ? [] : CONCERN_NAMES.map((concern) => [{ concern }, countOf(concerns, concern)]),
    "concern",
  ),
};

const REPLICATION = {
  eventsQueued: total(
    "argocd_agent_replication_events_queued_total",
    "Changes that entered the index",
    (from) => from.index.head,
  ),
  eventsDropped: total(
    "argocd_agent_replication_events_dropped_total",
    "Always 0: nothing is dropped",
    () => 0,
  ),
  eventsForwarded: counted("argocd_agent_replication_events_forwarded_total", "Changes sent to replicas"),
  forwardingErrors: total(
    "argocd_agent_replication_forwarding_errors_total",
    "Always 0: unsent changes stay in the index",
    () => 0,
  ),
  replicas: gauge(
    "argocd_agent_replication_replicas_connected",
    "Connected replicas",
    (from) => from.replicas.size,
  ),
  queueSize: gauge(
    "argocd_agent_replication_queue_size",
    "Changes waiting for the slowest replica",
    (from) => Math.max(0, ...[...from.replicas].map(({ pending }) => pending)),
  ),
  newestRevision: gauge(
    "argocd_agent_replication_last_sequence_number",
    "Newest revision of the index",
    (from) => from.index.head,
  ),
  following: gauge(
    "argocd_agent_replication_client_connected",
    "1 while following",
    (from) => +from.following.connected,
  ),
  clientLag: gauge("argocd_agent_replication_client_lag_seconds", "Lag of this replica", lagSeconds),
  clientSequence: gauge(
    "argocd_agent_replication_client_last_sequence_number",
    "Last sequence number applied",
    (from) => from.following.lastSequence,
  ),
  eventsReceived: counted("argocd_agent_replication_client_events_received_total", "Changes received"),
  eventsProcessed: total(
    "argocd_agent_replication_client_events_processed_total",
    "Changes applied",
    (from) => from.counters.total("eventsApplied"),
  ),
  eventsFailed: total(
    "argocd_agent_replication_client_events_errors_total",
    "Failed writes",
    (from) => from.counters.total("applyErrors"),
  ),
  clientDropped: total(
    "argocd_agent_replication_client_events_dropped_total",
    "Always 0: failed writes are held",
    () => 0,
  ),
  reconnects: counted(
    "argocd_agent_replication_client_reconnect_attempts_total",
    "Streams that ended",
  ),
  snapshots: counted(
    "argocd_agent_replication_client_reconciliations_total",
    "Snapshots and digest comparisons",
  ),
  snapshotAgents: gauge(
    "argocd_agent_replication_client_snapshot_agents",
    "Agents (namespaces with Applications) in this copy",
    countNamespaces,
  ),
  snapshotFetchErrors: counted(
    "argocd_agent_replication_client_snapshot_fetch_errors_total",
    "Streams that ended before the peer had answered",
  ),
  snapshotApplyErrors: counted(
    "argocd_agent_replication_client_snapshot_apply_errors_total",
    "Failed writes while a snapshot was being applied",
  ),
  sequenceGaps: counted(
    "argocd_agent_replication_client_sequence_gaps_total",
    "Gaps in a Go primary's numbers",
  ),
};

/** All metrics of a principal, as docs/reference.md lists them. */
export const METRICS = { ...AGENTS, ...PROXIES, ...RESOURCES, ...HA, ...CONCERNED, ...REPLICATION };

/** The metrics as `/metrics` prints them; without HA those of agents only. */
export function seriesOf(from: Measured, haEnabled: boolean): Series[] {
  const table: Record<string, Metric> = haEnabled ? METRICS : { ...AGENTS, ...PROXIES, ...RESOURCES };
  return Object.entries(table).map(([key, metric]) => ({
    ...metric,
    read: () => valueOf(key, metric, from),
  }));
}

function valueOf(key: string, metric: Metric, from: Measured): ReturnType<Series["read"]> {
  if (!isCounted(metric)) return metric.read?.(from, []) ?? 0;
  if (metric.labels.length === 0) return from.counters.total(key);
  const rows = withZeros(from.counters.rows(key), metric.zeros?.(from) ?? []);
  return metric.read?.(from, rows) ?? rows;
}

function withZeros(rows: Rows, zeros: Rows[number][0][]): Rows {
  const idOf = (labels: Rows[number][0]) => JSON.stringify(Object.entries(labels).sort());
  const counted = new Set(rows.map(([labels]) => idOf(labels)));
  return [
    ...rows,
    ...zeros.filter((labels) => !counted.has(idOf(labels))).map((labels): Rows[number] => [labels, 0]),
  ];
}

function isActive(from: Measured): boolean {
  return from.model().state === "active";
}

function seconds(ms: number | undefined): number {
  return ms === undefined ? Number.NaN : ms / 1_000;
}

function lagSeconds(from: Measured): number {
  return isActive(from) ? 0 : seconds(lagMs(from.following, monotonicMs()));
}

function countNamespaces({ index }: Measured): number {
  const namespaces = new Set<string>();
  for (const { key } of index.live()) {
    if (key.startsWith("Application/")) namespaces.add(key.split("/")[1] ?? "");
  }
  return namespaces.size;
}
