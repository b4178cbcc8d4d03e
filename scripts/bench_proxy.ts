/**
 * The waits of Argo CD's UI: a live object of an agent through the resource proxy, at the ACTIVE and at the standby, and agents' events
 * meanwhile. `deno task bench` prints it, and this script alone the same tables.
 */
import { Agent, request } from "node:https";
import { type PrincipalProcess, until } from "../src/cli/processes.ts";
import { certificateFor } from "../tests/support/agents.ts";
import { AgentBench, type Attack, roundTrip } from "./bench_agents.ts";
import { quantile } from "./measure.ts";

const WAIT_MS = 60_000;
const AGENT = "edge-1";
const LIVE = "/apis/apps/v1/namespaces/shop/deployments/web";
const ONE_BY_ONE = 500;
const IN_FLIGHT = 100;
const ROUNDS = 20;
/** `argocd app create` asks for the two roots and every group version, all at once. */
const DISCOVERY = ["/api", "/apis", "/api/v1", "/apis/apps/v1", "/apis/batch/v1"];
const BURSTS = 20;

type Ask = (path: string) => Promise<number>;

/** A caller of a side with the agent's certificate and connections that are kept. */
async function callerOf(
  { dir }: AgentBench,
  { side: { ports: { resourceProxy: port } } }: PrincipalProcess,
): Promise<{ ask: Ask; close(): void }> {
  const { cert, key, ca } = await certificateFor(`${dir}/pki`, AGENT);
  const agent = new Agent({ keepAlive: true, maxSockets: IN_FLIGHT });
  const ask: Ask = (path) =>
    new Promise((resolve, reject) => {
      const call = request({ host: "127.0.0.1", port, path, cert, key, ca, agent }, (answer) => {
        answer.resume().on("end", () => resolve(answer.statusCode ?? 0)).on("error", reject);
      });
      call.on("error", reject).end();
    });
  return { ask, close: () => agent.destroy() };
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

/** Opens both sides with one agent, which has a live object. */
async function open(): Promise<AgentBench> {
  const bench = await AgentBench.open();
  const { primary, replica } = bench;
  for (const side of [primary, replica]) side.start();
  await primary.untilState("active");
  await replica.untilState("replicating");
  const { all: [agent] } = await bench.connect(1, false);
  agent?.resources.put("deployments", {
    metadata: { name: "web", namespace: "shop" },
    spec: { replicas: 1 },
  });
  for (const side of [primary, replica]) {
    const { ask, close } = await callerOf(bench, side);
    const answers = () => ask(LIVE).then((status) => status === 200, () => false);
    await until(answers, WAIT_MS, () => `${side.side.name} does not reach the agent`, 50);
    close();
  }
  return bench;
}

type Section = (title: string, header: string[], rows: string[][]) => void;

const ms = (value: number) => `${value.toLocaleString("en-US", { maximumFractionDigits: 1 })} ms`;

export async function benchProxy(section: Section): Promise<void> {
  const rows: string[][] = [];
  const bench = await open();
  try {
    const sides = [
      ["at the ACTIVE", bench.primary],
      ["at the standby, over the link", bench.replica],
    ] as const;
    for (const [where, side] of sides) {
      const { ask, close } = await callerOf(bench, side);
      const measure = async (what: string, paths: readonly string[], atOnce: number) => {
        const startedAt = performance.now();
        const found = await times(ask, paths, atOnce);
        const rate = found.length / ((performance.now() - startedAt) / 1_000);
        rows.push([
          `${what}, ${where}`,
          ms(quantile(found, 0.5)),
          ms(quantile(found, 0.99)),
          rate.toFixed(0),
        ]);
      };
      await measure("live object, one after another", Array(ONE_BY_ONE).fill(LIVE), 1);
      await measure(`live object, ${IN_FLIGHT} in flight`, Array(IN_FLIGHT * ROUNDS).fill(LIVE), IN_FLIGHT);
      const bursts = Array.from({ length: BURSTS }, () => DISCOVERY).flat();
      await measure("discovery of `app create`", bursts, DISCOVERY.length);
      close();
    }
  } finally {
    await bench.close();
  }
  section("The resource proxy: HTTPS request to answer, one simulated agent", [
    "request",
    "p50",
    "p99",
    "a second",
  ], rows);
  const steady = { agents: 20, rate: 5, seconds: 10 };
  const calm = await roundTrip(steady);
  const during = await roundTrip({ ...steady, attack: viewers });
  section("Events of agents while 20 callers ask for live objects without pause", ["", "p50", "p99"], [
    ["without", ms(calm["p50"] ?? NaN), ms(calm["p99"] ?? NaN)],
    ["meanwhile", ms(during["p50"] ?? NaN), ms(during["p99"] ?? NaN)],
  ]);
}

/** Callers of the ACTIVE's proxy. */
const viewers: Attack = async (bench) => {
  const { ask, close } = await callerOf(bench, bench.primary);
  const [agent] = bench.crowd?.all ?? [];
  agent?.resources.put("deployments", { metadata: { name: "web", namespace: "shop" } });
  let asking = true;
  const all = Array.from({ length: 20 }, async () => {
    while (asking) await ask(LIVE);
  });
  return async () => {
    asking = false;
    await Promise.allSettled(all);
    close();
  };
};

if (import.meta.main) {
  await benchProxy((title, header, rows) => {
    console.log([title, ...[header, ...rows].map((row) => `| ${row.join(" | ")} |`)].join("\n"));
  });
}
