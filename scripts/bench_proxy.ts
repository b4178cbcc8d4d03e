/**
 * The waits of Argo CD's UI: live objects, discovery, logs and subscriptions of an agent's cluster, at the ACTIVE and at the standby, and
 * agents' events meanwhile. `deno task bench` prints it, and this script alone the same tables.
 */
import { Agent } from "node:https";
import { delay } from "@std/async/delay";
import { TextLineStream } from "@std/streams/text-line-stream";
import { type PrincipalProcess, until } from "../src/cli/processes.ts";
import type { SimAgent } from "../src/simagents/agent.ts";
import { askProxy } from "../src/simagents/proxy_client.ts";
import { certificateFor } from "../tests/support/agents.ts";
import { AgentBench, type Attack, roundTrip } from "./bench_agents.ts";
import { median, quantile } from "./measure.ts";

const WAIT_MS = 60_000;
const LIVE = "/apis/apps/v1/namespaces/shop/deployments/web";
const ONE_BY_ONE = 500;
const IN_FLIGHT = 100;
const ROUNDS = 20;
/** Definitions that a cluster has beside Kubernetes' own kinds. */
const DEFINITIONS = 40;
/** Each is a cluster whose discovery nobody has asked for. */
const FRESH = 5;
const LOAD_SECONDS = 20;

type Ask = (path: string) => Promise<number>;
type Section = (title: string, header: string[], rows: string[][]) => void;

/** A caller of a side with an agent's certificate and connections that are kept. */
async function callerOf(
  { dir }: AgentBench,
  { side: { ports: { resourceProxy: port } } }: PrincipalProcess,
  agent: string,
): Promise<{ ask: Ask; close(): void }> {
  const tls = await certificateFor(`${dir}/pki`, agent);
  const connections = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  const ask: Ask = async (path) => (await askProxy(port, tls, path, { connections })).status;
  return { ask, close: () => connections.destroy() };
}

