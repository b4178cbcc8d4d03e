/**
 * The pair on two real API servers, as ratios against raw parallel writes to one of them in the same run. The raw writer makes
 * as many requests at a time as a principal does, over one HTTP/2 connection, and does nothing else.
 */
import { delay } from "@std/async/delay";
import pLimit from "p-limit";
import { generatedApplication } from "../src/cli/examples.ts";
import { until } from "../src/cli/processes.ts";
import type { ApiObject } from "../src/domain/resources/object.ts";
import { Access } from "../src/adapters/kube/access.ts";
import { DynamicClient } from "../src/adapters/kube/dynamic_client.ts";
import { Transport } from "../src/adapters/kube/transport.ts";
import { Cluster } from "../tests/kube/cluster.ts";
import { definitionSets } from "../tests/kube/crds.ts";
import { KubePair } from "../tests/support/kube_pair.ts";
import { median, timed } from "./measure.ts";

const WAIT_MS = 300_000;
const AGENTS = 50;
const CONCURRENCY = 32;
const BURSTS = [500, 2_000];
const PACED_MS = 10_000;
const BREAK_MS = 30_000;
const REPEATS = 3;

/** The figures of one size. */
export type Figures = Record<string, number>;

const path = (object: ApiObject) =>
  `/apis/argoproj.io/v1alpha1/namespaces/${object.metadata.namespace}/applications`;

/** Raw parallel requests to one cluster; how long they took together, in ms. */
async function raw(
  cluster: Cluster,
  count: number,
  ask: (n: number) => Promise<{ code: number; body: unknown }>,
) {
  const limit = pLimit(CONCURRENCY);
  const one = async (n: number) => {
    const { code, body } = await ask(n);
    if (code < 300) return;
    throw new Error(`${cluster.server} answers ${code}: ${JSON.stringify(body).slice(0, 300)}`);
  };
  const startedAt = performance.now();
  await Promise.all(Array.from({ length: count }, (_, n) => limit(() => one(n))));
  return performance.now() - startedAt;
}

function create(cluster: Cluster, from: number, count: number): Promise<number> {
  return raw(cluster, count, (n) => {
    const object = generatedApplication(from + n);
    return cluster.request("POST", path(object), object);
  });
}

/** One update of an Application as an operator or a sync would make it: the revision it targets. */
function update(cluster: Cluster, n: number, tag: string) {
  const object = generatedApplication(n);
  const patch = { spec: { source: { targetRevision: tag } } };
  return cluster.request(
    "PATCH",
    `${path(object)}/${object.metadata.name}`,
    patch,
    { contentType: "application/merge-patch+json" },
  );
}

const WRITES = "argocd_agent_ha_store_writes_total";

/** Watches the replica's API server and tells when each Application shows each tag first. */
class Arrivals {
  readonly #stop = new AbortController();
  readonly seen = new Map<string, number>();
  #ended: Promise<void> | undefined;

  constructor(private readonly cluster: Cluster) {}

  async start(): Promise<void> {
    const access = Access.load({ kubeconfig: await this.cluster.kubeconfigFile(), context: "" });
    const transport = new Transport(access);
    const client = new DynamicClient(transport);
    const applications = await client.discovery.resource("argoproj.io/v1alpha1", "Application");
    const all = { namespace: "", labelSelector: "" };
    const { resourceVersion } = await client.list(applications, all, 1, "");
    this.#ended = (async () => {
      for await (
        const { object, type } of client.watch(applications, all, resourceVersion, 3_600, this.#stop.signal)
      ) {
        if (type === "BOOKMARK") continue;
        const { source } = object["spec"] as { source: { targetRevision: string } };
        const key = `${object.metadata.name} ${source.targetRevision}`;
        if (!this.seen.has(key)) this.seen.set(key, performance.now());
      }
      transport.close();
    })();
  }

  /** Waits until the first `count` Applications have shown the tag; when the last one did. */
  async all(count: number, tag: string): Promise<number> {
    let at = 0;
    await until(
      () => {
        for (; at < count; at++) if (!this.seen.has(`app-${at} ${tag}`)) return false;
        return true;
      },
      WAIT_MS,
      () => `app-${at} never shows ${tag} on the replica`,
      5,
    );
    return Math.max(...Array.from({ length: count }, (_, n) => this.seen.get(`app-${n} ${tag}`) ?? 0));
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#ended;
  }
}

