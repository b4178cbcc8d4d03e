/**
 * The agents of the ACTIVE principal: their sessions, their streams, and the one reader of the change index that tells the sessions
 * which keys to look at. It exists while this principal serves; what agents have is found out anew by whoever serves next.
 */
import { hash } from "node:crypto";
import { delay } from "@std/async/delay";
import { chunk } from "@std/collections/chunk";
import { AgentSession } from "../../domain/agents/session.ts";
import { Router } from "../../domain/agents/router.ts";
import { type AgentId, type AgentView, viewOf, type World } from "../../domain/agents/view.ts";
import { Cursor } from "../../domain/changes/cursor.ts";
import type { Entry } from "../../domain/changes/index.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import { type Key, keyOfObject } from "../../domain/resources/keys.ts";
import { BLOCKLIST_NAME, kindOf } from "../../domain/resources/kinds.ts";
import type { StoredObject } from "../../domain/resources/object.ts";
import type { Clusters } from "./clusters.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Context } from "../core/context.ts";
import type { MeasuredAgent } from "../core/metric.ts";
import { localOf, payloadOf } from "../core/feed.ts";
import { Inbox } from "./inbox.ts";

/** Changes routed before other work gets its turn. */
const BATCH = 200;
const TICK_MS = 500;
/** Streams over which nothing passes any more are ended after so long, and so many at a time. */
const END_AFTER_MS = 20;
const ENDED_AT_ONCE = 10;
/** How long a write of an agent may take to come back through the store's watch before it is acknowledged all the same. */
const INDEXED_MS = 250;

/** An agent that has proved who it is. */
export interface Caller extends AgentId {
  /** Of its certificate; empty: it has none. */
  fingerprint: string;
}

/** One `EventStream/Subscribe` of an agent, as the fleet uses it. */
export interface AgentStream {
  /** Sends; false when it should wait for `drained`. */
  send(event: AgentEvent): boolean;
  /** Ends the stream. `revoked`: the agent must prove anew who it is. */
  end(why: string, revoked: boolean): void;
  /** Stops and resumes reading. */
  pause(): void;
  resume(): void;
}

/** What a stream tells the fleet. */
export interface AttachedStream {
  received(event: AgentEvent): void;
  drained(): void;
  closed(): void;
}

/** One agent and, while it is connected, its stream. */
export class AgentHost {
  readonly session: AgentSession;
  readonly inbox: Inbox;
  stream: AgentStream | undefined;
  fingerprint = "";
  #writable = true;
  #scheduled = false;

  constructor(readonly id: AgentId, private readonly fleet: Fleet) {
    this.session = new AgentSession(id, {
      look: (key) => fleet.view(id, key),
      id: () => crypto.randomUUID(),
      principalUid: fleet.ctx.uid,
      sha256,
    });
    this.inbox = new Inbox(this, fleet);
  }

  connect(stream: AgentStream, fingerprint: string): void {
    this.stream?.end("another stream of this agent has taken its place", false);
    this.stream = stream;
    this.fingerprint = fingerprint;
    this.#writable = true;
    this.inbox.connected();
    this.session.connected();
    this.schedule();
  }

  /** Nothing more passes over the stream, of which nothing more is noted either; whoever gets it ends it. */
  detach(): AgentStream | undefined {
    const { stream } = this;
    this.stream = undefined;
    return stream;
  }

  drained(): void {
    this.#writable = true;
    this.schedule();
  }

  schedule(): void {
    if (this.#scheduled || !this.stream) return;
    this.#scheduled = true;
    setTimeout(() => {
      this.#scheduled = false;
      this.#pump();
    });
  }

  #pump(): void {
    for (let n = 0; n < BATCH; n++) {
      if (!this.stream || !this.#writable) return;
      const event = this.session.next(monotonicMs(), Math.random());
      if (!event) {
        this.inbox.kick();
        return;
      }
      if (event.target !== "eventProcessed") event.extensions.sentat = new Date().toISOString();
      this.fleet.ctx.counters.increment("agentEventsSent");
      this.#writable = this.stream.send(event);
    }
    this.schedule();
  }
}

export class Fleet {
  readonly #hosts = new Map<string, AgentHost>();
  readonly #written = new Map<Key, Set<() => void>>();
  #router: Router | undefined;
  #cursor: Cursor | undefined;
  #world: World | undefined;
  #ready: Promise<unknown> = Promise.resolve();
  #dispatching = false;
  #frozen = false;
  #ended: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setInterval> | undefined;
  #unsubscribe = () => {};

