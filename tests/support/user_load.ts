/**
 * People and a stray controller at a pair on real API servers that is switched over again and again. People delete Applications on the
 * ACTIVE, half of them with Argo CD's finalizer, half of them about when the roles change; the controller changes statuses of copies
 * on the standby. Invariants: nothing else is deleted anywhere, and what is gone stays gone.
 */
import { assert, assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import { until } from "./until.ts";
import type { StoredObject } from "../../src/domain/resources/object.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { application } from "./agents.ts";
import { type KubePair, type SideName, SIDES } from "./kube_pair.ts";
import { runCli } from "./processes.ts";

const FINALIZER = "resources-finalizer.argocd.argoproj.io";
const APPLICATIONS = "/apis/argoproj.io/v1alpha1";
/** As an application controller does whose view of an Application differs from what is written back. */
const FLAP_MS = 700;
const FLAPPING = 10;
/** Begins each of its messages. */
const FLAP = "flap ";
/** A deletion that aims at a change of roles comes so long before it, or after. */
const AROUND_MS = 150;
const SETTLED_MS = 30_000;
const RELEASES = 10;
const RELEASE_MS = 1_000;
/** Few enough that the deletion guard lets all of them go: less than a fifth of all that there is. */
const VICTIMS = 30;
const MOVES_A_ROUND = 5;
const DELETIONS_A_ROUND = 3;

/** How long a switchover took from outside, and after how long the roles changed, in ms. */
export interface Timing {
  totalMs: number;
  stepMs: number;
}

/** A deletion that a user asked for. */
interface Asked {
  agent: string;
  name: string;
  /** Whether the side was ACTIVE before and after the API server's answer. */
  sure: boolean;
  /** Gone on both sides once. */
  gone: boolean;
}

/** A row of `ha reconcile -o json`. */
interface Kept {
  reason: string;
  object: { status?: { health?: { message?: string } } };
}

type Objects = Map<string, StoredObject>;

const pathOf = (agent: string, name: string) => `${APPLICATIONS}/namespaces/${agent}/applications/${name}`;
const keyOf = (agent: string, name: string) => `Application/${agent}/${name}`;

export class UserLoad {
  readonly #asked = new Map<string, Asked>();
  readonly #faults: string[] = [];
  readonly #uids = new Map<SideName, Map<string, string>>();
  readonly #victims: readonly (readonly [SimAgent, string])[];
  #flaps = 0;
  #flapping: Promise<void> = Promise.resolve();
  #stopped = false;

  /** @param agents managed ones */
  constructor(private readonly pair: KubePair, private readonly agents: readonly SimAgent[]) {
    this.#victims = agents.slice(0, VICTIMS).map((agent, n) => [agent, n % 4 < 2 ? "plain" : "final"]);
  }

  /** Writes the Applications, waits until both sides and the agents have them, and starts the controller. */
  async start(): Promise<void> {
    const store = await this.pair.clusters.primary.whole();
    await Promise.all(this.#victims.map(([agent, name]) => {
      const object = application(agent.name, name);
      if (name === "final") object.metadata.finalizers = [FINALIZER];
      return store.write({ op: "put", object });
    }));
    await this.pair.untilEqual(SETTLED_MS);
    await until(
      () => this.#victims.every(([{ cluster }, name]) => cluster.get("Application", name)),
      SETTLED_MS,
      () => "agents lack Applications",
    );
    for (const side of SIDES) {
      const uids = [...await this.#list(side)].map(([key, { metadata }]) => [key, metadata.uid] as const);
      this.#uids.set(side, new Map(uids));
    }
    for (const agent of this.agents) this.#listen(agent);
    this.#flapping = this.#flap();
  }

  /** A user deletes an Application on the ACTIVE while it is switched over: at any time, or about when the roles change. */
  async duringMove(move: number, { totalMs, stepMs }: Timing): Promise<void> {
    if (move % MOVES_A_ROUND >= DELETIONS_A_ROUND) return;
    const [{ name: agent }, name] = this.#victims[this.#asked.size] ?? [{ name: "" }, ""];
    if (agent === "") return;
    const aimed = stepMs + AROUND_MS * (2 * Math.random() - 1);
    await delay(Math.max(0, move % 2 === 0 ? aimed : Math.random() * totalMs));
    const side = await this.#active();
    // Recorded first: its agent may hear of it before the answer is here.
    const asked: Asked = { agent, name, sure: false, gone: false };
    if (side) this.#asked.set(keyOf(agent, name), asked);
    if (!side) return;
    const { code } = await this.pair.clusters[side].request("DELETE", pathOf(agent, name));
    assertEquals(code, 200, `DELETE ${pathOf(agent, name)}`);
    asked.sure = await this.#active() === side;
  }

  /** After a switchover: nothing has come back, or was deleted that nobody asked for. */
  async check(): Promise<void> {
    const [primary, replica] = await Promise.all(SIDES.map((side) => this.#list(side))) as [Objects, Objects];
    for (const [key, asked] of this.#asked) {
      const there = [primary, replica].filter((objects) => objects.has(key)).length;
      if (asked.gone && there > 0) this.#faults.push(`${key} is back`);
      asked.gone ||= there === 0;
    }
    for (const side of SIDES) this.#unasked(side, side === "primary" ? primary : replica);
    assertEquals(this.#faults, []);
  }

  /** In the end: what waits is carried out, and each side and agent has all but what was deleted. A summary. */
  async finish(active: SideName): Promise<string> {
    await this.stop();
    await this.pair.untilEqual(SETTLED_MS);
    const { admin } = this.pair[active];
    const waiting: { key: string; cause: string }[] = await this.#cli(admin, "deletions");
    for (const { key, cause } of waiting) {
      assert(cause === "requested" && this.#asked.has(key), `${key} ${cause}`);
    }
    await this.#release(admin);
    await this.pair.untilEqual(SETTLED_MS);
    await this.check();
    const left = [...this.#asked].filter(([, { gone }]) => !gone);
    for (const [key, { sure }] of left) assert(!sure, `${key}: its deletion is lost`);
    const saved = await this.#losses();
    assert(this.#flaps > 0, "the controller has written nothing");
    return `${this.#asked.size} deletions, ${waiting.length} of them waited for an operator, ` +
      `${left.length} hit the side that had just stepped down; ${this.#flaps} statuses set on the standby, ` +
      `${saved} of them saved by a side that had just stepped down`;
  }

  /** Has every deletion that waits carried out; the second time ends what its agent has no more. */
  async #release(admin: string): Promise<void> {
    for (let round = 0;; round++) {
      const waiting: { key: string }[] = await this.#cli(admin, "deletions");
      if (waiting.length === 0) return;
      assert(round < RELEASES, `released again and again: ${waiting.map(({ key }) => key)}`);
      // One of them may be carried out just now, which is no failure.
      const keys = waiting.map(({ key }) => key);
      await runCli(["ha", "deletions", "--release", "--yes", ...keys, "-a", admin]);
      await delay(RELEASE_MS);
    }
  }

  /** How many states the sides have saved that no ACTIVE had: a side that has just stepped down saves the controller's too, and no other. */
  async #losses(): Promise<number> {
    let saved = 0;
    for (const side of SIDES) {
      const kept: Kept[] = await this.#cli(this.pair[side].admin, "reconcile");
      const overwritten = kept.filter(({ reason }) => reason !== "deleted");
      saved += overwritten.length;
      const lost = overwritten.filter(({ object }) => !object.status?.health?.message?.startsWith(FLAP));
      assertEquals(lost, [], `${side} has losses`);
    }
    return saved;
  }

  /** Ends the controller. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#flapping;
  }

  #listen(agent: SimAgent): void {
    agent.onEvent = ({ type, target, payload }) => {
      if (target !== "application") return;
      const { metadata } = JSON.parse(new TextDecoder().decode(payload)) as StoredObject;
      const key = keyOf(agent.name, metadata.name);
      const asked = this.#asked.get(key);
      if (type === "delete" && !asked) this.#faults.push(`${agent.name} is told to delete ${metadata.name}`);
      if (type !== "delete" && asked?.gone) {
        this.#faults.push(`${agent.name} is sent ${type} of ${metadata.name}`);
      }
    };
  }

  /** An object that nobody asked to delete is the one that it was. */
  #unasked(side: SideName, objects: Objects): void {
    for (const [key, uid] of this.#uids.get(side) ?? []) {
      if (this.#asked.has(key)) continue;
      const { uid: now, deletionTimestamp } = objects.get(key)?.metadata ?? {};
      if (now !== uid || deletionTimestamp) {
        this.#faults.push(`${key} on the ${side}: was ${uid}, is ${now}, deleted ${deletionTimestamp}`);
      }
    }
  }

  async #active(): Promise<SideName | undefined> {
    const codes = await Promise.all(SIDES.map(async (side) => (await this.pair[side].healthz()).code));
    return codes.filter((code) => code === 200).length === 1 ? SIDES[codes.indexOf(200)] : undefined;
  }

  async #list(side: SideName): Promise<Objects> {
    const { body } = await this.pair.clusters[side].request("GET", `${APPLICATIONS}/applications`);
    const managed = new Set(this.agents.map(({ name }) => name));
    return new Map(
      (body["items"] as StoredObject[]).filter(({ metadata }) => managed.has(metadata.namespace ?? "")).map(
        (object) => [keyOf(object.metadata.namespace ?? "", object.metadata.name), object],
      ),
    );
  }

  async #flap(): Promise<void> {
    for (let n = 0; !this.#stopped; n++) {
      for (const side of SIDES) {
        if ((await this.pair[side].healthz()).state !== "replicating") continue;
        await Promise.all(
          this.agents.slice(0, FLAPPING).map(async ({ name }) => {
            const path = `${pathOf(name, "app")}?fieldManager=argocd-application-controller`;
            const patch = { status: { health: { status: "Progressing", message: `${FLAP}${n}` } } };
            const type = { contentType: "application/merge-patch+json" };
            const { code } = await this.pair.clusters[side].request("PATCH", path, patch, type);
            if (code === 200) this.#flaps++;
          }),
        );
      }
      await delay(FLAP_MS);
    }
  }

  // deno-lint-ignore no-explicit-any -- what the CLI prints
  async #cli(admin: string, ...args: string[]): Promise<any> {
    const { code, stdout, stderr } = await runCli(["ha", ...args, "-o", "json", "-a", admin]);
    assertEquals(code, 0, `${args.join(" ")}: ${stdout}${stderr}`);
    return JSON.parse(stdout);
  }
}