/** All figures at `total` Applications. */
export async function figures(total: number, say: (text: string) => void): Promise<Figures> {
  const namespaces = Array.from({ length: AGENTS }, (_, n) => `edge-${n + 1}`);
  const pair = await KubePair.open(definitionSets()[0]![1], { namespaces });
  const result: Figures = { total };
  const note = (name: string, value: number) => {
    result[name] = value;
    say(`${total}: ${name} ${value < 10 ? value.toFixed(2) : Math.round(value)}`);
  };
  try {
    const { primary, replica, clusters } = pair;
    note("rawMs", await create(clusters.primary, 0, total));
    for (const burst of BURSTS) {
      const times: number[] = [];
      for (let n = 0; n < REPEATS; n++) {
        times.push(
          await raw(clusters.primary, burst, (i) => update(clusters.primary, i, `raw-${burst}-${n}`)),
        );
      }
      note(`rawBurst${burst}`, median(times));
    }
    primary.start();
    replica.start();
    await primary.untilState("active", WAIT_MS);
    await replica.kill("SIGKILL");
    replica.start();
    note("coldMs", await timed(() => replica.untilState("replicating", WAIT_MS)));
    note("coldWrites", await replica.metric(WRITES));
    await replica.kill("SIGKILL");
    replica.start();
    note("inSyncMs", await timed(() => replica.untilState("replicating", WAIT_MS)));
    note("inSyncWrites", await replica.metric(WRITES));
    const arrivals = new Arrivals(clusters.replica);
    await arrivals.start();
    await bursts(pair, arrivals, note);
    await paced(pair, arrivals, result, note);
    await broken(pair, arrivals, total, note);
    await arrivals.stop();
    note("activeBytes", await primary.metric("process_resident_memory_bytes"));
    note("lists", await replica.metric("argocd_agent_ha_store_lists_total"));
    note("replicaBytes", await replica.metric("process_resident_memory_bytes"));
    return result;
  } finally {
    await pair.close();
  }
}

type Note = (name: string, value: number) => void;

async function bursts({ clusters, replica }: KubePair, arrivals: Arrivals, note: Note): Promise<void> {
  for (const burst of BURSTS) {
    const times: number[] = [];
    for (let n = 0; n < REPEATS; n++) {
      const startedAt = performance.now();
      await raw(clusters.primary, burst, (i) => update(clusters.primary, i, `burst-${burst}-${n}`));
      times.push(await arrivals.all(burst, `burst-${burst}-${n}`) - startedAt);
    }
    note(`burst${burst}`, median(times));
  }
  note("held", await replica.metric("argocd_agent_ha_held_keys"));
}

/** Lag of single changes while the source writes at a quarter of the raw rate. */
async function paced(
  { clusters }: KubePair,
  arrivals: Arrivals,
  { rawBurst2000 = 1 }: Figures,
  note: Note,
): Promise<void> {
  const everyMs = rawBurst2000 / 2_000 * 4;
  const committed = new Map<string, number>();
  const one = async (app: number, tag: string) => {
    await update(clusters.primary, app, tag);
    committed.set(`app-${app} ${tag}`, performance.now());
  };
  const startedAt = performance.now();
  const writes: Promise<void>[] = [];
  for (let n = 0; performance.now() - startedAt < PACED_MS; n++) {
    const wait = startedAt + n * everyMs - performance.now();
    if (wait > 0) await delay(wait);
    writes.push(one(n % 2_000, `paced-${n}`));
  }
  await Promise.all(writes);
  await until(
    () => [...committed.keys()].every((key) => arrivals.seen.has(key)),
    10_000,
    () => "paced changes are missing on the replica",
    50,
  );
  const lags = [...committed].map(([key, at]) => Math.max(0, (arrivals.seen.get(key) ?? Infinity) - at))
    .sort((a, b) => a - b);
  note("lagChanges", lags.length);
  note("lagP50", lags[Math.floor(lags.length * 0.5)] ?? NaN);
  note("lagP99", lags[Math.floor(lags.length * 0.99)] ?? NaN);
}

