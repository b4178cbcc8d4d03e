/**
 * `agent-sim`: an agent written from the Go agent's contract, for tests, load and the demonstration. It has a cluster of its own, talks
 * over real mTLS, acknowledges, resyncs and reconnects as a Go agent does, and misbehaves when it is told to.
 */
import { delay } from "@std/async/delay";
import { parseJson } from "../base/json.ts";
import { monotonicMs } from "../base/clock.ts";
import { reasonOf } from "../base/reason.ts";
import { sha256 } from "../base/sha256.ts";
import type { AgentEvent } from "../domain/events/cloudevent.ts";
import { type AgentConnection, type AgentHandshake, connectAgent } from "../adapters/grpc/agent_client.ts";
import { codeOf } from "../adapters/grpc/status.ts";
import type { Mode } from "../domain/resources/roster.ts";
import { type ApiObject, isRecord } from "../domain/resources/object.ts";
import { REFRESH } from "../domain/resources/transform.ts";
import { SimCluster } from "./cluster.ts";
import { flood } from "./flood.ts";
import { SimLogs } from "./logs.ts";
import { carryOut } from "./managed.ts";
import type { Misbehaviour } from "./misbehaviour.ts";
import { Outbox } from "./outbox.ts";
import { SimRedis } from "./redis.ts";
import { answerTo, REQUESTS, SimResources } from "./resources.ts";
import { Resync } from "./resync.ts";
import { SimTerminals } from "./terminals.ts";

export interface SimOptions {
  name: string;
  mode: Mode;
  /** Where the principal is, now: asked at every attempt, as DNS would be. */
  address(): string;
  material: AgentHandshake["material"];
  /** Its namespace on its own cluster. */
  namespace?: string;
  method?: string;
  credentials?: Record<string, string>;
  headers?: Record<string, string>;
  version?: string;
  misbehaviour?: Misbehaviour;
  firstVersion?: number;
  /** The rest of its cluster; a small one of its own where nothing is said. */
  resources?: SimResources;
  /** Whether its principal maps Applications by their destination. */
  destinationMapping?: boolean;
  /** How it reaches its principal; over the wire where nothing else is said. */
  connect?: typeof connectAgent;
  /** Whether Argo CD runs on its cluster: it then reports a status for what it is given, and carries operations out. */
  controller?: boolean;
}

