/**
 * The roster, the list of agents: one ConfigMap in the principal's namespace with a key for each agent, replicated like every other
 * resource. A new active therefore knows every agent's mode before the agent connects.
 */
import { parseJson } from "../../base/json.ts";
import { configMap, dataOf } from "./config_map.ts";
import { type ApiObject, isRecord } from "./object.ts";
import { type Key, keyOf } from "./keys.ts";

export const ROSTER_NAME = "argocd-agent-ha-agents";

export const MODES = ["managed", "autonomous"] as const;
export type Mode = typeof MODES[number];

/** One agent. */
export interface Agent {
  mode: Mode;
  /** Whether the agent had an open stream to the active at the time of writing. */
  connected: boolean;
  /** Was connected when another process or side served, and has not come to the present active yet. */
  awaited?: boolean;
}

/** The key of the roster in a principal's namespace. */
export function rosterKey(namespace: string): Key {
  return keyOf("ConfigMap", namespace, ROSTER_NAME);
}

/** The agents that a ConfigMap names; malformed entries are left out. */
export function readRoster(object: ApiObject | undefined): Map<string, Agent> {
  const agents = new Map<string, Agent>();
  for (const [name, text] of Object.entries(dataOf(object))) {
    const agent = parse(String(text));
    if (agent) agents.set(name, agent);
  }
  return agents;
}

/** The ConfigMap of these agents. */
export function writeRoster(namespace: string, agents: ReadonlyMap<string, Agent>): ApiObject {
  const data = Object.fromEntries([...agents].map(([name, agent]) => [name, JSON.stringify(agent)]));
  return configMap(namespace, ROSTER_NAME, data);
}

function parse(text: string): Agent | undefined {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch {
    return undefined;
  }
  if (!isRecord(value)) return undefined;
  const { mode, connected, awaited } = value;
  if (mode !== "managed" && mode !== "autonomous") return undefined;
  return { mode, connected: connected === true, ...(awaited === true ? { awaited } : {}) };
}
