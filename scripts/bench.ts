/**
 * `deno task bench`: figures as ratios inside one run, printed as tables and kept in docs/benchmarks.md. Everything
 * is measured between two real principal processes on SQLite stores.
 */
import { generatedApplication } from "../src/cli/examples.ts";
import { initPki } from "../src/cli/pki.ts";
import { selfCommand } from "../src/cli/processes.ts";
import { call, dialAdmin } from "../src/adapters/grpc/dial.ts";
import { operatorService } from "../src/adapters/grpc/services.ts";
import { keyOfObject } from "../src/domain/resources/keys.ts";
import type { StoredObject } from "../src/domain/resources/object.ts";
import { openSqlite, type SqliteStore } from "../src/adapters/store/sqlite.ts";
import { LinkedSides } from "../tests/support/processes.ts";
import { AGENTS_NOTE, benchAgents } from "./bench_agents.ts";
import { benchAttacks } from "./bench_attacks.ts";
import { benchProxy } from "./bench_proxy.ts";
import { JSON_NOTE, jsonRows } from "./bench_json.ts";
import { buildKube } from "./kube_build.ts";
import { median, timed } from "./measure.ts";

const WAIT_MS = 300_000;
/** Resources that change while the link is broken. */
const CHANGED = [10, 100, 1_000];

class Bench extends LinkedSides {
  constructor() {
    super(Deno.makeTempDirSync({ prefix: "aaha-bench-" }));
  }

  store(): SqliteStore {
    return openSqlite(this.primary.store, { verify: false });
  }

  /** Writes Applications `from`…`to` with a tag; their stored versions and how long it took. */
  async write(from: number, to: number, tag: string): Promise<{ stored: StoredObject[]; ms: number }> {
    const store = this.store();
    const startedAt = performance.now();
    const written = await Promise.all(Array.from({ length: to - from }, (_, n) => {
      const object = generatedApplication(from + n);
      object.metadata.labels = { tag };
      return store.write({ op: "put", object });
    }));
    const ms = performance.now() - startedAt;
    await store.close();
    return { stored: written.map((one) => one.object as StoredObject), ms };
  }

  async acknowledged(stored: StoredObject[]): Promise<void> {
    const client = dialAdmin(this.primary.admin);
    const versions = stored.map((object) => ({
      key: keyOfObject(object),
      resourceVersion: object.metadata.resourceVersion,
    }));
    await call(client, operatorService.WaitReplicated, { versions, timeoutMs: WAIT_MS }, WAIT_MS);
    client.close();
  }

  /** Starts the primary alone. */
  override async start(): Promise<void> {
    await initPki(`${this.dir}/pki`, { sans: [], agents: 0, days: 1 });
    await this.startAlone();
  }
}

const ms = (value: number) => value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en-US");
const lines: string[] = [];

function section(title: string, header: string[], rows: string[][]): void {
  const table = [header, header.map(() => "---"), ...rows].map((row) => `| ${row.join(" | ")} |`);
  lines.push(`## ${title}`, "", ...table, "");
  console.log(["", title, ...table].join("\n"));
}

/** Everything at `total` resources. */
async function atSize(total: number): Promise<Record<string, number>> {
  const bench = new Bench();
  try {
    await bench.start();
    const { ms: rawMs } = await bench.write(0, total, "first");
    bench.replica.start();
    const coldMs = await timed(() => bench.replica.untilState("replicating", WAIT_MS));
    const { stored, ms: burstRawMs } = await bench.write(0, 2_000, "burst");
    const burstMs = burstRawMs + await timed(() => bench.acknowledged(stored));
    const latencies: number[] = [];
    for (let n = 0; n < 200; n++) {
      const one = await bench.write(n, n + 1, `single ${n}`);
      latencies.push(one.ms + await timed(() => bench.acknowledged(one.stored)));
    }
    latencies.sort((a, b) => a - b);
    const memory = await bench.primary.metric("process_resident_memory_bytes");
    const replicaMemory = await bench.replica.metric("process_resident_memory_bytes");
    const catchUp: Record<string, number> = {};
    const received = () => bench.replica.metric("argocd_agent_replication_client_events_received_total");
    for (const changed of CHANGED) {
      bench.link.mode = "refuse";
      bench.link.cut();
      await bench.replica.untilState("disconnected");
      const { stored } = await bench.write(0, changed, `while broken ${changed}`);
      const before = await received();
      bench.link.mode = "pass";
      await bench.replica.untilState("replicating");
      catchUp[`catchUp${changed}`] = await timed(() => bench.acknowledged(stored));
      catchUp[`travelled${changed}`] = await received() - before;
    }
    await bench.replica.kill("SIGKILL");
    await bench.write(0, 100, "while away");
    bench.replica.start();
    catchUp["restart"] = await timed(() => bench.replica.untilState("replicating", WAIT_MS));
    catchUp["restartTravelled"] = await received();
    return {
      total,
      rawMs,
      coldMs,
      burstRawMs,
      burstMs,
      p50: latencies[100] ?? 0,
      p99: latencies[198] ?? 0,
      memory,
      replicaMemory,
      ...catchUp,
    };
  } finally {
    await bench.close();
  }
}

