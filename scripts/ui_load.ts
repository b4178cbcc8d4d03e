/**
 * People who look at an agent's cluster, and that agent, in a process of their own: `ui_load.ts KIND PKI GRPC RESOURCE-PROXY REDIS-PROXY
 * SECONDS`. It says "begun" once something has come to everybody, and after SECONDS its figures as JSON.
 */
import { Agent } from "node:https";
import { delay } from "@std/async/delay";
import { watchChannel } from "../src/adapters/redis/cache_reader.ts";
import { CACHE_FORMAT } from "../src/domain/redis/keys.ts";
import { SimAgent } from "../src/simagents/agent.ts";
import { issuer } from "../src/simagents/certificates.ts";
import { askProxy, StreamedRead } from "../src/simagents/proxy_client.ts";
import { until } from "../src/cli/processes.ts";
import { quantile } from "./measure.ts";

const WAIT_MS = 60_000;
const NAME = "viewed";
const READERS = 20;
const LINES_PER_SECOND = 1_000;
const PADDING = "x".repeat(80);
const SUBSCRIPTIONS = 200;
const CLICKERS = 20;
const CLICK_MS = 100;
const LIVE = "/apis/apps/v1/namespaces/shop/deployments/web";
const LOG = "/api/v1/namespaces/shop/pods/web/log?follow=true&tailLines=1";

const [kind = "", pki = "", grpc = "", resourceProxy = "", redisProxy = "", seconds = ""] = Deno.args;
const material = await (await issuer(pki))(NAME);
const agent = new SimAgent({ name: NAME, mode: "managed", address: () => `127.0.0.1:${grpc}`, material });

/** Times on their way, of those that came since `begin`. */
class Lags {
  #found: number[] = [];

  add(ms: number): void {
    this.#found.push(ms);
  }

  begin(): void {
    this.#found = [];
  }

  get figures(): Record<string, number> {
    const sorted = this.#found.toSorted((a, b) => a - b);
    return { count: sorted.length, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
  }
}

/** Does something so many times a second, however late a timer is. */
function often(perSecond: number, act: (times: number) => void): void {
  const startedAt = performance.now();
  let done = 0;
  setInterval(() => {
    const due = Math.floor((performance.now() - startedAt) / 1_000 * perSecond);
    if (due > done) act(due - done);
    done = due;
  }, 5);
}

/** Part of the load, which has begun. */
interface Part {
  lags: Lags;
  /** Things that should have come and did not, or came twice. */
  wrong(): number;
}

/** Readers of one pod's log, which says so many lines a second; each line is from when it was said to when it came. */
async function logs(): Promise<Part> {
  const lags = new Lags();
  let said = 0;
  let wrong = 0;
  agent.logs.frameBytes = 32 * 1024;
  often(LINES_PER_SECOND, (times) => {
    const line = () => `${said++} ${performance.now()} ${PADDING}`;
    agent.logs.say("shop", "web", ...Array.from({ length: times }, line));
  });
  let reading = 0;
  const read = async () => {
    let rest = "";
    let next: number | undefined;
    const log = new StreamedRead(Number(resourceProxy), material, LOG, (text) => {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      const nowMs = performance.now();
      for (const line of lines) {
        const [n, at] = line.split(" ", 2).map(Number);
        if (n === undefined || at === undefined || Number.isNaN(at)) continue;
        if (next === undefined) reading++;
        else if (n !== next) wrong++;
        next = n + 1;
        lags.add(nowMs - at);
      }
    });
    await log.ended;
    if (next !== undefined) {
      reading--;
      wrong++;
    }
  };
  for (let n = 0; n < READERS; n++) {
    void (async () => {
      for (;;) await read();
    })();
  }
  await until(() => reading === READERS, WAIT_MS, () => `${reading} logs come`);
  return { lags, wrong: () => wrong };
}

/** Pages with a subscription each, to Applications that all change once a second. */
async function subscriptions(): Promise<Part> {
  const lags = new Lags();
  const published = new Map<number, number>();
  const heard = new Set<number>();
  const channel = (n: number, owner = "") => `app|managed-resources|${owner}app-${n}|${CACHE_FORMAT}`;
  for (let n = 0; n < SUBSCRIPTIONS; n++) {
    watchChannel(Number(redisProxy), channel(n, `${NAME}_`), () => {
      heard.add(n);
      const at = published.get(n);
      if (at !== undefined) lags.add(performance.now() - at);
      published.delete(n);
    });
  }
  await until(() => heard.size === SUBSCRIPTIONS, WAIT_MS, () => `${heard.size} are subscribed`);
  let next = 0;
  let overtaken = 0;
  const change = () => {
    const n = next++ % SUBSCRIPTIONS;
    if (published.has(n)) overtaken++;
    published.set(n, performance.now());
    agent.redis.publish(channel(n));
  };
  often(SUBSCRIPTIONS, (times) => {
    for (let n = 0; n < times; n++) change();
  });
  return { lags, wrong: () => overtaken };
}

/** People who ask for a live object again and again. */
async function clicks(): Promise<Part> {
  const lags = new Lags();
  let wrong = 0;
  let answered = 0;
  agent.resources.put("deployments", { metadata: { name: "web", namespace: "shop" } });
  const connections = new Agent({ keepAlive: true, maxSockets: CLICKERS });
  const click = async () => {
    const startedAt = performance.now();
    const { status } = await askProxy(Number(resourceProxy), material, LIVE, { connections });
    lags.add(performance.now() - startedAt);
    if (status === 200) answered++;
    else wrong++;
  };
  for (let n = 0; n < CLICKERS; n++) {
    void (async () => {
      for (;;) {
        await click().catch(() => wrong++);
        await delay(CLICK_MS);
      }
    })();
  }
  await until(() => answered >= CLICKERS, WAIT_MS, () => "no answer comes");
  return { lags, wrong: () => wrong };
}

const KINDS: Record<string, (() => Promise<Part>)[]> = {
  logs: [logs],
  subscriptions: [subscriptions],
  clicks: [clicks],
  all: [logs, subscriptions, clicks],
};

const begin = KINDS[kind];
if (!begin) throw new Error(`"${kind}": must be one of ${Object.keys(KINDS).join(", ")}`);
agent.start();
await until(
  () => askProxy(Number(resourceProxy), material, "/api").then(({ status }) => status === 200, () => false),
  WAIT_MS,
  () => "the agent is not reached",
);
const parts = await Promise.all(begin.map((one) => one()));
for (const { lags } of parts) lags.begin();
console.log("begun");
await delay(Number(seconds) * 1_000);
console.log(JSON.stringify(parts.map(({ lags, wrong }) => ({ ...lags.figures, wrong: wrong() }))));
Deno.exit(0);
