/**
 * The agents of the ACTIVE principal. It lets their streams in, tells each agent's session which keys to look at, and ends all streams
 * when this principal steps down. It exists while this principal serves; the next ACTIVE finds out for itself what agents have.
 */
import { delay } from "@std/async/delay";
import { chunk } from "@std/collections/chunk";
import pLimit from "p-limit";
import { monotonicMs } from "../../base/clock.ts";
import type { Touched } from "../../domain/agents/router.ts";
import type { AgentUsage } from "../../domain/agents/usage.ts";
import type { AgentId, AgentView } from "../../domain/agents/view.ts";
import { type ChangeIndex, wasSeenToGo } from "../../domain/changes/index.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { HeldDeletion } from "../../domain/ha/deletion_guard.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { READS_AT_ONCE } from "../core/feed.ts";
import type { MeasuredAgent } from "../core/metric.ts";
import type { AgentStream, AttachedStream, Caller } from "../ports/agents.ts";
import type { AgentClusters, ClusterInfo } from "../ports/cluster_info.ts";
import { AgentQuotas, type AgentQuotasParts } from "./agent_quotas.ts";
import { FleetRequests } from "./fleet_requests.ts";
import { IndexedWrites } from "./indexed_writes.ts";
import type { Roster } from "./roster.ts";
import { Routing } from "./routing.ts";
import { ServedAgent, type ServedAgentParts } from "./served_agent.ts";

const TICK_MS = 500;
/** Streams over which nothing passes any more are ended after so long, and so many at a time. */
const END_AFTER_MS = 20;
const ENDED_AT_ONCE = 10;

/** The part of the principal that the fleet needs. */
export interface FleetParts extends
  Omit<
    ServedAgentParts,
    | keyof Routing
    | "indexed"
    | "quotas"
    | "namespaceOf"
    | "clusterOf"
    | "cacheInfo"
    | "servingSinceMs"
    | "wasSeenToGo"
    | "isWithheld"
    | "causeOf"
    | "stored"
    | "unsolicited"
    | "onStream"
  > {
  readonly settings: ServedAgentParts["settings"] & AgentQuotasParts["settings"];
  readonly index: ChangeIndex;
  readonly roster: Pick<Roster, "connected" | "noneConnected" | "namespaceOf">;
  readonly clusters: AgentClusters;
  readonly clusterInfo: ClusterInfo;
}

export class Fleet {
  /** The quota of each agent. */
  readonly quotas: AgentQuotas;
  /** Requests to agents. */
  readonly requests: FleetRequests;
  readonly #agents = new Map<string, ServedAgent>();
  readonly #routing: Routing;
  readonly #writes: IndexedWrites;
  readonly #agentParts: ServedAgentParts;
  #ready: Promise<unknown> = Promise.resolve();
  #frozen = false;
  #ended: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setInterval> | undefined;
  #servingSinceMs = 0;