/** The link is broken for `BREAK_MS` while 1 % of everything changes. */
async function broken(
  { clusters, link, replica }: KubePair,
  arrivals: Arrivals,
  total: number,
  note: Note,
): Promise<void> {
  const changed = Math.ceil(total / 100);
  const writesBefore = await replica.metric(WRITES);
  link.mode = "refuse";
  link.cut();
  await replica.untilState("disconnected", WAIT_MS);
  await raw(clusters.primary, changed, (n) => update(clusters.primary, n, "broken"));
  await delay(BREAK_MS);
  const bytesBefore = link.bytes;
  link.mode = "pass";
  const startedAt = performance.now();
  note("reconnectMs", await arrivals.all(changed, "broken") - startedAt);
  note("reconnectBytes", link.bytes - bytesBefore);
  note("reconnectWrites", await replica.metric(WRITES) - writesBefore);
  note("reconnectChanged", changed);
}

/** client-node's own API and transport against ours: 500 creations each on one idle API server, in ms, and what its index costs. */
export async function transports(): Promise<Figures> {
  const cluster = await Cluster.start(definitionSets()[0]![1]);
  try {
    for (let n = 1; n <= AGENTS; n++) await cluster.namespace(`edge-${n}`);
    const access = Access.load({ kubeconfig: await cluster.kubeconfigFile(), context: "" });
    const transport = new Transport(access);
    const client = new DynamicClient(transport);
    const applications = await client.discovery.resource("argoproj.io/v1alpha1", "Application");
    const before = Deno.memoryUsage().rss;
    const { CustomObjectsApi, KubeConfig } = await import("@kubernetes/client-node");
    const indexBytes = Deno.memoryUsage().rss - before;
    const config = new KubeConfig();
    config.loadFromString(await cluster.kubeconfig());
    const objects = config.makeApiClient(CustomObjectsApi);
    const done = { code: 201, body: {} };
    const ask = {
      ours: (body: ApiObject) => client.create(applications, body).then(() => done),
      theirs: (body: ApiObject) => {
        const namespace = body.metadata.namespace ?? "";
        const request = {
          group: "argoproj.io",
          version: "v1alpha1",
          plural: "applications",
          namespace,
          body,
        };
        return objects.createNamespacedCustomObject(request).then(() => done);
      },
    };
    let made = 0;
    const round = (how: keyof typeof ask) => {
      const from = made;
      made += 500;
      return raw(cluster, 500, (n) => ask[how](generatedApplication(from + n)));
    };
    const times = { ours: [] as number[], theirs: [] as number[] };
    await create(cluster, 10_000, 1_000);
    for (let n = 0; n < REPEATS; n++) {
      for (const how of ["ours", "theirs"] as const) times[how].push(await round(how));
    }
    transport.close();
    const ours = median(times.ours);
    const theirs = median(times.theirs);
    return { ours, theirs, indexBytes };
  } finally {
    await cluster.stop();
  }
}

/** Prints one line of JSON a size, and one of the transports; progress goes to stderr. */
if (import.meta.main) {
  console.log(JSON.stringify(await transports()));
  for (const total of Deno.args.map(Number)) console.log(JSON.stringify(await figures(total, console.error)));
  Deno.exit(0);
}