/** `ha status` as a process: wall time and memory. */
async function status(): Promise<{ wallMs: number; denoMs: number; memory: number }> {
  const bench = new Bench();
  try {
    await bench.start();
    const { path, args } = selfCommand(["ha", "status", "-a", bench.primary.admin]);
    const run = (command: string[]) =>
      new Deno.Command(path, { args: command, stdout: "null", stderr: "null" }).output();
    const empty = ["eval", "0"];
    const times = { status: [] as number[], empty: [] as number[] };
    for (let n = 0; n < 15; n++) {
      times.status.push(await timed(() => run(args)));
      times.empty.push(await timed(() => run(empty)));
    }
    const entry = new URL("../src/cli/run.ts", import.meta.url).href;
    const code =
      `import { run } from "${entry}"; await run(["ha", "status", "-a", "${bench.primary.admin}"]);` +
      "console.log('rss', Deno.memoryUsage().rss); Deno.exit(0)";
    const config = new URL("../deno.json", import.meta.url).pathname;
    const { stdout } = await new Deno.Command(path, {
      args: ["eval", "--config", config, code],
      stdout: "piped",
    }).output();
    const memory = Number(/rss (\d+)/.exec(new TextDecoder().decode(stdout))?.[1]);
    return { wallMs: median(times.status), denoMs: median(times.empty), memory };
  } finally {
    await bench.close();
  }
}

/** On real API servers, in a process that may run them: one line of figures for the transports, and one a size. */
async function kubernetes(sizes: number[]): Promise<Record<string, number>[]> {
  const binary = await buildKube();
  const permissions = [
    "--allow-net=127.0.0.1,127.0.0.2,localhost",
    "--allow-read",
    "--allow-write",
    "--allow-env",
    "--allow-sys",
  ];
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      ...permissions,
      `--allow-run=${Deno.execPath()},${binary}`,
      new URL("bench_kube.ts", import.meta.url).pathname,
      ...sizes.map(String),
    ],
    env: { KUBE_BINARY: binary },
    stdout: "piped",
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error("the benchmark on real API servers failed; see above");
  return new TextDecoder().decode(stdout).trim().split("\n").map((line) => JSON.parse(line));
}

const sizes = Deno.args.length > 0 ? Deno.args.map(Number) : [5_000, 50_000];
const KUBE_SIZES = [2_000, 10_000, 20_000];
const results: Record<string, number>[] = [];
for (const size of sizes) results.push(await atSize(size));
const of = (name: string) => results.map((result) => result[name] ?? 0);
const column = (name: string, format: (value: number) => string) => of(name).map(format);
const head = ["", ...sizes.map((size) => `${size.toLocaleString("en-US")} resources`)];
const mb = (bytes: number) => `${Math.round(bytes / 1e6)} MB`;
const ratio = (a: string, b: string) => results.map((r) => ((r[a] ?? 0) / (r[b] ?? 1)).toFixed(2));

