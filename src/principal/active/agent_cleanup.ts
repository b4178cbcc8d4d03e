/**
 * Drops what is kept of an agent when its operator takes it away: its cluster Secret is deleted or given to another agent, or its namespace
 * is gone. Its stream ends and it leaves the roster; its resources stay. Only what was seen to happen counts: a listing that lacks a Secret,
 * after a restart or of a restored store, takes no agent away.
 */
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { ChangeIndex, Entry } from "../../domain/changes/index.ts";
import { parseKey } from "../../domain/resources/keys.ts";
import type { Scope } from "../../domain/resources/scope.ts";
import type { Store } from "../ports/store.ts";
import type { Fleet } from "./fleet.ts";
import type { Roster } from "./roster.ts";

/** A namespace ends once everything in it has: it is looked for after these times. */
const LOOKS_MS: readonly number[] = [5_000, 30_000, 300_000];

/** The parts that a clean-up needs. */
export interface AgentCleanupParts {
  readonly settings: { readonly scope: Scope; readonly store: { readonly type: string } };
  readonly log: Log;
  readonly store: Pick<Store, "examine">;
  readonly index: Pick<ChangeIndex, "live">;
  readonly roster: Pick<Roster, "forget" | "modeOf">;
  readonly fleet: Pick<Fleet, "cutOff" | "forget">;
  /** Open while this principal is ACTIVE. */
  activeScope(): AbortSignal | undefined;
}

export class AgentCleanup {
  /** Namespaces whose last Application went, with the looks that are left. */
  readonly #suspects = new Map<string, number[]>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly parts: AgentCleanupParts, private readonly looksMs = LOOKS_MS) {}

  /** No cluster Secret names this agent any more; one did. */
  secretGone(agent: string): void {
    void this.#drop(agent, `the cluster Secret of agent "${agent}" is gone`);
  }

  /** An object was deleted; `concluded`: no watch saw it. */
  objectGone({ key }: Pick<Entry, "key">, concluded: boolean): void {
    const { settings: { scope, store }, roster } = this.parts;
    const { kind, namespace = "" } = parseKey(key) ?? {};
    if (concluded || kind !== "Application" || scope.destinationMapping || namespace === scope.namespace) {
      return;
    }
    // The embedded store has no namespaces.
    if (store.type !== "kubernetes" || !this.parts.activeScope()) return;
    if (this.#suspects.has(namespace) || roster.modeOf(namespace) === undefined) return;
    this.#suspects.set(namespace, [...this.looksMs]);
    this.#lookLater();
  }

  /** Looks no more. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#suspects.clear();
  }

  #lookLater(): void {
    const [next] = [...this.#suspects.values()].flatMap(([waitMs]) => waitMs ?? []).sort((a, b) => a - b);
    clearTimeout(this.#timer);
    if (next !== undefined) this.#timer = setTimeout(() => void this.#look(), next);
  }

  async #look(): Promise<void> {
    if (!this.parts.activeScope()) return this.stop();
    for (const { key } of this.parts.index.live()) {
      if (key.startsWith("Application/")) this.#suspects.delete(key.split("/")[1] ?? "");
    }
    const namespaces = [...this.#suspects.keys()];
    for (const [namespace, [_, ...rest]] of this.#suspects) {
      if (rest.length > 0) this.#suspects.set(namespace, rest);
      else this.#suspects.delete(namespace);
    }
    try {
      const missing = namespaces.length > 0 ? await this.parts.store.examine(namespaces, []) : undefined;
      for (const namespace of missing?.namespaces ?? []) {
        this.#suspects.delete(namespace);
        await this.#drop(namespace, `namespace "${namespace}" is gone`);
      }
    } catch (error) {
      this.parts.log.debug("namespaces of agents could not be looked for", { reason: reasonOf(error) });
    }
    this.#lookLater();
  }

  async #drop(agent: string, why: string): Promise<void> {
    const { log, roster, fleet } = this.parts;
    if (!this.parts.activeScope() || roster.modeOf(agent) === undefined) return;
    const connected = fleet.cutOff(agent, why);
    try {
      await roster.forget(agent);
      fleet.forget(agent);
      log.info("agent left the roster; its resources stay", { agent, reason: why, connected });
    } catch (error) {
      log.warn("an agent that is gone could not leave the roster; ha forget-agent does it", {
        agent,
        reason: reasonOf(error),
      });
    }
  }
}
