/** Principals inside the test's process, on real sockets with real certificates. */
import { Buffer } from "node:buffer";
import { until } from "./until.ts";
import { initPki } from "../../src/cli/pki.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import type { Log } from "../../src/base/log.ts";
import { openSqlite } from "../../src/adapters/store/sqlite.ts";
import { principalUid, writeMemory } from "../../src/principal/core/memory.ts";
import { memory } from "./models.ts";
import { UNHANDLED } from "../../src/principal/core/observe.ts";
import { type Running, startPrincipal } from "../../src/serve.ts";
import { parseSettings, type Settings } from "../../src/config/settings.ts";

export { until };

/** Options for tests that leave timers of libraries behind for a moment. */
export const LOOSE = { sanitizeOps: false, sanitizeResources: false } as const;

/** Every namespace, and no Redis, where a flag does not say otherwise. */
const ENVIRONMENT: Record<string, string> = {
  ARGOCD_PRINCIPAL_ALLOWED_NAMESPACES: "*",
  ARGOCD_PRINCIPAL_REDIS_SERVER_ADDRESS: "off",
};

/** A temporary folder with certificates, removed at the end with everything that was started in it. */
export class Workshop {
  readonly dir = Deno.makeTempDirSync({ prefix: "aaha-test-" });
  readonly logs: string[] = [];
  readonly #cleanups: (() => Promise<void> | void)[] = [];

  static async open(): Promise<Workshop> {
    const workshop = new Workshop();
    await initPki(`${workshop.dir}/pki`, { sans: [], agents: 1, days: 1 });
    return workshop;
  }

  onClose(cleanup: () => Promise<void> | void): void {
    this.#cleanups.push(cleanup);
  }

  /** Settings as `principal` would have them, with free ports; `peerPort` 0: no peer. */
  settings(name: "primary" | "replica", peerPort: number, flags: string[] = []): Settings {
    const { settings } = parseSettings([
      "--namespace=argocd",
      "--auth=mtls:CN=([^,]+)",
      `--store=sqlite:${this.dir}/${name}.db`,
      "--listen-host=127.0.0.1",
      `--tls-cert=${this.dir}/pki/${name}.crt`,
      `--tls-key=${this.dir}/pki/${name}.key`,
      `--root-ca-path=${this.dir}/pki/ca.crt`,
      "--ha-enabled",
      "--ha-allowed-replication-clients=primary,replica",
      "--ha-peer-check-timeout=500ms",
      `--ha-preferred-role=${peerPort > 0 ? name : "primary"}`,
      ...(peerPort > 0 ? [`--ha-peer-address=127.0.0.1:${peerPort}`] : []),
      ...flags,
    ], (name) => ENVIRONMENT[name]);
    const { redis } = settings;
    return {
      ...settings,
      ...{ listenPort: 0, metricsPort: 0, healthzPort: 0, adminPort: 0 },
      redis: redis && { ...redis, proxy: redis.proxy && { ...redis.proxy, port: 0 } },
    };
  }

