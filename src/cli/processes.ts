/** Principals as child processes of this executable: for the demo, the benchmark and the end-to-end tests. */
import { delay } from "@std/async/delay";
import { CommandError } from "./output.ts";
import { PERMISSIONS } from "./permissions.ts";

/** The options of one side of a pair. */
export interface Side {
  name: "primary" | "replica";
  dir: string;
  ports: Ports;
  peerPort: number;
  /** The flags of its store; default: SQLite in the folder. */
  store?: string[];
  /** The flags of its certificates; default: files in the folder. */
  credentials?: string[];
  /** The port of its cluster's Redis, with a Redis proxy in front; absent: it has none. */
  redis?: number;
  /** Its environment beside this process's. */
  env?: Record<string, string>;
}

export interface Ports {
  grpc: number;
  admin: number;
  healthz: number;
  metrics: number;
  resourceProxy: number;
  redisProxy: number;
}

/** Ports that were free a moment ago, all different and below 32768. */
export function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () => listenBelow());
  const ports = listeners.map((listener) => (listener.addr as Deno.NetAddr).port);
  for (const listener of listeners) listener.close();
  return ports;
}

/** Ports of one side; see `freePorts`. */
export function freeSidePorts(): Ports {
  const [grpc = 0, admin = 0, healthz = 0, metrics = 0, resourceProxy = 0, redisProxy = 0] = freePorts(6);
  return { grpc, admin, healthz, metrics, resourceProxy, redisProxy };
}

/**
 * A primary and a replica on free ports in one folder, not started yet. `via` may put something in between: it is given
 * the side that is dialled and its port, and returns the port to dial. `own` is what a side has of its own, such as another store.
 */
export function principalPair(
  dir: string,
  via: (side: Side["name"], port: number) => number = (_, port) => port,
  own: Partial<Record<Side["name"], Partial<Side>>> = {},
): Record<Side["name"], PrincipalProcess> {
  const ports = { primary: freeSidePorts(), replica: freeSidePorts() };
  const side = (name: Side["name"], peer: Side["name"]) =>
    new PrincipalProcess({
      name,
      dir,
      ports: ports[name],
      peerPort: via(peer, ports[peer].grpc),
      ...own[name],
    });
  return { primary: side("primary", "replica"), replica: side("replica", "primary") };
}

/** The health and metrics ports must be below 32768, where the kernel hands out none by itself. */
function listenBelow(): Deno.Listener {
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000);
    try {
      const listener = Deno.listen({ hostname: "127.0.0.1", port });
      if (lease(port)) return listener;
      listener.close();
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new CommandError("no free port between 20000 and 32000 on 127.0.0.1");
}

/** Leases live as long as this program. */
const leases: Deno.Listener[] = [];

/**
 * A port that was free a moment ago is used only later, by another process: until then it is kept from others who look for one by
 * listening on it at the next loopback address. Where there is none (not on Linux), it is not kept.
 */
function lease(port: number): boolean {
  try {
    const listener = Deno.listen({ hostname: "127.0.0.2", port });
    listener.unref();
    leases.push(listener);
    return true;
  } catch (error) {
    return !(error instanceof Deno.errors.AddrInUse);
  }
}

/**
 * How a principal is run where memory counts: the heap grows by a fifth before it is collected, and the collector takes no second
 * core from the API server beside it (docs/benchmarks.md).
 */
export const LEAN = "--v8-flags=--max-semi-space-size=8,--heap-growing-percent=20,--single-threaded-gc";

/** How this program is started again: as one executable, or by Deno from main.ts or the bundled file. */
export function selfCommand(args: string[]): { path: string; args: string[] } {
  const path = Deno.execPath();
  if (Deno.build.standalone) return { path, args };
  const here = import.meta.url;
  const script = here.endsWith("/src/cli/processes.ts") ? new URL("../../main.ts", here).href : here;
  return { path, args: ["run", "--quiet", LEAN, ...PERMISSIONS, script, ...args] };
}

/** Principals on one machine serve every namespace, and have no Argo CD beside them. */
const TRIAL = { ARGOCD_PRINCIPAL_ALLOWED_NAMESPACES: "*", ARGOCD_PRINCIPAL_REDIS_SERVER_ADDRESS: "off" };

