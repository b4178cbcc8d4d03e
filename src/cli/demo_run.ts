/** The demonstration itself: what happens, in order, and what is measured. */
import { monotonicMs } from "../base/clock.ts";
import { delay } from "@std/async/delay";
import { adminService, operatorService } from "../adapters/grpc/services.ts";
import type { StoredObject } from "../domain/resources/object.ts";
import { type Key, keyOfObject } from "../domain/resources/keys.ts";
import { kindOf } from "../domain/resources/kinds.ts";
import { wholeScope } from "../domain/resources/scope.ts";
import { digestOf, payloadOf } from "../domain/changes/content.ts";
import type { Store } from "../principal/ports/store.ts";
import { openSqlite } from "../adapters/store/sqlite.ts";
import { Crowd } from "../simagents/crowd.ts";
import { EmptyRedis } from "../simagents/empty_redis.ts";
import { Front } from "../simagents/front.ts";
import { adminCall, withAdmin } from "./admin_client.ts";
import { exampleObjects, generatedApplication } from "./examples.ts";
import { DemoPage, type PageSeen } from "./demo_page.ts";
import { initPki } from "./pki.ts";
import { principalPair, type PrincipalProcess, until } from "./processes.ts";
import { applyOne } from "./store.ts";

/** The output of `demo --json`. */
export interface DemoResult {
  replicated: number;
  acknowledgedWrites: number;
  lostAcknowledged: number;
  unacknowledgedWrites: number;
  savedInLossManifest: number;
  promoteToHealthyMs: number;
  agents: number;
  /** From the promotion's command until every agent held exactly what the new active says. */
  agentsConvergedMs: number;
  /** Objects that the failover recreated on an agent's cluster. */
  agentsRecreated: number;
  /** An Application's page in Argo CD's UI through the side that stood by; absent: there was no managed agent. */
  page?: PageSeen & {
    /** From the promotion's command until everything on it was live again. */
    backMs: number;
  };
  activeAtEnd: number;
  timeline: { atMs: number; what: string }[];
}

/** How long the writer writes before the active is killed. */
const WRITE_MS = 1_500;
/** Of the agents, so many are autonomous. */
const AUTONOMOUS = 2;
/** Writes per acknowledged round. */
const ROUND = 5;
const SYNC_TIMEOUT_MS = 80_000;

export class DemoRun {
  readonly #startedAt = monotonicMs();
  readonly #timeline: DemoResult["timeline"] = [];
  readonly #primary: PrincipalProcess;
  readonly #replica: PrincipalProcess;
  readonly #stores: Store[] = [];
  /** One a side. */
  readonly #redis: EmptyRedis[];
  /** Per key: the digests that the new active may show, the acknowledged one first. */
  readonly #acceptable = new Map<Key, string[]>();
  #front: Front | undefined;
  #crowd: Crowd | undefined;
  #page: DemoPage | undefined;
  #acknowledged = 0;
  #unacknowledged = 0;
  #killed = false;

  constructor(
    private readonly dir: string,
    private readonly count: number,
    private readonly agents: number,
    private readonly tell: (seconds: number, text: string) => void,
  ) {
    const [here, there] = [new EmptyRedis(), new EmptyRedis()];
    this.#redis = [here, there];
    const own = { primary: { redis: here.port }, replica: { redis: there.port } };
    const { primary, replica } = principalPair(dir, undefined, own);
    this.#primary = primary;
    this.#replica = replica;
  }