  async start(settings: Settings): Promise<Running> {
    const running = await startPrincipal(settings, this.#log());
    this.#cleanups.push(() => running.stop());
    return running;
  }

  /** Starts a principal that was ACTIVE before, and so goes ACTIVE though its peer does not answer. */
  async served(settings: Settings): Promise<Running> {
    if (settings.store.type !== "sqlite") throw new Error("only the embedded store is prepared here");
    const store = openSqlite(settings.store.path);
    const leader = await principalUid(store, settings.namespace);
    await writeMemory(store, settings.namespace, memory({ role: "active", epoch: 1, leader }));
    await store.close();
    return await this.start(settings);
  }

  async close(): Promise<void> {
    for (const cleanup of this.#cleanups.reverse()) await cleanup();
    Deno.removeSync(this.dir, { recursive: true });
  }

  #log(): Log {
    const line = (level: string) => (message: string, fields = {}) => {
      this.logs.push(`${level} ${message} ${JSON.stringify(fields)}`);
    };
    return {
      trace: line("trace"),
      debug: line("debug"),
      info: line("info"),
      warn: line("warn"),
      error: line("error"),
    };
  }
}

/** Runs a test in a workshop and cleans up whatever happens. */
export async function inWorkshop(run: (workshop: Workshop) => Promise<void>): Promise<void> {
  const workshop = await Workshop.open();
  try {
    await run(workshop);
    const unhandled = workshop.logs.find((line) => line.includes(UNHANDLED));
    if (unhandled) throw new Error(unhandled);
  } catch (error) {
    if (error instanceof Error) error.message += `\nlogs:\n${workshop.logs.slice(-30).join("\n")}`;
    throw error;
  } finally {
    await workshop.close();
  }
}

/** The certificate, key and CA of a workshop by name: primary, replica, agent-1. */
export function material({ dir }: { dir: string }, name: string): TlsMaterial {
  const pem = (file: string) => Buffer.from(Deno.readFileSync(`${dir}/pki/${file}`));
  return { cert: pem(`${name}.crt`), key: pem(`${name}.key`), ca: pem("ca.crt"), notAfterMs: 0 };
}

/** Waits for a state. */
export function untilState(running: Running, state: string, timeoutMs = 15_000): Promise<void> {
  return until(
    () => running.core.model().state === state,
    timeoutMs,
    () => `the state is ${running.core.model().state}, not ${state}: ${running.core.model().explanation}`,
    5,
  );
}

/** Waits until both hold the same resources. */
export function untilEqual(a: Running, b: Running, timeoutMs = 15_000): Promise<void> {
  return until(
    () => a.core.index.digests.root() === b.core.index.digests.root(),
    timeoutMs,
    () => `the digests differ: ${a.core.index.size} and ${b.core.index.size} resources`,
    5,
  );
}

/** A TCP proxy that can be cut, or can swallow everything without closing (a half-open link). */
export class Proxy {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.Conn>();
  readonly #frozen = new Set<Deno.Conn>();
  mode: "pass" | "swallow" | "refuse" = "pass";
  accepted = 0;
  /** The bytes that passed, both ways together. */
  bytes = 0;

  constructor(public targetPort: number) {
    this.#run();
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** Present connections stay open and go silent; new ones pass. */
  freeze(): void {
    for (const connection of this.#connections) this.#frozen.add(connection);
  }

  /** Closes every connection. */
  cut(): void {
    for (const connection of this.#connections) {
      try {
        connection.close();
      } catch {
        // It is closed already.
      }
    }
    this.#connections.clear();
  }

  close(): void {
    this.#listener.close();
    this.cut();
  }

  async #run(): Promise<void> {
    for await (const client of this.#listener) {
      this.accepted++;
      if (this.mode === "refuse") client.close();
      else this.#serve(client).catch(() => client.close());
    }
  }

  async #serve(client: Deno.Conn): Promise<void> {
    const server = await Deno.connect({ hostname: "127.0.0.1", port: this.targetPort });
    for (const one of [client, server]) {
      (one as Deno.TcpConn).setNoDelay(true);
      this.#connections.add(one);
    }
    const pump = async (from: Deno.Conn, to: Deno.Conn) => {
      const buffer = new Uint8Array(65_536);
      for (let n = await from.read(buffer); n !== null; n = await from.read(buffer)) {
        if (this.mode === "swallow" || this.#frozen.has(from)) continue;
        this.bytes += n;
        for (let at = 0; at < n;) at += await to.write(buffer.subarray(at, n));
      }
    };
    await Promise.race([pump(client, server), pump(server, client)]).catch(() => {});
    for (const one of [client, server]) {
      this.#connections.delete(one);
      this.#frozen.delete(one);
      try {
        one.close();
      } catch {
        // It is closed already.
      }
    }
  }
}