  constructor(
    readonly ctx: Context,
    readonly clusters: Clusters,
    private readonly blocked: (fingerprint: string) => boolean,
  ) {}

  /** Begins to serve; streams are attached from when `durable` resolves. */
  open(durable: Promise<void>): void {
    const { index, settings: { scope } } = this.ctx;
    const router = new Router(scope);
    this.#router = router;
    this.#cursor = new Cursor(index, 0);
    this.#world = { scope, sha256, project: (name) => router.project(name) };
    this.#ready = Promise.all([durable, this.#dispatch()]);
    this.#unsubscribe = index.onChange(() => void this.#dispatch());
    this.#timer = setInterval(() => this.#tick(), TICK_MS);
    this.ctx.registry.nobody();
  }

  /** From now on nothing of an agent's passes; resolves when no event of one is being written any more. `ended`: the streams are. */
  async close(why: string): Promise<void> {
    this.#frozen = false;
    clearInterval(this.#timer);
    this.#unsubscribe();
    this.#router = undefined;
    const hosts = [...this.#hosts.values()];
    this.#hosts.clear();
    const streams = hosts.flatMap((host) => host.detach() ?? []);
    this.#ended = this.#ended.then(() => this.#end(streams, why));
    for (const host of hosts) this.ctx.processing.forget(host.id.name);
    await Promise.all(hosts.map((host) => host.inbox.stop()));
    for (const waiters of this.#written.values()) for (const done of waiters) done();
    this.#written.clear();
  }

  /** Resolves when the streams of agents that were closed last are. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** A few at a time: whoever asks this principal what it is, and the peer that takes over, come first. */
  async #end(streams: AgentStream[], why: string): Promise<void> {
    let wait = END_AFTER_MS;
    for (const some of chunk(streams, ENDED_AT_ONCE)) {
      await delay(wait);
      wait = 0;
      for (const stream of some) stream.end(why, false);
    }
  }

  /** Takes no more events of agents until `thaw`; resolves when what was taken is written. Their streams stay open. */
  async freeze(): Promise<void> {
    this.#frozen = true;
    await Promise.all([...this.#hosts.values()].map((host) => host.inbox.freeze()));
  }

  /** Goes on. */
  thaw(): void {
    this.#frozen = false;
    for (const host of this.#hosts.values()) host.inbox.thaw();
  }

  get connected(): number {
    return [...this.#hosts.values()].filter((host) => host.stream).length;
  }

  /** Events sent again since this principal began to serve. */
  get resent(): number {
    return [...this.#hosts.values()].reduce((sum, { session }) => sum + session.resent, 0);
  }

  /** What metrics show of each agent. */
  get agents(): MeasuredAgent[] {
    return [...this.#hosts.values()].map(({ id: { name }, session: { pending }, stream }) => ({
      name,
      pending,
      connected: stream !== undefined,
    }));
  }

  /** The agents that have been here since this principal began to serve. */
  get hosts(): ReadonlyMap<string, AgentHost> {
    return this.#hosts;
  }

  /** A stream of an agent that has been let in. Undefined when this principal has stopped serving meanwhile. */
  async attach(caller: Caller, stream: AgentStream): Promise<AttachedStream | undefined> {
    if (!await this.#serves()) return undefined;
    const host = this.#hostOf(caller);
    this.#greet(host);
    host.connect(stream, caller.fingerprint);
    this.ctx.log.info("agent connected", { agent: caller.name, mode: caller.mode });
    this.#noteConnected(caller, true);
    // The list may have changed since the caller was let in.
    this.#revoke(host);
    return {
      received: (event) => host.inbox.received(event),
      drained: () => host.drained(),
      closed: () => {
        if (host.stream !== stream) return;
        host.stream = undefined;
        this.ctx.log.info("agent disconnected", { agent: caller.name });
        this.#noteConnected(caller, false);
      },
    };
  }

  /** One event without a stream; whether it was carried out. */
  async process(caller: Caller, event: AgentEvent): Promise<boolean> {
    return await this.#serves() && await this.#hostOf(caller).inbox.process(event);
  }

  /** Whether agents are served, as soon as that is known. */
  async #serves(): Promise<boolean> {
    const ready = this.#ready;
    await ready;
    return ready === this.#ready ? this.#router !== undefined : await this.#serves();
  }

  view(id: AgentId, key: Key): AgentView | undefined {
    return this.#world && viewOf(this.ctx.index.get(key), id, this.#world);
  }

  /** What an agent would see of an object of the store. */
  viewOfObject(id: AgentId, object: StoredObject): AgentView | undefined {
    const kind = kindOf(object, this.ctx.settings.scope);
    if (!kind || !this.#world) return undefined;
    const entry: Entry = {
      key: keyOfObject(object),
      payload: payloadOf(object, kind),
      local: localOf(object),
      revision: 0,
      digest: "",
      version: "",
      deleted: false,
      changedAt: 0,
    };
    return viewOf(entry, id, this.#world);
  }

  /** The keys that may be an agent's. */
  keysOf({ name, mode }: AgentId): Key[] {
    return (mode === "managed" ? this.#router?.managedKeys(name) : this.#router?.ownKeys(name)) ?? [];
  }

  /** Resolves when the index, and so every replica's stream, has what was written to a key. */
  async indexed(key: Key, version: string | undefined): Promise<void> {
    const { index } = this.ctx;
    const there = () => {
      const entry = index.get(key);
      return version === undefined ? !entry || entry.deleted : entry?.version === version;
    };
    if (there()) return;
    await new Promise<void>((resolve) => {
      const waiters = this.#written.get(key) ?? new Set();
      const done = () => {
        clearTimeout(timer);
        waiters.delete(done);
        if (waiters.size === 0) this.#written.delete(key);
        resolve();
      };
      const timer = setTimeout(done, INDEXED_MS);
      this.#written.set(key, waiters.add(done));
    });
  }

  #noteConnected({ name, mode }: Caller, connected: boolean): void {
    this.ctx.registry.connected(name, mode, connected);
    this.ctx.clusterInfo.connected(name, connected);
    if (connected) this.ctx.counters.increment("agentConnections", { agent_name: name });
    else this.ctx.processing.forget(name);
  }

  #hostOf(caller: Caller): AgentHost {
    const before = this.#hosts.get(caller.name);
    if (before?.id.mode === caller.mode) return before;
    if (before) {
      before.detach()?.end("the agent came back in another mode", false);
      void before.inbox.stop();
    }
    const host = new AgentHost({ name: caller.name, mode: caller.mode }, this);
    this.#hosts.set(caller.name, host);
    if (this.#frozen) void host.inbox.freeze();
    return host;
  }

  /** Everything that an agent is to have is looked at, and the agent is asked what it has. */
  #greet({ id, session }: AgentHost): void {
    const keys = this.keysOf(id);
    for (const key of keys) session.touch(key);
    if (id.mode === "managed") session.say("resync", "request-resource-resync", {});
    else {
      const checksum = session.checksum(session.list(keys)) || null;
      session.say("list", "request-synced-resource-list", { checksum });
    }
  }

  async #dispatch(): Promise<void> {
    if (this.#dispatching) return;
    this.#dispatching = true;
    try {
      for (;;) {
        await delay(0);
        const router = this.#router;
        const entries = router && this.#cursor?.read(BATCH);
        if (!router || !entries || entries.length === 0) return;
        for (const entry of entries) this.#route(router, entry);
      }
    } finally {
      this.#dispatching = false;
    }
  }

  #route(router: Router, entry: Entry): void {
    for (const done of [...this.#written.get(entry.key) ?? []]) done();
    for (const { key, agents } of router.take(entry)) {
      const hosts = agents === "all"
        ? this.#hosts.values()
        : [...agents].flatMap((name) => this.#hosts.get(name) ?? []);
      for (const host of hosts) {
        host.session.touch(key);
        host.schedule();
      }
    }
    if (entry.key.endsWith(`/${BLOCKLIST_NAME}`)) {
      for (const host of this.#hosts.values()) this.#revoke(host);
    }
  }

  #revoke({ stream, fingerprint, id }: AgentHost): void {
    if (!stream || fingerprint === "" || !this.blocked(fingerprint)) return;
    this.ctx.log.warn("agent cut off: its certificate is on the blocklist", { agent: id.name });
    stream.end("the certificate is on the blocklist", true);
  }

  #tick(): void {
    const now = monotonicMs();
    for (const host of this.#hosts.values()) {
      if (host.stream && host.session.expire(now)) host.schedule();
    }
  }
}

function sha256(text: string): string {
  return hash("sha256", text, "base64");
}
