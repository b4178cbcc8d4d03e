/**
 * Remembers agents in the store while this principal is ACTIVE: replicas learn from there their modes, and who was connected. Agents
 * that come together are written together.
 */
import { type Agent, agentsKey, type Mode, readAgents, writeAgents } from "../../domain/resources/agents.ts";
import { StoreError } from "../ports/store.ts";
import type { Context } from "../core/context.ts";

/** A ConfigMap holds 1 MiB; far fewer agents than that connect to one principal. */
const MAX_AGENTS = 10_000;

export class AgentRegistry {
  /** What is not written yet: at most one entry an agent. */
  readonly #waiting = new Map<string, Partial<Agent>>();
  /** The namespace that each agent says it has on its own cluster. */
  readonly #namespaces = new Map<string, string>();
  #restart = false;
  #writing = false;

  constructor(private readonly ctx: Pick<Context, "activeStore" | "settings" | "log" | "activeScope">) {}

  /** Call when an agent has proved who it is. Written in the background, and only where it says something new. */
  authenticated(name: string, mode: Mode, namespace: string): void {
    if (this.#namespaces.size < MAX_AGENTS || this.#namespaces.has(name)) {
      this.#namespaces.set(name, namespace);
    }
    this.#note(name, { mode });
  }

  /** Call when an agent's stream opens and ends. */
  connected(name: string, mode: Mode, connected: boolean): void {
    this.#note(name, { mode, connected });
  }

  /** Call when this principal begins to serve: nobody is connected. */
  nobody(): void {
    this.#restart = true;
    if (!this.#writing) this.#run();
  }

  /** The namespace of an agent on its own cluster; empty: it has not said. */
  namespaceOf(name: string): string {
    return this.#namespaces.get(name) ?? "";
  }

  #note(name: string, what: Partial<Agent>): void {
    if (this.#waiting.size >= MAX_AGENTS) return;
    this.#waiting.set(name, { ...this.#waiting.get(name), ...what });
    if (!this.#writing) this.#run();
  }

  async #run(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.size > 0 || this.#restart) {
      const notes = new Map(this.#waiting);
      const restart = this.#restart;
      this.#waiting.clear();
      this.#restart = false;
      await this.#write(notes, restart).catch((error) =>
        this.ctx.log.warn("what is known of agents could not be remembered", {
          agents: notes.size,
          reason: String(error),
        })
      );
    }
    this.#writing = false;
  }

  async #write(notes: ReadonlyMap<string, Partial<Agent>>, restart: boolean): Promise<void> {
    const { activeStore: store, settings, activeScope } = this.ctx;
    while (activeScope()) {
      const object = await store.get(agentsKey(settings.namespace));
      const agents = readAgents(object);
      let changed = false;
      const set = (name: string, agent: Agent) => {
        const before = agents.get(name);
        if (before?.mode === agent.mode && before.connected === agent.connected) return;
        agents.set(name, agent);
        changed = true;
      };
      if (restart) { for (const [name, agent] of agents) set(name, { ...agent, connected: false }); }
      for (const [name, note] of notes) {
        const before = agents.get(name) ?? { mode: "managed", connected: false };
        if (agents.has(name) || agents.size < MAX_AGENTS) set(name, { ...before, ...note });
      }
      if (!changed) return;
      try {
        const expect = object?.metadata.resourceVersion ?? "absent";
        await store.write({ op: "put", object: writeAgents(settings.namespace, agents), expect });
        return;
      } catch (error) {
        if (!(error instanceof StoreError) || error.code !== "conflict") throw error;
      }
    }
  }
}
