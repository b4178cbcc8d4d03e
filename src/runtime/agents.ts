/** Remembers agents in the store while this principal is ACTIVE: replicas learn their modes from there. */
import { type Agent, agentsKey, type Mode, readAgents, writeAgents } from "../resources/agents.ts";
import { StoreError } from "../store/port.ts";
import type { Context } from "./context.ts";

/** A ConfigMap holds 1 MiB; far fewer agents than that connect to one principal. */
const MAX_AGENTS = 10_000;

export class AgentRegistry {
  #last: Promise<void> = Promise.resolve();

  constructor(private readonly ctx: Pick<Context, "store" | "settings" | "log" | "activeScope">) {}

  /** Call when an agent has proved who it is. Written in the background, and only where it says something new. */
  authenticated(name: string, mode: Mode): void {
    this.#last = this.#last.then(() =>
      this.#write(name, (before) => ({ mode, connected: before?.connected ?? false }))
    )
      .catch((error) =>
        this.ctx.log.warn("an agent's mode could not be remembered", { agent: name, reason: String(error) })
      );
  }

  async #write(name: string, next: (before: Agent | undefined) => Agent): Promise<void> {
    const { store, settings, activeScope } = this.ctx;
    while (activeScope()) {
      const object = await store.get(agentsKey(settings.namespace));
      const agents = readAgents(object);
      const before = agents.get(name);
      const agent = next(before);
      const known = before?.mode === agent.mode && before.connected === agent.connected;
      if (known || (!before && agents.size >= MAX_AGENTS)) return;
      agents.set(name, agent);
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
