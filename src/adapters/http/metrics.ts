/**
 * `/metrics`: the peer's HA and replication series by name and meaning, read from the running principal at each
 * scrape, and a few of ours (`argocd_agent_ha_epoch`, `…_resources`, `…_held_keys`, `…_refused_changes_total`).
 */
import process from "node:process";
import { Hono } from "hono";
import { Counter, Gauge, Registry } from "prom-client";
import { STATES } from "../../domain/ha/state.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Context } from "../../principal/core/context.ts";
import { inSyncAgoMs, lagMs } from "../../principal/core/following.ts";

interface Series {
  name: string;
  help: string;
  type: "gauge" | "counter";
  labels?: readonly string[];
  read(ctx: Context): number | [Record<string, string>, number][];
}

const gauge = (name: string, help: string, read: Series["read"], labels?: string[]): Series => ({
  name,
  help,
  type: "gauge",
  read,
  ...(labels ? { labels } : {}),
});
const counter = (name: string, help: string, read: Series["read"], labels?: string[]): Series => ({
  ...gauge(name, help, read, labels),
  type: "counter",
});

const HA: Series[] = [
  gauge(
    "argocd_agent_ha_state",
    "1 for the present HA state",
    (ctx) => STATES.map((state) => [{ state }, ctx.model().state === state ? 1 : 0]),
    ["state"],
  ),
  counter(
    "argocd_agent_ha_transitions_total",
    "State transitions",
    (ctx) => labelled(ctx.counters.transitions, ["from_state", "to_state"]),
    ["from_state", "to_state"],
  ),
  counter("argocd_agent_ha_failovers_total", "Successful promotions", (ctx) => ctx.counters.failovers),
  counter("argocd_agent_ha_failbacks_total", "Successful demotions", (ctx) => ctx.counters.failbacks),
  counter(
    "argocd_agent_ha_connections_rejected_total",
    "Agent streams refused because of the state",
    (ctx) =>
      Object.entries(ctx.counters.connectionsRejected).map(([state, n]) => [
        { state, reason: "not accepting connections" },
        n,
      ]),
    ["state", "reason"],
  ),
  gauge("argocd_agent_ha_epoch", "Epoch of the last promotion known here", (ctx) => ctx.model().memory.epoch),
  gauge("argocd_agent_ha_resources", "Replicated resources in this store", (ctx) => ctx.index.size),
  gauge(
    "argocd_agent_ha_complete",
    "1 once this store has held a complete copy",
    (ctx) => +ctx.model().memory.complete,
  ),
  gauge(
    "argocd_agent_ha_held_keys",
    "Received changes that cannot be written now",
    (ctx) => ctx.following.heldTotal,
  ),
  gauge(
    "argocd_agent_ha_store_current",
    "1 while the store can be read and watched; 0: see ha status",
    (ctx) => +(ctx.storeProblem() === ""),
  ),
  counter(
    "argocd_agent_ha_store_writes_total",
    "Writes to the store; on Kubernetes, write requests to the API server",
    (ctx) => ctx.store.status().writes,
  ),
  counter(
    "argocd_agent_ha_store_lists_total",
    "Full listings of the API server; one a kind, and one more each time a watch was lost for long",
    (ctx) => ctx.store.status().lists,
  ),
  counter(
    "argocd_agent_ha_refused_changes_total",
    "Changes of a peer that replication may not write",
    (ctx) => ctx.counters.refused,
  ),
  gauge(
    "argocd_agent_ha_replication_lag_seconds",
    "Lag of this replica; 0 when ACTIVE",
    (ctx) => lagSeconds(ctx),
  ),
  gauge(
    "argocd_agent_ha_preflight_ok",
    "1 for each check of ha preflight that is well, 0 for one that is not; looked at every 5 minutes",
    (ctx) => (ctx.readiness.last?.checks ?? []).map(({ name, ok }) => [{ check: name }, +ok]),
    ["check"],
  ),
  gauge(
    "argocd_agent_ha_preflight_timestamp_seconds",
    "When the pair was last looked at; 0: not yet",
    (ctx) => (ctx.readiness.last?.atMs ?? 0) / 1_000,
  ),
  gauge(
    "argocd_agent_ha_possible_loss_seconds",
    "A promotion now loses nothing that the active took longer ago; NaN: nothing bounds it; 0 when ACTIVE",
    (ctx) => {
      if (ctx.model().state === "active") return 0;
      const agoMs = inSyncAgoMs(ctx.following, monotonicMs());
      return agoMs === undefined ? Number.NaN : agoMs / 1_000;
    },
  ),
  counter("argocd_agent_ha_replication_events_total", "Changes applied", (ctx) => ctx.counters.eventsApplied),
  counter(
    "argocd_agent_ha_resource_operation_errors_total",
    "Failed writes on a replica by kind and operation",
    (ctx) => labelled(ctx.counters.operationErrors, ["kind", "operation"]),
    ["kind", "operation"],
  ),
  counter(
    "argocd_agent_ha_replication_errors_total",
    "Changes that failed",
    (ctx) => ctx.counters.applyErrors,
  ),
];