/** The times of requests, sorted, in ms. @throws Error where one is not answered with 200 */
async function times(ask: Ask, paths: readonly string[], atOnce: number): Promise<number[]> {
  const found: number[] = [];
  let next = 0;
  const worker = async () => {
    for (let path = paths[next++]; path !== undefined; path = paths[next++]) {
      const startedAt = performance.now();
      const status = await ask(path);
      if (status !== 200) throw new Error(`${path} is answered with ${status}`);
      found.push(performance.now() - startedAt);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  return found.sort((a, b) => a - b);
}

/** Opens both sides with agents, each of which has a live object and kinds of its own. */
async function open(): Promise<AgentBench> {
  const bench = await AgentBench.open();
  const { primary, replica } = bench;
  await bench.start();
  const { all } = await bench.connect(1 + 2 * FRESH, false);
  for (const agent of all) furnish(agent);
  for (const side of [primary, replica]) {
    for (const { name } of all) {
      const { ask, close } = await callerOf(bench, side, name);
      const answers = () => ask(LIVE).then((status) => status === 200, () => false);
      await until(answers, WAIT_MS, () => `${side.side.name} does not reach ${name}`, 50);
      close();
    }
  }
  return bench;
}

function furnish({ resources }: SimAgent): void {
  resources.put("deployments", { metadata: { name: "web", namespace: "shop" }, spec: { replicas: 1 } });
  for (let n = 0; n < DEFINITIONS; n++) {
    resources.define(`group-${n}.example.com`, "v1", `things${n}`, "Thing");
  }
}

/** `argocd app create` asks for the two roots and every group version, all at once. */
const DISCOVERY = [
  ...["/version", "/api", "/apis", "/api/v1", "/apis/apps/v1", "/apis/batch/v1"],
  ...Array.from({ length: DEFINITIONS }, (_, n) => `/apis/group-${n}.example.com/v1`),
];

const ms = (value = NaN) => `${value.toLocaleString("en-US", { maximumFractionDigits: 1 })} ms`;

async function liveObjects(bench: AgentBench, where: string, side: PrincipalProcess): Promise<string[][]> {
  const { ask, close } = await callerOf(bench, side, "edge-1");
  const row = async (what: string, count: number, atOnce: number) => {
    const startedAt = performance.now();
    const found = await times(ask, Array(count).fill(LIVE), atOnce);
    const rate = found.length / ((performance.now() - startedAt) / 1_000);
    return [`${what}, ${where}`, ms(quantile(found, 0.5)), ms(quantile(found, 0.99)), rate.toFixed(0)];
  };
  const rows = [
    await row("live object, one after another", ONE_BY_ONE, 1),
    await row(`${IN_FLIGHT} at once, each over a new connection`, IN_FLIGHT, IN_FLIGHT),
    await row(`live object, ${IN_FLIGHT} in flight`, IN_FLIGHT * ROUNDS, IN_FLIGHT),
  ];
  close();
  return rows;
}

/** Each burst as a whole: at clusters whose discovery is not known, and again. */
async function discovery(
  bench: AgentBench,
  where: string,
  side: PrincipalProcess,
  agents: readonly SimAgent[],
): Promise<string[]> {
  const whole = { first: [] as number[], again: [] as number[] };
  let asked = 0;
  for (const { name, resources } of agents) {
    const { ask, close } = await callerOf(bench, side, name);
    // Its connections are open, as those of argocd-server are.
    await times(ask, Array(DISCOVERY.length).fill(LIVE), DISCOVERY.length);
    const before = resources.handled;
    for (const kind of ["first", "again"] as const) {
      const startedAt = performance.now();
      await times(ask, DISCOVERY, DISCOVERY.length);
      whole[kind].push(performance.now() - startedAt);
    }
    asked += resources.handled - before;
    close();
  }
  return [
    where,
    ms(median(whole.first)),
    ms(median(whole.again)),
    `${asked / agents.length} of ${2 * DISCOVERY.length}`,
  ];
}

/** A load in a process of its own, until the returned function is called. */
async function load(bench: AgentBench, side: PrincipalProcess, kind: string, seconds: number) {
  const { grpc } = bench.primary.side.ports;
  const { resourceProxy, redisProxy } = side.side.ports;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      ...["run", "--quiet", "--allow-net=127.0.0.1", "--allow-read", "--allow-env", "--allow-sys=hostname"],
      new URL("ui_load.ts", import.meta.url).pathname,
      ...[kind, `${bench.dir}/pki`],
      ...[grpc, resourceProxy, redisProxy, seconds].map(String),
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
    .getReader();
  if ((await lines.read()).done) throw new Error(`the load "${kind}" did not begin`);
  return {
    figures: async () => JSON.parse((await lines.read()).value ?? "[]") as Record<string, number>[],
    end: async () => {
      child.kill("SIGKILL");
      await lines.cancel();
      await child.status;
    },
  };
}

/** The figures of a load, and what the side that is looked at has of memory and processor time meanwhile. */
async function watched(
  bench: AgentBench,
  where: string,
  side: PrincipalProcess,
  kind: string,
): Promise<string[]> {
  const { figures, end } = await load(bench, side, kind, LOAD_SECONDS);
  let over = false;
  const done = figures().finally(() => over = true);
  const memory: number[] = [];
  const cpuSeconds = () => side.metric("process_cpu_seconds_total");
  const [cpu, startedAt] = [await cpuSeconds(), performance.now()];
  while (!over) {
    memory.push(await side.metric("process_resident_memory_bytes") / 1e6);
    await Promise.race([delay(1_000), done]);
  }
  const busy = (await cpuSeconds() - cpu) / ((performance.now() - startedAt) / 1_000);
  const [{ count = NaN, p50, p99, wrong = NaN } = {}] = await done;
  await end();
  const half = memory.slice(memory.length / 2);
  const mb = (values: number[]) => `${Math.round(median(values))} MB`;
  return [
    where,
    (count / LOAD_SECONDS).toFixed(0),
    ms(p50),
    ms(p99),
    String(wrong),
    `${mb(memory.slice(0, memory.length / 2))}, ${mb(half)}`,
    `${(busy * 100).toFixed(0)} %`,
  ];
}

export async function benchProxy(section: Section): Promise<void> {
  const bench = await open();
  const rows = { live: [] as string[][], discovery: [] as string[][] };
  const loads: Record<"logs" | "subscriptions", string[][]> = { logs: [], subscriptions: [] };
  try {
    const fresh = bench.crowd?.all.slice(1) ?? [];
    const sides = [
      { where: "at the ACTIVE", side: bench.primary, agents: fresh.slice(0, FRESH) },
      { where: "at the standby, over the link", side: bench.replica, agents: fresh.slice(FRESH) },
    ];
    for (const { where, side, agents } of sides) {
      rows.live.push(...await liveObjects(bench, where, side));
      rows.discovery.push(await discovery(bench, where, side, agents));
      for (const kind of ["logs", "subscriptions"] as const) {
        loads[kind].push(await watched(bench, where, side, kind));
      }
    }
  } finally {
    await bench.close();
  }
  section(
    "The resource proxy: HTTPS request to answer, one simulated agent",
    ["request", "p50", "p99", "a second"],
    rows.live,
  );
  section(
    `Discovery of \`app create\`: ${DISCOVERY.length} requests at once, median of ${FRESH} clusters`,
    ["", "the whole burst", "again within 10 s", "requests that reached the agent"],
    rows.discovery,
  );
  const header = (what: string) => [
    ...["", `${what} a second`, "p50", "p99", "missing, repeated or broken off"],
    ...["memory of that side, first and second half", "its processor time"],
  ];
  section("A pod's 1,000 log lines a second, followed by 20 browsers", header("lines"), loads.logs);
  section(
    "200 subscriptions, to Applications that change once a second each",
    header("messages"),
    loads.subscriptions,
  );
  const steady = { agents: 20, rate: 5, seconds: 10 };
  const calm = await roundTrip(steady);
  const during = await roundTrip({ ...steady, attack: everything });
  section(
    "Events of agents while all of it goes on at once: the 20 logs, the 200 subscriptions, and 20 people who ask for live objects",
    ["", "p50", "p99"],
    [
      ["without", ms(calm["p50"]), ms(calm["p99"])],
      ["meanwhile", ms(during["p50"]), ms(during["p99"])],
    ],
  );
}

/** Everything that people look at, at the ACTIVE. */
const everything: Attack = async (bench) => (await load(bench, bench.primary, "all", 3_600)).end;

if (import.meta.main) {
  await benchProxy((title, header, rows) => {
    console.log([title, ...[header, ...rows].map((row) => `| ${row.join(" | ")} |`)].join("\n"));
  });
}
