/** The metrics of agents and of the proxies in front of them; those of the Go principal by name and meaning. */
import type { Rows } from "../ports/telemetry.ts";
import { counted, gauge, type Measured, total } from "./metric.ts";

/** Agents and their events. */
export const AGENTS = {
  connectedAgents: gauge(
    "argocd_principal_connected_agents",
    "Connected agents",
    (from) => from.fleet().connected,
  ),
  agentConnections: {
    ...counted(
      "argocd_principal_agent_connections_total",
      "Streams opened, by agents that are connected now",
      "agent_name",
    ),
    read: (from: Measured, rows: Rows) => {
      const connected = new Set(connectedAgents(from));
      return rows.filter(([{ agent_name = "" }]) => connected.has(agent_name));
    },
  },
  agentConnectedSince: gauge(
    "argocd_agent_connection_start_timestamp_seconds",
    "Unix time at which the agent's present stream opened",
    (from) =>
      connectedSince(from).map(({ name, connectedAtMs }) => [{ agent_name: name }, connectedAtMs / 1_000]),
    "agent_name",
  ),
  agentConnectionTime: gauge(
    "principal_agent_avg_connection_time",
    "For how long agents are connected, in minutes, on average; 0 without any",
    (from) => {
      const agents = connectedSince(from);
      const sumMs = agents.reduce((sum, { connectedAtMs }) => sum + Date.now() - connectedAtMs, 0);
      return agents.length === 0 ? 0 : Math.max(0, sumMs / agents.length / 60_000);
    },
  ),
  agentEventsReceived: counted("principal_events_received", "Events of agents received"),
  agentEventsSent: counted("principal_events_sent", "Events sent to agents"),
  agentSendErrors: {
    ...counted(
      "principal_event_writer_send_errors_total",
      "Streams of agents that ended before everything written to them had gone out",
      "agent_name",
      "reason",
    ),
    zeros: ofEachAgent({ reason: "transport-closing" }),
  },
  agentErrors: {
    ...counted("principal_errors", "Events of agents that failed or were refused", "resource_type"),
    zeros: () => [{ resource_type: "application" }],
  },
  agentPendingKeys: gauge(
    "argocd_agent_ha_agent_pending_keys",
    "Resources that the agent has not acknowledged; no series for an agent without any",
    (from) =>
      [...from.fleet().agents].filter(({ pending }) => pending > 0)
        .map(({ name, pending }) => [{ agent_name: name }, pending]),
    "agent_name",
  ),
  agentObjects: gauge(
    "argocd_agent_ha_agent_objects",
    "Objects that the agent has here: what it brought, or as a managed agent the Applications for it",
    (from) => [...from.fleet().usage].map(({ name, mode, objects }) => [{ agent_name: name, mode }, objects]),
    "agent_name",
    "mode",
  ),
  agentBytes: gauge(
    "argocd_agent_ha_agent_bytes",
    "Their bytes as JSON; see --agent-max-bytes",
    (from) => [...from.fleet().usage].map(({ name, mode, bytes }) => [{ agent_name: name, mode }, bytes]),
    "agent_name",
    "mode",
  ),
  agentsBytes: gauge(
    "argocd_agent_ha_agents_bytes",
    "The bytes of all agents together; see --agents-max-total-bytes",
    (from) => [...from.fleet().usage].reduce((sum, { bytes }) => sum + bytes, 0),
  ),
  agentEventsResent: total(
    "argocd_agent_ha_agent_events_resent_total",
    "Events resent because no acknowledgement came",
    (from) => from.fleet().resent,
  ),
  redisProxyRequests: {
    ...counted(
      "argocd_principal_redis_proxy_requests_total",
      "What Argo CD asked of the Redis on an agent's cluster: get, subscribe",
      "agent_name",
      "command",
    ),
    zeros: ofEachAgent({ command: "get" }),
  },
  redisProxyErrors: {
    ...counted(
      "argocd_principal_redis_proxy_errors_total",
      "Of these, what the agent did not answer",
      "agent_name",
      "command",
    ),
    zeros: ofEachAgent({ command: "get" }),
  },
  agentEventsDiscarded: total(
    "argocd_principal_event_writer_events_discarded_total",
    "Always 0: nothing is discarded",
    () => 0,
  ),
};

/** The proxies of Argo CD's UI. */
export const PROXIES = {
  resourceProxyRequests: {
    ...counted(
      "argocd_principal_resource_proxy_requests_total",
      "Requests to the resource proxy; agents that have never been here count as unknown",
      "agent_name",
    ),
    zeros: ofEachAgent({}),
  },
  resourceProxyErrors: {
    ...counted(
      "argocd_principal_resource_proxy_errors_total",
      "Requests to the resource proxy that failed",
      "agent_name",
      "reason",
    ),
    zeros: ofEachAgent({ reason: "agent_disconnected" }),
  },
  logStreams: counted(
    "argocd_agent_ha_log_streams_total",
    "Logs of pods that were asked of an agent",
    "agent_name",
  ),
  logBytes: counted(
    "argocd_agent_ha_log_bytes_total",
    "Bytes of logs that went on to their readers",
    "agent_name",
  ),
  terminals: counted(
    "argocd_agent_ha_terminals_total",
    "Terminals that were opened at an agent",
    "agent_name",
  ),
  terminalEnds: counted(
    "argocd_agent_ha_terminals_ended_total",
    "Terminals that have ended, by the reason",
    "agent_name",
    "reason",
  ),
  terminalBytes: counted(
    "argocd_agent_ha_terminal_bytes_total",
    "Bytes that went through terminals, to agent and to user",
    "agent_name",
    "way",
  ),
};

/** Agents that are connected, and since when. */
function connectedSince(from: Measured): { name: string; connectedAtMs: number }[] {
  return [...from.fleet().agents].flatMap(({ name, connectedAtMs }) =>
    connectedAtMs === undefined ? [] : { name, connectedAtMs }
  );
}

function connectedAgents(from: Measured): string[] {
  return connectedSince(from).map(({ name }) => name);
}

/** One row at 0 for each connected agent. */
function ofEachAgent<L extends object>(rest: L): (from: Measured) => ({ agent_name: string } & L)[] {
  return (from) => connectedAgents(from).map((agent_name) => ({ agent_name, ...rest }));
}