const REPLICATION: Series[] = [
  counter(
    "argocd_agent_replication_events_queued_total",
    "Changes that entered the index",
    (ctx) => ctx.index.head,
  ),
  counter("argocd_agent_replication_events_dropped_total", "Always 0: nothing is dropped", () => 0),
  counter(
    "argocd_agent_replication_events_forwarded_total",
    "Changes sent to replicas",
    (ctx) => ctx.counters.eventsForwarded,
  ),
  counter(
    "argocd_agent_replication_forwarding_errors_total",
    "Always 0: unsent changes stay in the index",
    () => 0,
  ),
  gauge("argocd_agent_replication_replicas_connected", "Connected replicas", (ctx) => ctx.replicas.size),
  gauge(
    "argocd_agent_replication_queue_size",
    "Changes waiting for the slowest replica",
    (ctx) => Math.max(0, ...[...ctx.replicas].map((replica) => replica.pending)),
  ),
  gauge(
    "argocd_agent_replication_last_sequence_number",
    "Newest revision of the index",
    (ctx) => ctx.index.head,
  ),
  gauge("argocd_agent_replication_client_connected", "1 while following", (ctx) => +ctx.following.connected),
  gauge("argocd_agent_replication_client_lag_seconds", "Lag of this replica", (ctx) => lagSeconds(ctx)),
  gauge(
    "argocd_agent_replication_client_last_sequence_number",
    "Last sequence number applied",
    (ctx) => ctx.following.lastSequence,
  ),
  counter(
    "argocd_agent_replication_client_events_received_total",
    "Changes received",
    (ctx) => ctx.counters.eventsReceived,
  ),
  counter(
    "argocd_agent_replication_client_events_processed_total",
    "Changes applied",
    (ctx) => ctx.counters.eventsApplied,
  ),
  counter(
    "argocd_agent_replication_client_events_errors_total",
    "Failed writes",
    (ctx) => ctx.counters.applyErrors,
  ),
  counter(
    "argocd_agent_replication_client_events_dropped_total",
    "Always 0: failed writes are held",
    () => 0,
  ),
  counter(
    "argocd_agent_replication_client_reconnect_attempts_total",
    "Streams that ended",
    (ctx) => ctx.counters.reconnects,
  ),
  counter(
    "argocd_agent_replication_client_reconciliations_total",
    "Snapshots and digest comparisons",
    (ctx) => ctx.counters.snapshots,
  ),
  gauge(
    "argocd_agent_replication_client_snapshot_agents",
    "Agents (namespaces with Applications) in this copy",
    (ctx) => countAgents(ctx),
  ),
  counter(
    "argocd_agent_replication_client_snapshot_fetch_errors_total",
    "Streams that ended before the peer had answered",
    (ctx) => ctx.counters.snapshotFetchErrors,
  ),
  counter(
    "argocd_agent_replication_client_snapshot_apply_errors_total",
    "Failed writes while a snapshot was being applied",
    (ctx) => ctx.counters.snapshotApplyErrors,
  ),
  counter(
    "argocd_agent_replication_client_sequence_gaps_total",
    "Gaps in a Go primary's numbers",
    (ctx) => ctx.counters.sequenceGaps,
  ),
];