  /** Plays everything. @throws Error when a step does not come true in time */
  async play(): Promise<DemoResult> {
    await this.#startPair();
    const replicated = await this.#replicate();
    await this.#connectAgents();
    await this.#openPage();
    await this.#killWhileWriting();
    const promotedAt = monotonicMs();
    const promoteToHealthyMs = await this.#promote();
    const backMs = await this.#pageBack(promotedAt);
    const agentsConvergedMs = await this.#convergence(promotedAt);
    const lostAcknowledged = await this.#compare();
    const savedInLossManifest = await this.#restartOldPrimary();
    return {
      replicated,
      acknowledgedWrites: this.#acknowledged,
      lostAcknowledged,
      unacknowledgedWrites: this.#unacknowledged,
      savedInLossManifest,
      promoteToHealthyMs,
      agents: this.#crowd?.all.length ?? 0,
      agentsConvergedMs,
      agentsRecreated: this.#crowd?.recreated ?? 0,
      ...(this.#page ? { page: { ...this.#page.seen, backMs } } : {}),
      activeAtEnd: await this.#countActive(),
      timeline: this.#timeline,
    };
  }

  /** Ends both processes; safe to call at any time. */
  async abandon(): Promise<void> {
    await this.#page?.close();
    await this.#crowd?.stop();
    await this.#front?.close();
    this.#front = undefined;
    for (const redis of this.#redis.splice(0)) redis.close();
    for (const store of this.#stores.splice(0)) await store.close();
    await Promise.all([this.#primary.kill("SIGKILL"), this.#replica.kill("SIGKILL")]);
  }

  #say(what: string): void {
    const atMs = Math.round(monotonicMs() - this.#startedAt);
    this.#timeline.push({ atMs, what });
    this.tell(atMs / 1000, what);
  }

  #open(process: PrincipalProcess): Store {
    const store = openSqlite(process.store, { verify: false });
    this.#stores.push(store);
    return store;
  }

  async #startPair(): Promise<void> {
    await initPki(`${this.dir}/pki`, { sans: [], agents: 1, days: 1 });
    this.#say("certificates made; starting two principals, each with its own SQLite store");
    this.#primary.start();
    this.#replica.start();
    await this.#primary.untilState("active");
    this.#say("primary is ACTIVE, /healthz 200");
    await this.#replica.untilState("replicating");
    this.#say("replica is REPLICATING, /healthz 503");
  }

  async #replicate(): Promise<number> {
    const store = this.#open(this.#primary);
    const objects = exampleObjects();
    for (let n = 0; n < this.count; n++) objects.push(generatedApplication(n));
    const written = await Promise.all(objects.map((object) => applyOne(store, object)));
    const stored = written.map((one) => one.written.object as StoredObject);
    const kinds = Object.entries(Object.groupBy(stored, (object) => object.kind))
      .map(([kind, group]) => `${group?.length} ${kind}${group?.length === 1 ? "" : "s"}`);
    this.#say(`applied to the primary: ${kinds.join(", ")}`);
    const acknowledged = await this.#waitAcknowledged(stored, SYNC_TIMEOUT_MS);
    if (!acknowledged) throw new Error(`the replica did not acknowledge everything in ${SYNC_TIMEOUT_MS} ms`);
    this.#remember(stored);
    this.#say(`replica has acknowledged all ${stored.length.toLocaleString("en-US")}`);
    return stored.length;
  }

  /** Agents reach the pair through one address, and report the status of what they are given. */
  async #connectAgents(): Promise<void> {
    const backends = [this.#primary.side.ports, this.#replica.side.ports];
    const front = new Front(() => backends);
    this.#front = front;
    const autonomous = Math.min(AUTONOMOUS, this.agents);
    const name = (prefix: string) => (_: unknown, n: number) => `${prefix}-${n + 1}`;
    this.#crowd = await Crowd.make({
      pki: `${this.dir}/pki`,
      address: () => front.address,
      managed: Array.from({ length: this.agents - autonomous }, name("edge")),
      autonomous: Array.from({ length: autonomous }, name("site")),
    });
    this.#crowd.start();
    for (const agent of this.#crowd.autonomous) {
      agent.apply("Application", {
        ...generatedApplication(0),
        metadata: { name: "own", namespace: "argocd" },
      });
    }
    await this.#untilConverged(this.#primary);
    this.#say(
      `${this.agents} agents connected through one address that follows /healthz; each holds what is its own`,
    );
  }

  /** An Application of a managed agent as Argo CD's UI in the replica's region shows it. */
  async #openPage(): Promise<void> {
    const [agent] = this.#crowd?.managed ?? [];
    if (!agent) return;
    this.#page = await DemoPage.open(agent, this.#replica.side.ports, `${this.dir}/pki`);
    this.#say(
      `a page of ${agent.name}'s Application opens through the replica: its resource tree, a live manifest, a followed log`,
    );
  }

  async #pageBack(promotedAt: number): Promise<number> {
    if (!this.#page) return 0;
    const elapsed = await this.#page.backSince(promotedAt);
    this.#say(`the page is live again through the new active, ${elapsed} ms after the command`);
    return elapsed;
  }

  async #convergence(promotedAt: number): Promise<number> {
    if (this.agents === 0) return 0;
    await this.#untilConverged(this.#replica);
    const elapsed = Math.round(monotonicMs() - promotedAt);
    this.#say(
      `all ${this.agents} agents came back by themselves and hold exactly what the new active says, ${elapsed} ms after ` +
        `the command; ${this.#crowd?.recreated} objects were made anew`,
    );
    return elapsed;
  }

  async #untilConverged(side: PrincipalProcess): Promise<void> {
    const crowd = this.#crowd as Crowd;
    const store = this.#open(side);
    let differing: string[] = [];
    await until(
      async () => {
        differing = crowd.differing(await store.list("Application"));
        return differing.length === 0;
      },
      SYNC_TIMEOUT_MS,
      () => `agents that differ from ${side.side.name}: ${differing.join(", ")}\n${side.logEnd()}`,
    );
  }

  async #killWhileWriting(): Promise<void> {
    this.#say("writing on, while the active is about to die");
    const writing = this.#write();
    await delay(WRITE_MS);
    this.#killed = true;
    await this.#primary.kill("SIGKILL");
    await writing;
    this.#say(
      `primary killed with SIGKILL after ${this.#acknowledged.toLocaleString("en-US")} acknowledged writes`,
    );
    await this.#replica.untilState("disconnected");
    this.#say("replica is DISCONNECTED, /healthz 503: it never promotes itself");
  }

  /** Rounds of writes; each is counted as acknowledged only when the primary says that the replica has it. */
  async #write(): Promise<void> {
    const store = this.#stores[0] as Store;
    for (let round = 0; !this.#killed; round++) {
      const writes = Array.from({ length: ROUND }, (_, i) => {
        const object = generatedApplication((round * ROUND + i) % 200);
        object.metadata.annotations = { "demo.example.com/write": String(round * ROUND + i) };
        return applyOne(store, object);
      });
      const stored = (await Promise.all(writes)).map((one) => one.written.object as StoredObject);
      if (await this.#waitAcknowledged(stored, 5_000)) this.#remember(stored);
      else {
        this.#unacknowledged += stored.length;
        for (const object of stored) this.#acceptable.get(keyOfObject(object))?.push(digest(object));
      }
    }
  }

  #remember(stored: StoredObject[]): void {
    this.#acknowledged += stored.length;
    for (const object of stored) this.#acceptable.set(keyOfObject(object), [digest(object)]);
  }

  async #waitAcknowledged(stored: StoredObject[], timeoutMs: number): Promise<boolean> {
    const address = this.#primary.admin;
    const versions = stored.map((object) => ({
      key: keyOfObject(object),
      resourceVersion: object.metadata.resourceVersion,
    }));
    const request = { versions, timeoutMs };
    const call = { address, timeoutMs: timeoutMs + 1_000, action: "cannot ask for acknowledgements" };
    try {
      const { replicated = [] } = await withAdmin(
        address,
        (client) => adminCall(client, operatorService.WaitReplicated, request, call),
      );
      return replicated.length === versions.length && replicated.every(Boolean);
    } catch (error) {
      if (this.#killed) return false;
      throw error;
    }
  }

  async #promote(): Promise<number> {
    const address = this.#replica.admin;
    this.#say("operator: ha promote");
    const startedAt = monotonicMs();
    await withAdmin(
      address,
      (client) =>
        adminCall(client, adminService.Promote, { force: false }, {
          address,
          timeoutMs: 10_000,
          action: "promote failed",
        }),
    );
    await until(
      async () => (await this.#replica.healthz()).code === 200,
      10_000,
      () => `not healthy after the promotion:\n${this.#replica.logEnd()}`,
      2,
    );
    const elapsed = Math.round(monotonicMs() - startedAt);
    this.#say(`replica is ACTIVE, /healthz 200, ${elapsed} ms after the command`);
    return elapsed;
  }

  async #compare(): Promise<number> {
    const objects = await this.#open(this.#replica).list();
    const digests = new Map(objects.map((object) => [keyOfObject(object), digest(object)]));
    let lost = 0;
    for (const [key, acceptable] of this.#acceptable) {
      if (!acceptable.includes(digests.get(key) ?? "missing")) lost++;
    }
    this.#say(
      `compared ${
        this.#acceptable.size.toLocaleString("en-US")
      } resources with the new active by digest: ${lost} differ`,
    );
    return lost;
  }

  async #restartOldPrimary(): Promise<number> {
    this.#primary.start();
    await this.#primary.untilState("replicating");
    this.#say(
      "old primary is back: it asked its peer, and is REPLICATING from it instead of being a second ACTIVE",
    );
    const address = this.#primary.admin;
    const call = { address, timeoutMs: 10_000, action: "reconcile failed" };
    const { losses = [] } = await withAdmin(
      address,
      (client) => adminCall(client, operatorService.Losses, {}, call),
    );
    return losses.length;
  }

  async #countActive(): Promise<number> {
    const answers = await Promise.all([this.#primary.healthz(), this.#replica.healthz()]);
    return answers.filter(({ code }) => code === 200).length;
  }
}

/** Of what was written; the status is the agents'. */
function digest({ status: _, ...object }: StoredObject): string {
  const kind = kindOf(object, wholeScope("argocd"));
  return kind ? digestOf(keyOfObject(object), payloadOf(object, kind)) : "";
}