  constructor(private readonly parts: FleetParts) {
    const { index, settings, roster, clusters, clusterInfo } = parts;
    const routing = new Routing(index, settings.scope, (key, touched) => this.#routed(key, touched));
    const writes = new IndexedWrites(index);
    const reading = pLimit(READS_AT_ONCE);
    this.quotas = new AgentQuotas({ settings, log: parts.log, usage: () => routing.usage });
    this.#routing = routing;
    this.#writes = writes;
    const requests = new FleetRequests(this.#agents, () => routing.isOpen, parts.tracing);
    this.requests = requests;
    this.#agentParts = {
      uid: parts.uid,
      settings,
      log: parts.log,
      counters: parts.counters,
      processing: parts.processing,
      tracing: parts.tracing,
      traces: parts.traces,
      activeStore: parts.activeStore,
      refusals: parts.refusals,
      quotas: this.quotas,
      foreign: parts.foreign,
      lookUp: (key) => parts.lookUp(key),
      view: (id, key) => routing.view(id, key),
      viewOfObject: (id, object) => routing.viewOfObject(id, object),
      keysOf: (id) => routing.keysOf(id),
      indexed: (key, version) => writes.indexed(key, version),
      namespaceOf: (agent) => roster.namespaceOf(agent),
      clusterOf: (agent) => clusters.of(agent)?.name ?? agent,
      cacheInfo: (agent, info) => clusterInfo.cacheInfo(agent, info),
      servingSinceMs: () => this.#servingSinceMs,
      unproven: () => parts.unproven(),
      wasSeenToGo: (key) => wasSeenToGo(index.get(key)),
      isWithheld: (key) => index.withheld.has(key),
      causeOf: (key) => routing.causeOf(key),
      stored: (key) => reading(() => parts.activeStore.get(key)),
      unsolicited: (agent, event) => requests.unsolicited(agent, event),
      onStream: (agent, open) => requests.streamChanged(agent, open),
    };
  }

  /** Begins to serve; streams are attached from when `durable` resolves. */
  open(durable: Promise<void>): void {
    this.#servingSinceMs = monotonicMs();
    this.#ready = Promise.all([durable, this.#routing.open()]);
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.parts.roster.noneConnected();
  }

  /** Takes no more events; resolves when none is being written. The streams end afterwards: see `ended`. */
  async close(why: string): Promise<void> {
    this.#frozen = false;
    clearInterval(this.#timer);
    this.#routing.close();
    this.quotas.forget();
    const agents = [...this.#agents.values()];
    this.#agents.clear();
    const streams = agents.flatMap((agent) => agent.detach("not active", why) ?? []);
    this.#ended = this.#ended.then(() => this.#end(streams, why));
    for (const { id } of agents) this.parts.processing.forget(id.name);
    await Promise.all(agents.map(({ inbox }) => inbox.stop()));
    this.#writes.close();
  }

  /** Resolves when the streams of the last `close` have ended. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** A few at a time: calls of operators and of the peer that takes over come first. */
  async #end(streams: AgentStream[], why: string): Promise<void> {
    let wait = END_AFTER_MS;
    for (const some of chunk(streams, ENDED_AT_ONCE)) {
      await delay(wait);
      wait = 0;
      for (const stream of some) stream.end(why);
    }
  }

  /** Takes no more events of agents until `thaw`; resolves when what was taken is written. Their streams stay open. */
  async freeze(): Promise<void> {
    this.#frozen = true;
    await Promise.all([...this.#agents.values()].map(({ inbox }) => inbox.freeze()));
  }

  /** Takes events of agents once more. */
  thaw(): void {
    this.#frozen = false;
    for (const { inbox } of this.#agents.values()) inbox.thaw();
  }

  /** Connected agents. */
  get connected(): number {
    return [...this.#agents.values()].filter(({ stream }) => stream).length;
  }

  /** Retried events since this principal began to serve. */
  get resent(): number {
    return [...this.#agents.values()].reduce((sum, { session }) => sum + session.resent, 0);
  }

  /** The metrics of each agent that has connected since this principal began to serve. */
  get agents(): MeasuredAgent[] {
    return [...this.#agents.values()].map((
      { id: { name }, session: { pending }, stream, connectedAtMs },
    ) => ({
      name,
      pending,
      connectedAtMs: stream ? connectedAtMs : undefined,
    }));
  }

  /** The objects and bytes of each agent; empty while none is served. */
  get usage(): AgentUsage[] {
    return this.#routing.usage?.agents ?? [];
  }

  /** Deletions that wait for an operator, with the agents that would hear of them. */
  get heldDeletions(): (HeldDeletion & { agent: string })[] {
    return [...this.#agents.values()].flatMap(({ id: { name: agent }, deletions }) =>
      deletions.held.map((deletion) => ({ ...deletion, agent }))
    );
  }

  /** Lets held deletions of these keys go at one agent, or at every one. */
  releaseDeletions(keys: readonly Key[], agent: string): void {
    for (const { id, deletions } of this.#agents.values()) {
      if (agent === "" || id.name === agent) deletions.release(keys);
    }
  }

  /** An agent that has been here since this principal began to serve. */
  agent(name: string): ServedAgent | undefined {
    return this.#agents.get(name);
  }

  /** Ends the stream of an agent; whether there was one. */
  cutOff(name: string, why: string): boolean {
    const stream = this.#agents.get(name)?.detach("left", why);
    if (!stream) return false;
    stream.end(why);
    this.parts.clusterInfo.connected(name, false);
    return true;
  }

  /** An agent without a stream is not coming back. */
  forget(name: string): void {
    const agent = this.#agents.get(name);
    if (!agent || agent.stream) return;
    this.#agents.delete(name);
    void agent.inbox.stop();
    this.quotas.forget(name);
    this.parts.processing.forget(name);
  }

  /** Takes over the stream of an admitted agent. Undefined if this principal has stopped serving meanwhile. */
  async attach(caller: Caller, stream: AgentStream): Promise<AttachedStream | undefined> {
    if (!await this.#serves()) return undefined;
    const agent = this.#agentOf(caller);
    this.#greet(agent);
    agent.connect(stream);
    this.parts.log.info("agent connected", {
      event: "agent_connected",
      agent: caller.name,
      mode: caller.mode,
    });
    this.#noteConnected(caller, true);
    return {
      received: (event) => agent.received(event),
      drained: () => {
        if (agent.stream === stream) agent.drained();
      },
      closed: () => {
        if (agent.stream !== stream) return;
        agent.detach("left", "its stream has ended");
        this.parts.log.info("agent disconnected", { event: "agent_disconnected", agent: caller.name });
        this.#noteConnected(caller, false);
      },
    };
  }

  /** One event without a stream; whether it was carried out. */
  async process(caller: Caller, event: AgentEvent): Promise<boolean> {
    return await this.#serves() && await this.#agentOf(caller).inbox.process(event);
  }

  /** A resource as an agent is to have it. */
  view(id: AgentId, key: Key): AgentView | undefined {
    return this.#routing.view(id, key);
  }

  /** Whether agents are served, as soon as that is known. */
  async #serves(): Promise<boolean> {
    const ready = this.#ready;
    await ready;
    return ready === this.#ready ? this.#routing.isOpen : await this.#serves();
  }

  #noteConnected({ name, mode }: Caller, connected: boolean): void {
    this.parts.roster.connected(name, mode, connected);
    this.parts.clusterInfo.connected(name, connected);
    if (connected) this.parts.counters.increment("agentConnections", { agent_name: name });
    else this.parts.processing.forget(name);
  }

  #agentOf({ name, mode }: Caller): ServedAgent {
    const before = this.#agents.get(name);
    if (before?.id.mode === mode) return before;
    if (before) {
      const why = "the agent came back in another mode";
      before.detach("left", why)?.end(why);
      void before.inbox.stop();
    }
    const agent = new ServedAgent({ name, mode }, this.#agentParts);
    this.#agents.set(name, agent);
    if (this.#frozen) void agent.inbox.freeze();
    return agent;
  }

  /** Looks at everything that an agent is to have, and asks the agent for its own state. */
  #greet({ id, session }: ServedAgent): void {
    const keys = this.#routing.keysOf(id);
    for (const key of keys) session.touch(key);
    if (id.mode === "managed") session.resync();
    else {
      const checksum = session.checksum(session.list(keys)) || null;
      session.queueMessage("list", "request-synced-resource-list", { checksum });
    }
  }

  #routed(changed: Key, touched: readonly Touched[]): void {
    this.#writes.changed(changed);
    for (const { key, agents } of touched) {
      const concerned = agents === "all"
        ? this.#agents.values()
        : [...agents].flatMap((name) => this.#agents.get(name) ?? []);
      for (const agent of concerned) {
        agent.session.touch(key);
        agent.schedule();
      }
    }
  }

  #tick(): void {
    const now = monotonicMs();
    for (const agent of this.#agents.values()) agent.tick(now);
  }
}