const GENERAL: Series[] = [
  gauge(
    "argocd_agent_build_info",
    "Build of this principal",
    (ctx) => [[{ version: ctx.version, git_revision: "" }, 1]],
    ["version", "git_revision"],
  ),
  gauge("process_resident_memory_bytes", "Resident memory", () => Deno.memoryUsage().rss),
  counter("process_cpu_seconds_total", "Processor time", () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  }),
  gauge("process_start_time_seconds", "Start of the process", () => (Date.now() - performance.now()) / 1000),
];

const AGENTS: Series[] = [
  gauge("argocd_principal_connected_agents", "Connected agents", (ctx) => ctx.connectedAgents()),
  counter(
    "argocd_principal_agent_connections_total",
    "Streams opened, of agents that are connected",
    (ctx) =>
      [...ctx.fleet().hosts.values()].filter(({ stream }) => stream).map(({ id: { name } }) => [
        { agent_name: name },
        ctx.counters.agentConnections[name] ?? 0,
      ]),
    ["agent_name"],
  ),
  counter(
    "principal_events_received",
    "Events of agents received",
    (ctx) => ctx.counters.agentEventsReceived,
  ),
  counter("principal_events_sent", "Events sent to agents", (ctx) => ctx.counters.agentEventsSent),
  counter(
    "principal_errors",
    "Events of agents that failed or were refused",
    (ctx) => labelled(ctx.counters.agentErrors, ["resource_type"]),
    ["resource_type"],
  ),
  gauge(
    "argocd_agent_ha_agent_pending_keys",
    "Resources that the agent has not acknowledged, of agents with any",
    (ctx) =>
      [...ctx.fleet().hosts.values()].filter(({ session }) => session.pending > 0).map(({ id, session }) => [
        { agent_name: id.name },
        session.pending,
      ]),
    ["agent_name"],
  ),
  counter(
    "argocd_agent_ha_agent_events_resent_total",
    "Events sent again because no acknowledgement came",
    (ctx) => ctx.fleet().resent,
  ),
  counter(
    "argocd_principal_event_writer_events_discarded_total",
    "Always 0: nothing is discarded",
    () => 0,
  ),
];

/** Counters kept by `a|b` as rows with these labels. */
function labelled(
  counts: Record<string, number>,
  names: readonly string[],
): [Record<string, string>, number][] {
  return Object.entries(counts).map(([label, n]) => {
    const values = label.split("|");
    return [Object.fromEntries(names.map((name, i) => [name, values[i] ?? ""])), n];
  });
}

function countAgents(ctx: Context): number {
  const agents = new Set<string>();
  for (const { key } of ctx.index.live()) {
    if (key.startsWith("Application/")) agents.add(key.split("/")[1] ?? "");
  }
  return agents.size;
}

function lagSeconds(ctx: Context): number {
  if (ctx.model().state === "active") return 0;
  const lag = lagMs(ctx.following, monotonicMs());
  return lag === undefined ? Number.NaN : lag / 1000;
}

function register(registry: Registry, ctx: Context, series: Series): void {
  const { name, help, labels = [], read } = series;
  const rows = () => {
    const value = read(ctx);
    return typeof value === "number" ? [[{}, value] as [Record<string, string>, number]] : value;
  };
  const base = { name, help, labelNames: labels as string[], registers: [registry] };
  if (series.type === "gauge") {
    new Gauge({
      ...base,
      collect() {
        this.reset();
        for (const [set, value] of rows()) this.set(set, value);
      },
    });
  } else {
    new Counter({
      ...base,
      collect() {
        this.reset();
        for (const [set, value] of rows()) this.inc(set, value);
      },
    });
  }
}

export function metricsApp(ctx: Context, processing: Registry): Hono {
  const registry = new Registry();
  const series = ctx.settings.haEnabled
    ? [...GENERAL, ...AGENTS, ...HA, ...REPLICATION]
    : [...GENERAL, ...AGENTS];
  for (const one of series) register(registry, ctx, one);
  const app = new Hono();
  app.get("/metrics", async (c) => {
    c.header("Content-Type", registry.contentType);
    return c.body(await Registry.merge([registry, processing]).metrics());
  });
  app.notFound((c) => c.text("not found; this port serves /metrics\n", 404));
  return app;
}

/** Every series, for docs/reference.md. */
export const ALL_SERIES: readonly Pick<Series, "name" | "help" | "type">[] = [
  ...GENERAL,
  ...AGENTS,
  ...HA,
  ...REPLICATION,
];
