/** Agents under load: simulated agents in this process, on real principal processes, over mTLS. */
import bcrypt from "bcryptjs";
import { canonicalJson } from "../src/base/json.ts";
import { initPki } from "../src/cli/pki.ts";
import { principalPair, type PrincipalProcess, selfCommand, until } from "../src/cli/processes.ts";
import { call, dialAdmin } from "../src/adapters/grpc/dial.ts";
import { adminService } from "../src/adapters/grpc/services.ts";
import type { ApiObject } from "../src/domain/resources/object.ts";
import { Crowd } from "../src/simagents/crowd.ts";
import { EmptyRedis } from "../src/simagents/empty_redis.ts";
import { Front } from "../src/simagents/front.ts";
import { openSqlite, type SqliteStore } from "../src/adapters/store/sqlite.ts";
import { Sides } from "../tests/support/processes.ts";
import { quantile, timed } from "./measure.ts";

const WAIT_MS = 240_000;
const IDLE_MS = 10_000;
const MARK = "bench.example.com/at";

export class AgentBench extends Sides {
  front: Front | undefined;
  crowd: Crowd | undefined;
  /** In place of each side's own. */
  readonly #redis: EmptyRedis[];
  readonly #stores: SqliteStore[] = [];

  private constructor(dir: string) {
    const [here, there] = [new EmptyRedis(), new EmptyRedis()];
    const own = { primary: { redis: here.port }, replica: { redis: there.port } };
    super(dir, principalPair(dir, undefined, own));
    this.#redis = [here, there];
  }

  static async open(): Promise<AgentBench> {
    const dir = Deno.makeTempDirSync({ prefix: "aaha-bench-agents-" });
    await initPki(`${dir}/pki`, { sans: [], agents: 0, days: 1 });
    return new AgentBench(dir);
  }

  store(side: PrincipalProcess): SqliteStore {
    const store = openSqlite(side.store, { verify: false });
    this.#stores.push(store);
    return store;
  }

  /** Agents on both sides through one address. */
  async connect(count: number, controller: boolean, password?: string): Promise<Crowd> {
    const backends = [this.primary.side.ports, this.replica.side.ports];
    const front = new Front(() => backends);
    this.front = front;
    const made = { pki: `${this.dir}/pki`, address: () => front.address, managed: names(count) };
    this.crowd = await Crowd.make({
      ...made,
      autonomous: [],
      controller,
      ...(password === undefined ? {} : { password }),
    });
    this.crowd.start();
    return this.crowd;
  }

  /** Starts the primary alone, without HA, for agents that come with this password. */
  async startWithPasswords(count: number, password: string): Promise<void> {
    const users = `${this.dir}/users`;
    const hash = bcrypt.hashSync(password, 10);
    Deno.writeTextFileSync(users, names(count).map((name) => `${name}:${hash}\n`).join(""));
    this.primary.start([`--auth=userpass:${users}`, "--ha-enabled=false", "--ha-peer-address="]);
    await until(
      async () => (await this.primary.healthz()).code === 200,
      WAIT_MS,
      () => `the primary does not serve:\n${this.primary.logEnd()}`,
    );
  }

  /** Waits until every agent holds exactly what a side says. */
  async converged(store: SqliteStore): Promise<void> {
    let differing = ["everybody"];
    await until(
      async () => {
        if (this.crowd?.connected !== this.crowd?.all.length) return false;
        differing = this.crowd?.differing(await store.list("Application")) ?? [];
        return differing.length === 0;
      },
      WAIT_MS,
      () =>
        `${differing.length} agents differ, ${this.crowd?.connected} are connected\n${this.primary.logEnd()}`,
    );
  }

