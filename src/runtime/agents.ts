/** Remembers agents in the store while this principal is ACTIVE: replicas learn their modes from there. */
import { agentsKey, type Mode, readAgents, writeAgents } from "../resources/agents.ts";
import { StoreError } from "../store/port.ts";
import type { Context } from "./context.ts";

/** A ConfigMap holds 1 MiB; far fewer agents than that connect to one principal. */
const MAX_AGENTS = 10_000;

export class AgentRegistry {
  /** What is not written yet: at most one mode an agent, so that agents that come together are written together. */
  readonly #waiting = new Map<string, Mode>();
  #writing = false;

  constructor(private readonly ctx: Pick<Context, "store" | "settings" | "log" | "activeScope">) {}

  /** Call when an agent has proved who it is. Written in the background, and only where it says something new. */
  authenticated(name: string, mode: Mode): void {
    if (this.#waiting.size >= MAX_AGENTS) return;
    this.#waiting.set(name, mode);
    if (!this.#writing) this.#run();
  }

  async #run(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.size > 0) {
      const modes = new Map(this.#waiting);
      this.#waiting.clear();
      await this.#write(modes).catch((error) =>
        this.ctx.log.warn("agents' modes could not be remembered", {
          agents: modes.size,
          reason: String(error),
        })
      );
    }
    this.#writing = false;
  }

  async #write(modes: ReadonlyMap<string, Mode>): Promise<void> {
    const { store, settings, activeScope } = this.ctx;
    while (activeScope()) {
      const object = await store.get(agentsKey(settings.namespace));
      const agents = readAgents(object);
      let changed = false;
      for (const [name, mode] of modes) {
        const before = agents.get(name);
        if (before?.mode === mode || (!before && agents.size >= MAX_AGENTS)) continue;
        agents.set(name, { mode, connected: before?.connected ?? false });
        changed = true;
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