/** The flags of a side. */
export function principalArgs({ name, dir, ports, peerPort, store, credentials, redis }: Side): string[] {
  return [
    "principal",
    "--namespace=argocd",
    ...(store ?? [`--store=sqlite:${dir}/${name}.db`]),
    "--listen-host=127.0.0.1",
    `--listen-port=${ports.grpc}`,
    `--ha-admin-port=${ports.admin}`,
    `--healthz-port=${ports.healthz}`,
    `--metrics-port=${ports.metrics}`,
    `--resource-proxy-port=${ports.resourceProxy}`,
    ...(redis === undefined
      ? []
      : [`--redis-server-address=127.0.0.1:${redis}`, `--redis-proxy-port=${ports.redisProxy}`]),
    "--auth=mtls:^CN=([^,]+)",
    ...(credentials ?? [
      `--tls-cert=${dir}/pki/${name}.crt`,
      `--tls-key=${dir}/pki/${name}.key`,
      `--root-ca-path=${dir}/pki/ca.crt`,
      "--insecure-jwt-generate",
      `--resource-proxy-cert-path=${dir}/pki/${name}.crt`,
      `--resource-proxy-key-path=${dir}/pki/${name}.key`,
      `--resource-proxy-ca-path=${dir}/pki/ca.crt`,
    ]),
    "--ha-enabled",
    `--ha-preferred-role=${name}`,
    `--ha-peer-address=127.0.0.1:${peerPort}`,
    "--ha-allowed-replication-clients=primary,replica",
  ];
}

/** A principal in a process of its own; its output goes to DIR/NAME.log. */
export class PrincipalProcess {
  #child: Deno.ChildProcess | undefined;
  #output: Promise<unknown> = Promise.resolve();

  constructor(readonly side: Side) {}

  get admin(): string {
    return `127.0.0.1:${this.side.ports.admin}`;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  get store(): string {
    return `${this.side.dir}/${this.side.name}.db`;
  }

  get log(): string {
    return `${this.side.dir}/${this.side.name}.log`;
  }

  /** @param within a program and its arguments that start what follows them */
  start(flags: string[] = [], within: string[] = []): void {
    const self = selfCommand([...principalArgs(this.side), ...flags]);
    const [path = "", ...args] = [...within, self.path, ...self.args];
    const env = { ...TRIAL, ...this.side.env };
    this.#child = new Deno.Command(path, { args, env, stdin: "null", stdout: "piped", stderr: "piped" })
      .spawn();
    this.#output = Promise.all([this.#keep(this.#child.stdout), this.#keep(this.#child.stderr)]);
  }

  /** FsFile.writable holds writes back, and tests wait for lines of the log. */
  async #keep(output: ReadableStream<Uint8Array>): Promise<void> {
    for await (const chunk of output) Deno.writeFileSync(this.log, chunk, { append: true });
  }

  /** Sends a signal and waits for the end; the exit code, 128 + n for a signal. */
  async kill(signal: Deno.Signal): Promise<number> {
    const child = this.#child;
    if (!child) return 0;
    try {
      child.kill(signal);
    } catch {
      // It has ended already.
    }
    return await this.exited();
  }

  /** Waits for the end. */
  async exited(): Promise<number> {
    const status = await this.#child?.status;
    await this.#output;
    this.#child = undefined;
    return status?.code ?? 0;
  }

  signal(signal: Deno.Signal): void {
    this.#child?.kill(signal);
  }

  /** The answer of `/healthz`; 0 where nothing answers. */
  async healthz(path = "/healthz"): Promise<{ code: number; state: string; body: string }> {
    try {
      const response = await fetch(`http://127.0.0.1:${this.side.ports.healthz}${path}`);
      const body = await response.text();
      return { code: response.status, state: response.headers.get("X-HA-State") ?? "", body };
    } catch {
      return { code: 0, state: "", body: "" };
    }
  }

  /** A series of `/metrics` that has no labels; NaN where there is none. */
  async metric(name: string): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.side.ports.metrics}/metrics`)).text();
    return Number(new RegExp(`^${RegExp.escape(name)} (\\S+)$`, "m").exec(text)?.[1]);
  }

  /** Waits until `/healthz` reports this state. @throws Error with the log's end after `timeoutMs` */
  async untilState(state: string, timeoutMs = 60_000): Promise<void> {
    await until(
      async () => (await this.healthz()).state === state,
      timeoutMs,
      () => `${this.side.name} is not ${state} after ${timeoutMs} ms; its log ends:\n${this.logEnd()}`,
    );
  }

  logEnd(lines = 15): string {
    try {
      return Deno.readTextFileSync(this.log).trimEnd().split("\n").slice(-lines).join("\n");
    } catch {
      return "(no log)";
    }
  }
}

/** Waits for a condition. @throws Error with `why()` after `timeoutMs` */
export async function until(
  holds: () => Promise<boolean> | boolean,
  timeoutMs: number,
  why: () => string,
  everyMs = 20,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(why());
    await delay(everyMs);
  }
}