  override async close(): Promise<void> {
    await this.crowd?.stop();
    await this.front?.close();
    for (const store of this.#stores) await store.close();
    await super.close();
    for (const redis of this.#redis) redis.close();
  }
}

function names(count: number): string[] {
  return Array.from({ length: count }, (_, n) => `edge-${n + 1}`);
}

function application(agent: string, name: string, mark = ""): ApiObject {
  return {
    apiVersion: "argoproj.io/v1alpha1",
    kind: "Application",
    metadata: { name, namespace: agent, ...(mark ? { annotations: { [MARK]: mark } } : {}) },
    spec: {
      project: "default",
      source: { repoURL: "https://git.example.com/a.git", path: name, targetRevision: "main" },
      destination: { name: agent, namespace: "default" },
    },
  };
}

/** `count` agents with 5 Applications each: memory, idle time, and a failover. */
async function crowd(count: number): Promise<Record<string, number>> {
  const bench = await AgentBench.open();
  try {
    await bench.start();
    const store = bench.store(bench.primary);
    const objects = Array.from(
      { length: count * 5 },
      (_, n) => application(`edge-${n % count + 1}`, `app-${n}`),
    );
    await Promise.all(objects.map((object) => store.write({ op: "put", object })));
    const memory = () => bench.primary.metric("process_resident_memory_bytes");
    const before = await memory();
    await bench.connect(count, false);
    const connectMs = await timed(() => bench.converged(store));
    const bytes = (await memory() - before) / count;
    const cpuSeconds = () => bench.primary.metric("process_cpu_seconds_total");
    const cpu = await cpuSeconds();
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    const idle = (await cpuSeconds() - cpu) / (IDLE_MS / 1_000);
    await bench.primary.kill("SIGKILL");
    await bench.replica.untilState("disconnected");
    const other = bench.store(bench.replica);
    const client = dialAdmin(bench.replica.admin);
    const failoverMs = await timed(async () => {
      await call(client, adminService.Promote, { force: false }, 30_000);
      await bench.converged(other);
    });
    client.close();
    const recreated = bench.crowd?.recreated ?? NaN;
    return { count, connectMs, bytes, idle, failoverMs, recreated };
  } finally {
    await bench.close();
  }
}

/** An attack in a process of its own, until the returned function is called. */
export type Attack = (bench: AgentBench) => Promise<() => Promise<void>>;

/** A hostile agent. */
const flood: Attack = async (bench) => {
  const address = `127.0.0.1:${bench.primary.side.ports.grpc}`;
  const { path, args } = selfCommand([
    "agent-sim",
    "--address",
    address,
    "--pki",
    `${bench.dir}/pki`,
    "--prefix",
    "hostile-",
    "--misbehave",
    "floods",
  ]);
  const child = new Deno.Command(path, { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
  await until(
    async () => await bench.primary.metric("principal_events_received") > 6_000,
    WAIT_MS,
    () => "the hostile agent sends nothing",
  );
  return async () => {
    child.kill("SIGKILL");
    await child.status;
  };
};

/** Writes at the rate; the marks that the agents must hold in the end, by agent and name. */
async function load(
  store: SqliteStore,
  { agents, rate, seconds }: { agents: number; rate: number; seconds: number },
): Promise<Map<string, string>> {
  const startedAt = performance.now();
  let written = 0;
  const writes: Promise<unknown>[] = [];
  const total = agents * rate * seconds;
  const last = new Map<string, string>();
  while (written < total) {
    const due = Math.min(total, Math.floor((performance.now() - startedAt) / 1_000 * agents * rate));
    for (; written < due; written++) {
      const agent = `edge-${written % agents + 1}`;
      const name = `app-${Math.floor(written / agents) % 100}`;
      const mark = `${performance.now()} ${written}`;
      last.set(`${agent}/${name}`, mark);
      writes.push(store.write({ op: "put", object: application(agent, name, mark) }));
    }
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await Promise.all(writes);
  return last;
}

/**
 * `agents` agents, each with `rate` changes a second for `seconds`: from the principal's store to the agent. `attack`: what goes
 * on meanwhile.
 */
export async function roundTrip(
  { agents, rate, seconds, attack, password }: {
    agents: number;
    rate: number;
    seconds: number;
    attack?: Attack;
    /** Agents come with it; absent: with certificates. */
    password?: string;
  },
): Promise<Record<string, number>> {
  const bench = await AgentBench.open();
  let calm = () => Promise.resolve();
  try {
    await (password === undefined ? bench.startAlone() : bench.startWithPasswords(agents, password));
    const store = bench.store(bench.primary);
    const crowd = await bench.connect(agents, false, password);
    const latencies: number[] = [];
    for (const agent of crowd.all) {
      agent.onEvent = ({ payload }) => {
        const { metadata } = JSON.parse(new TextDecoder().decode(payload)) as ApiObject;
        const mark = metadata?.annotations?.[MARK];
        if (mark) latencies.push(performance.now() - Number(mark.split(" ")[0]));
      };
    }
    await until(() => crowd.connected === agents, WAIT_MS, () => `${crowd.connected} are connected`);
    if (attack) calm = await attack(bench);
    const last = await load(store, { agents, rate, seconds });
    const missing = () => {
      const held = new Map<string, string>();
      for (const agent of crowd.all) {
        for (const { metadata } of agent.cluster.list("Application")) {
          held.set(`${agent.name}/${metadata.name}`, metadata.annotations?.[MARK] ?? "");
        }
      }
      return [...last].filter(([key, mark]) => held.get(key) !== mark).length;
    };
    await until(() => missing() === 0, WAIT_MS, () => "", 20).catch(() => {});
    const dropped = missing();
    latencies.sort((a, b) => a - b);
    return {
      received: await bench.primary.metric("principal_events_received"),
      agents,
      rate,
      total: agents * rate * seconds,
      delivered: latencies.length,
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      dropped,
    };
  } finally {
    await calm();
    await bench.close();
  }
}

/** One agent reports `rate` changes a second for `seconds`: from the agent to the principal's store. */
async function reports(rate: number, seconds: number): Promise<Record<string, number>> {
  const bench = await AgentBench.open();
  try {
    await bench.startAlone();
    const store = bench.store(bench.primary);
    const names = Array.from({ length: 100 }, (_, n) => `app-${n}`);
    await Promise.all(names.map((name) => store.write({ op: "put", object: application("edge-1", name) })));
    const crowd = await bench.connect(1, false);
    await bench.converged(store);
    const [agent] = crowd.all;
    const startedAt = performance.now();
    let sent = 0;
    while (sent < rate * seconds) {
      const due = Math.min(rate * seconds, Math.floor((performance.now() - startedAt) / 1_000 * rate));
      for (; sent < due; sent++) {
        const message = String(sent);
        agent?.report(
          `app-${sent % 100}`,
          (one) => ({ ...one, status: { health: { status: "Healthy", message } } }),
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const drainMs = await timed(() =>
      until(() => agent?.outbox.pending === 0, WAIT_MS, () => `${agent?.outbox.pending} events wait`, 2)
    );
    const missing = (await store.list("Application")).filter(({ metadata, status }) =>
      canonicalJson(status) !== canonicalJson(agent?.cluster.get("Application", metadata.name)?.["status"])
    ).length;
    return { rate, sent, drainMs, missing };
  } finally {
    await bench.close();
  }
}

const n = (value = NaN, digits = 0) => value.toLocaleString("en-US", { maximumFractionDigits: digits });

/** The note under the tables. */
export const AGENTS_NOTE = [
  "The agents are simulated, all in the process that measures. A round trip runs from the commit in the principal's store, by",
  "another process, to the event at the agent; up to 20 ms of it is the embedded store's interval for noticing other writers.",
  "The Go principal was not measured, because no build of it was available. By its code it sends at most 10 events a second",
  "for one resource and connects agents one after another, 100 ms each.",
].join("\n");

type Section = (title: string, header: string[], rows: string[][]) => void;

/** Measures everything about agents and hands tables to `section`. */
export async function benchAgents(section: Section, count = 1_000): Promise<void> {
  const many = await crowd(count);
  section(
    "Agents: many, idle, and over a failover",
    [
      "agents, Applications",
      "connect all, converged",
      "memory an agent",
      "CPU idle",
      "failover: last one converged",
      "recreated",
    ],
    [[
      `${n(count)}, ${n(count * 5)}`,
      `${n(many["connectMs"])} ms`,
      `${n((many["bytes"] ?? NaN) / 1024)} KiB`,
      `${n((many["idle"] ?? NaN) * 100, 1)} %`,
      `${n(many["failoverMs"])} ms`,
      n(many["recreated"]),
    ]],
  );
  const steady = { agents: 100, rate: 10, seconds: 10 };
  const rows = [
    await roundTrip(steady),
    await roundTrip({ ...steady, attack: flood }),
    await roundTrip({ agents: 1, rate: 100, seconds: 10 }),
  ];
  section(
    "Agents: from a change in the principal's store to the agent",
    ["agents × changes/s each", "changes", "events", "p50", "p99", "dropped"],
    rows.map((row, i) => [
      `${n(row["agents"])} × ${n(row["rate"])}${i === 1 ? ", and one that floods" : ""}`,
      n(row["total"]),
      n(row["delivered"]),
      `${n(row["p50"], 1)} ms`,
      `${n(row["p99"], 1)} ms`,
      n(row["dropped"]),
    ]),
  );
  const report = await reports(100, 10);
  section(
    "Agents: from an agent to the principal's store",
    ["changes/s", "changes", "all acknowledged after the last", "missing"],
    [[n(report["rate"]), n(report["sent"]), `${n(report["drainMs"])} ms`, n(report["missing"])]],
  );
}

if (import.meta.main) {
  await benchAgents((title, header, rows) => {
    console.log([title, ...[header, ...rows].map((row) => `| ${row.join(" | ")} |`)].join("\n"));
  }, Number(Deno.args[0] ?? 1_000));
}
