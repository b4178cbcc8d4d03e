/** Logs and terminals of agents in whatever role this side has: from its own agents while it is ACTIVE, and else through the peer. */
import { LogSessions, type LogSessionsParts } from "./active/log_sessions.ts";
import { TerminalSessions, type TerminalSessionsParts } from "./active/terminal_sessions.ts";
import type { AgentLogs, LogSource } from "./ports/logs.ts";
import type { AgentLanes } from "./ports/requests.ts";
import type { AgentTerminals, TerminalSource } from "./ports/terminals.ts";
import { ForwardedLogs } from "./replica/forwarded_logs.ts";
import { ForwardedTerminals } from "./replica/forwarded_terminals.ts";
import type { PeerWay } from "./replica/peer_way.ts";

/** The calls that agents make with what they were asked for. */
export interface AgentCalls {
  readonly logs: AgentLogs;
  readonly terminals: AgentTerminals;
}

/** Where readers and users get them. */
export interface AgentSources {
  readonly logs: LogSource;
  readonly terminals: TerminalSource;
}

/** @returns the sessions with this side's own agents, and the sources in whatever role */
export function agentSources(
  parts: LogSessionsParts & TerminalSessionsParts & PeerWay,
  lanes: Pick<AgentLanes, "tell" | "connected" | "onStream">,
): { own: AgentCalls & AgentSources; sources: AgentSources } {
  const own = { logs: new LogSessions(parts, lanes), terminals: new TerminalSessions(parts, lanes) };
  const forwarded = { logs: new ForwardedLogs(parts), terminals: new ForwardedTerminals(parts) };
  const now = () => parts.activeScope() ? own : forwarded;
  const logs: LogSource = { open: (...call) => now().logs.open(...call) };
  const terminals: TerminalSource = { open: (...call) => now().terminals.open(...call) };
  return { own, sources: { logs, terminals } };
}
