/**
 * The quota of each agent: how many objects it may have here, and of how many bytes; and the bytes of all together. An event that would exceed it is refused for good, so
 * the agent does not resend it; whatever makes less, and every deletion, passes. Operators' own writes are never refused.
 */
import { byteLength } from "../../base/bounds.ts";
import { monotonicMs } from "../../base/clock.ts";
import { canonicalJson } from "../../base/json.ts";
import type { Log } from "../../base/log.ts";
import { Newest } from "../../base/newest.ts";
import type { AgentBounds, Amount, Usage } from "../../domain/agents/usage.ts";
import type { AgentId } from "../../domain/agents/view.ts";
import { payloadOf } from "../../domain/changes/content.ts";
import { type Noted, noted } from "../../domain/ha/concerns.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { kindOf } from "../../domain/resources/kinds.ts";
import type { ApiObject } from "../../domain/resources/object.ts";
import type { Scope } from "../../domain/resources/scope.ts";

/** Refused keys that are remembered, the newest of them. */
const MAX_REFUSED = 1_000;
/** An agent that stays beyond its quota is named in the log so often. */
const LOG_EVERY_MS = 3_600_000;

/** The part of the principal that quotas need. */
export interface AgentQuotasParts {
  readonly settings: { readonly scope: Scope; readonly agentQuota: AgentBounds };
  readonly log: Log;
  /** The use of each agent; undefined while none is served. */
  usage(): Usage | undefined;
}

export class AgentQuotas {
  /** Keys that were refused and have not passed since, by agent and key, the oldest first. */
  readonly #refused = new Newest<string, { agent: string; key: Key; reason: string }>(MAX_REFUSED);
  readonly #loggedAtMs = new Map<string, number>();

  constructor(private readonly parts: AgentQuotasParts) {}

  /** Lets a write begin, and counts it; undefined: or else, the reason against it. */
  problemOf(id: AgentId, key: Key, before: ApiObject | undefined, after: ApiObject): string | undefined {
    const usage = this.parts.usage();
    if (!usage) return undefined;
    const bytes = this.#bytesOf(after);
    const reason = this.#exceeded(usage.without(id, key), before, bytes) ??
      this.#totalExceeded(usage, key, before, bytes);
    if (reason !== undefined) {
      usage.withdraw(key);
      this.#refuse(id.name, key, reason);
      return reason;
    }
    this.#refused.delete(`${id.name} ${key}`);
    usage.announce(key, id, bytes);
    return undefined;
  }

  /** A write that was let in made this version. */
  written(key: Key, version: string): void {
    this.parts.usage()?.written(key, version);
  }

  /** A write that was let in changed nothing. */
  withdraw(key: Key): void {
    this.parts.usage()?.withdraw(key);
  }

  /** The agent says that it has deleted the key. */
  deleted(agent: string, key: Key): void {
    this.#refused.delete(`${agent} ${key}`);
    this.withdraw(key);
  }

  /** No agent is served any more, or this one is not coming back. */
  forget(agent?: string): void {
    for (const [id, refused] of this.#refused) {
      if (agent === undefined || refused.agent === agent) this.#refused.delete(id);
    }
    if (agent === undefined) this.#loggedAtMs.clear();
    else this.#loggedAtMs.delete(agent);
  }

  /** The agents of which something is refused. */
  get noted(): Noted {
    const byAgent = Map.groupBy(this.#refused.values(), ({ agent }) => agent);
    return noted([...byAgent].map(([agent, refused]) => {
      const [{ key, reason } = { key: "", reason: "" }] = refused;
      const others = refused.length > 1 ? ` and ${refused.length - 1} more` : "";
      return `agent "${agent}": ${key}${others}: ${reason}`;
    }));
  }

  #exceeded(has: Amount, before: ApiObject | undefined, bytes: number): string | undefined {
    const { objects: maxObjects, bytes: maxBytes } = this.parts.settings.agentQuota;
    if (!before && maxObjects > 0 && has.objects + 1 > maxObjects) {
      return `it has ${shown(has.objects)} objects here; --agent-max-objects is ${shown(maxObjects)}`;
    }
    if (maxBytes === 0 || has.bytes + bytes <= maxBytes || (before && bytes <= this.#bytesOf(before))) {
      return undefined;
    }
    return `${shown(bytes)} bytes beside the ${shown(has.bytes)} that it has here; ` +
      `--agent-max-bytes is ${shown(maxBytes)}`;
  }

  #totalExceeded(usage: Usage, key: Key, before: ApiObject | undefined, bytes: number): string | undefined {
    const { totalBytes } = this.parts.settings.agentQuota;
    const others = usage.bytesWithout(key);
    if (totalBytes === 0 || others + bytes <= totalBytes || (before && bytes <= this.#bytesOf(before))) {
      return undefined;
    }
    const none = { name: "", bytes: 0 };
    const largest = usage.agents.reduce<typeof none>(
      (most, one) => one.bytes > most.bytes ? one : most,
      none,
    );
    const most = largest.name && `, most of them agent "${largest.name}" (${shown(largest.bytes)})`;
    return `${shown(bytes)} bytes beside the ${shown(others)} that all agents have here${most}; ` +
      `--agents-max-total-bytes is ${shown(totalBytes)}`;
  }

  /** As the index will have it. */
  #bytesOf(object: ApiObject): number {
    const kind = kindOf(object, this.parts.settings.scope);
    return byteLength(kind ? payloadOf(object, kind) : canonicalJson(object));
  }

  #refuse(agent: string, key: Key, reason: string): void {
    this.#refused.set(`${agent} ${key}`, { agent, key, reason });
    const now = monotonicMs();
    if (now - (this.#loggedAtMs.get(agent) ?? -Infinity) < LOG_EVERY_MS) return;
    this.#loggedAtMs.set(agent, now);
    this.parts.log.warn("an agent exceeds its quota; what adds to it is refused", {
      event: "agent_over_quota",
      agent,
      key,
      reason,
    });
  }
}

function shown(n: number): string {
  return n.toLocaleString("en-US");
}
