/**
 * The roster of agents, kept in the store while this principal is ACTIVE: replicas learn from it each agent's mode, and which were
 * connected. Agents that come together are written together.
 */
import { Coalesced } from "../../base/coalesced.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import { type Noted, noted } from "../../domain/ha/concerns.ts";
import { type Agent, type Mode, readRoster, rosterKey, writeRoster } from "../../domain/resources/roster.ts";
import { parseJson } from "../../base/json.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { modify } from "../ports/modify.ts";
import type { ActiveStore } from "./active_store.ts";

/** A ConfigMap holds 1 MiB; far fewer agents than that connect to one principal. */
const MAX_AGENTS = 10_000;
/** Agents dial again within seconds; this long after this principal began to serve one that is not back is told of. */
const AWAITED_MS = 60_000;

export class Roster {
  /** Changes that are not written yet: at most one entry an agent. */
  readonly #waiting = new Map<string, Partial<Agent>>();
  /** The namespace that each agent says it has on its own cluster. */
  readonly #namespaces = new Map<string, string>();
  /** Modes of agents that came in this tenure: the index may not show the roster with them yet. */
  readonly #modes = new Map<string, Mode>();
  #known: { digest: string; agents: ReadonlyMap<string, Agent> } | undefined;
  /** Whether every agent is to be written as disconnected first. */
  #noneConnected = false;
  #servingSinceMs = 0;
  readonly #writing = new Coalesced(() => this.#write());

  /** @param namespace the principal's own */
  constructor(
    private readonly store: ActiveStore,
    private readonly namespace: string,
    private readonly log: Log,
    private readonly index: Pick<ChangeIndex, "present">,
    private readonly awaitedMs = AWAITED_MS,
  ) {}

  /** The mode that an agent is pinned to; undefined: it is new. An operator's `ha forget-agent` lets it come in another one. */
  modeOf(name: string): Mode | undefined {
    return this.#modes.get(name) ?? this.#agents().get(name)?.mode;
  }

  /** Agents that were connected before this principal began to serve, a minute ago or longer, and are not back. */
  get away(): Noted {
    const served = this.store.writable && monotonicMs() - this.#servingSinceMs >= this.awaitedMs;
    if (!served) return noted([]);
    return noted([...this.#agents()].flatMap(([name, { awaited }]) => awaited ? name : []));
  }

  /** Call when an agent has proved who it is. Written in the background, and only where it says something new. */
  authenticated(name: string, mode: Mode, namespace: string): void {
    if (this.#namespaces.size < MAX_AGENTS || this.#namespaces.has(name)) {
      this.#namespaces.set(name, namespace);
    }
    if (this.#modes.size < MAX_AGENTS) this.#modes.set(name, mode);
    this.#note(name, { mode });
  }

  /** Call when an agent's stream opens and ends. */
  connected(name: string, mode: Mode, connected: boolean): void {
    this.#note(name, { mode, connected });
  }

  /** Call when this principal begins to serve: no agent is connected yet. */
  noneConnected(): void {
    this.#noneConnected = true;
    this.#servingSinceMs = monotonicMs();
    this.#modes.clear();
    void this.#writing.request();
  }

  /** Takes an agent off the roster; resolves when that is durable. @throws StoreError */
  async forget(name: string): Promise<void> {
    // An agent that has just connected stays on it.
    if (!this.#waiting.get(name)?.connected) this.#waiting.delete(name);
    this.#namespaces.delete(name);
    this.#modes.delete(name);
    await modify(this.store, rosterKey(this.namespace), (existing) => {
      const agents = readRoster(existing);
      return agents.delete(name) ? writeRoster(this.namespace, agents) : undefined;
    });
  }

  /** The namespace of an agent on its own cluster; empty: it has not said. */
  namespaceOf(name: string): string {
    return this.#namespaces.get(name) ?? "";
  }

  #agents(): ReadonlyMap<string, Agent> {
    const entry = this.index.present(rosterKey(this.namespace));
    if (!entry) return new Map();
    if (this.#known?.digest !== entry.digest) {
      this.#known = { digest: entry.digest, agents: readRoster(parseJson(entry.payload) as ApiObject) };
    }
    return this.#known.agents;
  }

  #note(name: string, what: Partial<Agent>): void {
    if (this.#waiting.size >= MAX_AGENTS) return;
    this.#waiting.set(name, { ...this.#waiting.get(name), ...what });
    void this.#writing.request();
  }

  async #write(): Promise<void> {
    const notes = new Map(this.#waiting);
    const noneConnected = this.#noneConnected;
    this.#waiting.clear();
    this.#noneConnected = false;
    if (notes.size === 0 && !noneConnected) return;
    const change = (existing: StoredObject | undefined) => {
      if (!this.store.writable) return undefined;
      const agents = readRoster(existing);
      const changed = update(agents, notes, noneConnected);
      return changed ? writeRoster(this.namespace, agents) : undefined;
    };
    await modify(this.store, rosterKey(this.namespace), change).catch((error) =>
      this.log.warn("the roster of agents could not be written", {
        agents: notes.size,
        reason: reasonOf(error),
      })
    );
  }
}

/** Brings a roster up to date; whether that changed anything. */
function update(
  agents: Map<string, Agent>,
  notes: ReadonlyMap<string, Partial<Agent>>,
  noneConnected: boolean,
): boolean {
  let changed = false;
  const set = (name: string, { mode, connected, awaited = false }: Agent) => {
    const before = agents.get(name);
    const same = before?.mode === mode && before.connected === connected;
    if (same && (before.awaited ?? false) === awaited) return;
    agents.set(name, { mode, connected, ...(awaited ? { awaited } : {}) });
    changed = true;
  };
  if (noneConnected) {
    for (const [name, { mode, connected, awaited }] of agents) {
      set(name, { mode, connected: false, awaited: connected || awaited === true });
    }
  }
  for (const [name, note] of notes) {
    const before = agents.get(name) ?? { mode: "managed", connected: false };
    const now = { ...before, ...note, ...(note.connected ? { awaited: false } : {}) };
    if (agents.has(name) || agents.size < MAX_AGENTS) set(name, now);
  }
  return changed;
}