const KINDS = new Map<string, string>([
  ["application", "Application"],
  ["appproject", "AppProject"],
  ["repository", "Repository"],
  ["gpgkey", "GPGKey"],
]);
const RECONNECT_MS = 100;
/** Retrying Authenticate: 1 s × 1.2 up to 55 s in a Go agent; here from a tenth of that, since tests wait for it. */
const RETRY = { firstMs: 100, factor: 1.2, maxMs: 5_000 };
const TICK_MS = 500;
const checksum = (text: string) => sha256(text, "base64");
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class SimAgent {
  readonly cluster: SimCluster;
  readonly outbox = new Outbox();
  /** The rest of its cluster, which requests ask for. */
  readonly resources: SimResources;
  /** The Redis of its cluster. */
  readonly redis: SimRedis;
  /** Its pods and their logs. */
  readonly logs = new SimLogs();
  readonly terminals = new SimTerminals();
  readonly misbehaviour: Misbehaviour;
  /** A record of events, for tests. */
  readonly seen = {
    events: 0,
    connects: 0,
    operations: 0,
    errors: [] as string[],
    ends: [] as string[],
    /** How long it was without a stream, each time, in ms. */
    gapsMs: [] as number[],
  };
  /** Called with every event that is not an acknowledgement, before it is handled. */
  onEvent: ((event: AgentEvent) => void) | undefined;
  /** Called with every event that passes, whichever way. */
  onWire: ((way: "to agent" | "to principal", event: AgentEvent) => void) | undefined;
  /** Called after every event that was handled, and when a connection has opened or ended. */
  onChange: (() => void) | undefined;
  /** Events sent, acknowledgements included. */
  sent = 0;
  readonly #resync: Resync;
  #connection: AgentConnection | undefined;
  #resynced = false;
  #lostAt = 0;
  #running = false;
  #loop: Promise<void> = Promise.resolve();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(private readonly options: SimOptions) {
    this.cluster = new SimCluster(options.namespace ?? "argocd", options.firstVersion);
    this.resources = options.resources ?? new SimResources();
    this.redis = new SimRedis(
      (answer) => this.#respond("redis", "redis-response", answer.uuid, answer),
      options.destinationMapping ?? false,
    );
    this.#resync = new Resync(this.cluster, options.name, options.mode, {
      message: (type, payload) => this.#message(type, payload),
      tell: (type, kind, object) => this.#tell(type, kind, object),
    });
    this.misbehaviour = options.misbehaviour ?? {};
  }

  get name(): string {
    return this.options.name;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  get connection(): AgentConnection | undefined {
    return this.#connection;
  }

  start(): void {
    this.#running = true;
    this.#timer = setInterval(() => this.#flush(), TICK_MS);
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#running = false;
    clearInterval(this.#timer);
    this.#connection?.close();
    await this.#loop;
  }

  /** A restart of the agent's process: what it had not delivered is forgotten, its cluster is not. */
  async restart(): Promise<void> {
    await this.stop();
    this.#resynced = false;
    this.redis.forget();
    this.start();
  }

  /** Writes an object of the agent's own, as a user of its cluster would. */
  apply(kind: string, object: ApiObject): ApiObject {
    const existed = this.cluster.get(kind, object.metadata.name) !== undefined;
    const stored = this.cluster.put(kind, object);
    this.#tell(existed ? "spec-update" : "create", kind, stored);
    return stored;
  }

  remove(kind: string, name: string): void {
    const object = this.cluster.delete(kind, name);
    if (object) this.#tell("delete", kind, object);
  }

  /** Sets an Application's status, as its controller would. */
  report(name: string, change: (application: ApiObject) => ApiObject): void {
    const existing = this.cluster.get("Application", name);
    if (!existing) return;
    const stored = this.cluster.put("Application", change(existing));
    this.#tell(this.options.mode === "managed" ? "status-update" : "spec-update", "Application", stored);
  }

  /** Sends an event as it is. */
  send(event: AgentEvent): void {
    this.outbox.add(event);
    this.#flush();
  }

  async #run(): Promise<void> {
    for (let failures = 0; this.#running;) {
      const ended = Promise.withResolvers<void>();
      try {
        const { material, method = "mtls", credentials = {}, mode, headers } = this.options;
        const request = {
          method,
          credentials,
          mode,
          version: this.options.version ?? "0.8.1",
          agentNamespace: this.cluster.namespace,
        };
        const handshake = {
          address: this.options.address(),
          material,
          request,
          ...(headers ? { headers } : {}),
        };
        this.#connection = await (this.options.connect ?? connectAgent)(handshake, {
          received: (event) => this.#received(event),
          ended: (code, details) => {
            this.seen.ends.push(`${code} ${details}`);
            ended.resolve();
          },
        });
        failures = 0;
        this.#opened();
        await ended.promise;
      } catch (error) {
        this.seen.ends.push(`${codeOf(error) ?? "?"} ${(error as { details?: string }).details ?? error}`);
        failures++;
      }
      if (this.#connection) this.#lostAt = monotonicMs();
      this.#connection = undefined;
      this.onChange?.();
      if (!this.#running) return;
      const wait = failures === 0 ? RECONNECT_MS : RETRY.firstMs * RETRY.factor ** Math.min(failures, 30);
      await delay(Math.min(RETRY.maxMs, wait) * (0.5 + Math.random()));
    }
  }

  #opened(): void {
    this.seen.connects++;
    this.onChange?.();
    if (this.#lostAt > 0) this.seen.gapsMs.push(monotonicMs() - this.#lostAt);
    if (!this.#running) return this.#connection?.close();
    if (this.misbehaviour.deaf) this.#connection?.pause();
    if (this.misbehaviour.restless) setTimeout(() => this.#connection?.close(), 20);
    if (this.misbehaviour.floods && this.#connection) {
      void flood(this.#connection, (connection) => this.#running && this.#connection === connection);
    }
    this.outbox.reconnected();
    if (!this.#resynced) {
      this.#resynced = true;
      this.#resync.begin();
    }
    this.#flush();
  }

  #received(event: AgentEvent): void {
    this.onWire?.("to agent", event);
    if (event.target === "eventProcessed") {
      this.outbox.acknowledged(event.extensions);
      this.#flush();
      this.onChange?.();
      return;
    }
    this.seen.events++;
    this.onEvent?.(event);
    const isRequest = REQUESTS.includes(event.target);
    if (isRequest && this.misbehaviour.requests === "ignored") return;
    try {
      if (!isRequest) this.#handle(event);
      else if (this.misbehaviour.requests !== "unanswered" && this.#answer(event)) return;
    } catch (error) {
      this.seen.errors.push(`${event.target}/${event.type}: ${reasonOf(error)}`);
    }
    this.#processed(event);
    this.#flush();
    this.onChange?.();
  }

  #processed({ extensions }: AgentEvent): void {
    if (this.misbehaviour.neverAcks) return;
    this.#send({ type: "processed", target: "eventProcessed", extensions });
  }

  /** Answers a request; one that cannot be understood has no answer. Whether it is acknowledged later. */
  #answer(event: AgentEvent): boolean {
    if (event.target === "redis") {
      this.redis.question(event.payload);
      return false;
    }
    if (event.target === "containerlog") {
      return this.logs.answer(event, () => this.#connection?.bringLog?.(), () => this.#processed(event));
    }
    if (event.target === "terminal") {
      this.terminals.answer(event, (received) => this.#connection?.bringTerminal?.(received));
      return false;
    }
    this.#respond(
      event.target,
      "response",
      event.extensions.eventid ?? "",
      answerTo(event, this.resources),
    );
    return false;
  }

  #respond(target: string, type: string, eventid: string, payload: unknown): void {
    this.send({
      type,
      target,
      extensions: { resourceid: crypto.randomUUID(), eventid },
      payload: encoder.encode(JSON.stringify(payload)),
    });
  }

  #handle(event: AgentEvent): void {
    const body: unknown = parseJson(decoder.decode(event.payload));
    if (!isRecord(body)) throw new Error("the payload is not an object");
    if (event.target === "resourceResync") return this.#resync.asked(event.type, body);
    const kind = KINDS.get(event.target);
    if (!kind) throw new Error(`unknown target ${event.target}`);
    const object = { ...body, kind } as unknown as ApiObject;
    if (this.options.mode === "autonomous") return this.#asked(event.type, object);
    const principalUid = event.extensions.principaluid ?? "";
    const before = this.cluster.get(kind, object.metadata.name);
    const now = carryOut(this.cluster, { type: event.type, kind, object, principalUid });
    if (kind !== "Application") return;
    if (!now) {
      if (before) this.#tell("delete", kind, before);
      return;
    }
    this.#control(now);
  }

  /** Plays Argo CD on the agent's cluster: its reaction to a changed Application. */
  #control(application: ApiObject): void {
    const status = isRecord(application["status"]) ? application["status"] : {};
    const { operation, ...rest } = application;
    if (operation !== undefined) {
      this.seen.operations++;
      this.#tell(
        this.options.mode === "managed" ? "status-update" : "spec-update",
        "Application",
        application,
      );
    }
    if (this.options.controller === false) return;
    const { [REFRESH]: _, ...annotations } = application.metadata.annotations ?? {};
    const reported = {
      ...status,
      sync: { status: "Synced", revision: checksum(JSON.stringify(application["spec"])).slice(0, 40) },
      health: { status: "Healthy" },
      ...(operation === undefined
        ? {}
        : { operationState: { operation, phase: "Succeeded", startedAt: new Date().toISOString() } }),
    };
    const stored = this.cluster.put("Application", {
      ...rest,
      metadata: { ...rest.metadata, annotations },
      status: reported,
    } as ApiObject);
    this.#tell(this.options.mode === "managed" ? "status-update" : "spec-update", "Application", stored);
  }

  /** Applies the operations and refreshes that an autonomous agent accepts from its principal. */
  #asked(type: string, object: ApiObject): void {
    const existing = this.cluster.get("Application", object.metadata.name);
    if (!existing) throw new Error("the Application does not exist");
    if (type === "set-operation") {
      this.#control(this.cluster.put("Application", { ...existing, operation: object["operation"] }));
    } else if (type === "spec-update" && object.metadata.annotations?.[REFRESH]) this.#control(existing);
    else if (type !== "terminate-operation" && type !== "spec-update") {
      throw new Error(`${type} is not for me`);
    }
  }

  #message(type: string, payload: unknown): void {
    const id = crypto.randomUUID();
    this.outbox.add({
      type,
      target: "resourceResync",
      extensions: { resourceid: id, eventid: id },
      payload: encoder.encode(JSON.stringify(payload)),
    });
  }

  #tell(type: string, kind: string, object: ApiObject): void {
    const { name, uid = "", resourceVersion = "" } = object.metadata;
    const target = [...KINDS].find(([, one]) => one === kind)?.[0] ?? "";
    if (this.options.mode === "managed" && target !== "application") return;
    this.send({
      type,
      target,
      subject: `${object.metadata.namespace}/${name}`,
      extensions: { resourceid: `${name}_${uid}`, eventid: `${name}_${uid}_${resourceVersion}_${type}` },
      payload: encoder.encode(JSON.stringify(object)),
    });
  }

  #flush(): void {
    if (!this.#connection) return;
    for (const event of this.outbox.due(monotonicMs())) {
      event.extensions.sentat = new Date().toISOString();
      this.#send(event);
    }
  }

  #send(event: AgentEvent): void {
    this.sent++;
    this.onWire?.("to principal", event);
    this.#connection?.send(event);
  }
}
