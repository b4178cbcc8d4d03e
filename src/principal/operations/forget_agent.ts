/**
 * `ha forget-agent`: takes an agent that will not come back off the roster, so that no preflight looks for its namespace. Its resources
 * stay; an agent that connects again is on the roster again.
 */
import { parseJson } from "../../base/json.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import { readRoster, rosterKey } from "../../domain/resources/roster.ts";
import type { Fleet } from "../active/fleet.ts";
import type { Roster } from "../active/roster.ts";
import type { Machine } from "./machine.ts";

const MAX_NAME = 63;

/** The parts that forgetting needs. */
export interface ForgettingParts extends Machine {
  readonly settings: { readonly namespace: string };
  readonly index: ChangeIndex;
  readonly roster: Pick<Roster, "forget">;
  fleet(): Pick<Fleet, "agent" | "forget">;
}

/** Resolves when the roster without the agent is durable. @throws Refusal; StoreError */
export async function forgetAgent(ctx: ForgettingParts, name: string, who: string): Promise<void> {
  const end = await ctx.begin("forget", problemOf(ctx, name));
  try {
    await ctx.roster.forget(name);
    ctx.fleet().forget(name);
    ctx.note(`forget-agent ${name}`, who);
  } finally {
    end();
  }
}

function problemOf({ index, settings, fleet }: ForgettingParts, name: string): string {
  const shown = `agent "${name.slice(0, MAX_NAME)}"`;
  if (fleet().agent(name)?.stream) {
    return `${shown} is connected; stop it first, or cut it off with ConfigMap argocd-agent-tls-blocklist`;
  }
  const entry = index.present(rosterKey(settings.namespace));
  const agents = readRoster(entry && parseJson(entry.payload) as ApiObject);
  return agents.has(name) ? "" : `${shown} is not on the roster; see: ConfigMap argocd-agent-ha-agents`;
}