section("Stream", head, [
  [
    "2,000 updates at once, store to store",
    ...results.map((r) =>
      `${Math.round(2_000 / ((r["burstMs"] ?? 1) / 1_000)).toLocaleString("en-US")} changes/s`
    ),
  ],
  ["… against the same writes to one store alone", ...ratio("burstMs", "burstRawMs")],
  ["one change, commit to acknowledgement, p50", ...column("p50", (v) => `${ms(v)} ms`)],
  ["… p99", ...column("p99", (v) => `${ms(v)} ms`)],
]);
section("Catch-up", head, [
  ["empty replica to REPLICATING", ...column("coldMs", (v) => `${ms(v)} ms`)],
  ["… against writing the same to one store", ...ratio("coldMs", "rawMs")],
  ...CHANGED.flatMap((changed) => [
    [
      `link broken, ${changed.toLocaleString("en-US")} changed: reconnected to acknowledged`,
      ...column(`catchUp${changed}`, (v) => `${ms(v)} ms`),
    ],
    ["… changes that travelled", ...column(`travelled${changed}`, (v) => v.toLocaleString("en-US"))],
  ]),
  ["replica process restarted, 100 changed: to REPLICATING", ...column("restart", (v) => `${ms(v)} ms`)],
  ["… changes that travelled", ...column("restartTravelled", (v) => v.toLocaleString("en-US"))],
]);
section("Memory (resident)", head, [
  ["active", ...column("memory", mb)],
  ["replica", ...column("replicaMemory", mb)],
]);
const cli = await status();
section("`ha status`", ["", "figure"], [
  ["wall time, median of 15", `${ms(cli.wallMs)} ms`],
  ["… against Deno starting and doing nothing", (cli.wallMs / cli.denoMs).toFixed(2)],
  ["resident memory at its end", mb(cli.memory)],
]);

const [transport = {}, ...kube] = await kubernetes(KUBE_SIZES);
const kubeHead = ["", ...KUBE_SIZES.map((size) => `${size.toLocaleString("en-US")} Applications`)];
const kubeRow = (
  title: string,
  show: (figures: Record<string, number>) => string,
) => [title, ...kube.map(show)];
const figure = (name: string) => (figures: Record<string, number>) => ms(figures[name] ?? NaN) + " ms";
const against = (a: string, b: string) => (figures: Record<string, number>) =>
  ((figures[a] ?? NaN) / (figures[b] ?? NaN)).toFixed(2);
section("Kubernetes: two principals, two real API servers", kubeHead, [
  kubeRow("raw parallel creation on one idle API server", figure("rawMs")),
  kubeRow("empty replica to REPLICATING, from its process's start", figure("coldMs")),
  kubeRow("… against raw creation", against("coldMs", "rawMs")),
  kubeRow("already in sync: to REPLICATING", figure("inSyncMs")),
  kubeRow("… write requests", (f) => String(f["inSyncWrites"])),
  ...[500, 2_000].flatMap((burst) => [
    kubeRow(`${burst.toLocaleString("en-US")} updated at once: all on the replica`, figure(`burst${burst}`)),
    kubeRow("… against raw updates of one idle API server", against(`burst${burst}`, `rawBurst${burst}`)),
  ]),
  kubeRow("lag at a quarter of the raw rate, p50", figure("lagP50")),
  kubeRow("… p99", figure("lagP99")),
  kubeRow("link broken for 30 s, 1 % changed: changes", (f) => String(f["reconnectChanged"])),
  kubeRow("… write requests", (f) => String(f["reconnectWrites"])),
  kubeRow("… bytes on the link", (f) => (f["reconnectBytes"] ?? 0).toLocaleString("en-US")),
  kubeRow("… until the last change is on the replica, backoff included", figure("reconnectMs")),
  kubeRow("memory of the active (resident)", (f) => mb(f["activeBytes"] ?? 0)),
  kubeRow("memory of the replica", (f) => mb(f["replicaBytes"] ?? 0)),
]);
section("Kubernetes: client-node's own API and transport", ["", "figure"], [
  ["500 creations, client-node's API and transport", figure("theirs")(transport)],
  ["500 creations, our API on HTTP/2", figure("ours")(transport)],
  ["resident memory of loading client-node's index", mb(transport["indexBytes"] ?? 0)],
]);

await benchAgents(section);
await benchAttacks(section);
await benchProxy(section);
lines.push(AGENTS_NOTE, "");
section(
  "Exact numbers and compared answers",
  ["of one Application, least of many", "time", "ratio"],
  jsonRows(),
);
lines.push(JSON_NOTE, "");

const today = new Date().toISOString().slice(0, 10);
const { cpuCount } = { cpuCount: navigator.hardwareConcurrency };
Deno.writeTextFileSync(
  new URL("../docs/benchmarks.md", import.meta.url),
  `# Benchmarks\n\n${today}, Deno ${Deno.version.deno}, ${cpuCount} cores, both principals, their API servers and the load on one machine: read the ratios, ` +
    `not the absolute figures. Made by \`deno task bench\`; Applications of about 1.4 kB.\n\n${
      lines.join("\n")
    }`,
);
