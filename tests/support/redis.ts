/** Real Redis servers, and raw connections to them. */
import { Buffer } from "node:buffer";
import { assert } from "@std/assert";
import { createClient, RESP_TYPES } from "@redis/client";
import { freePorts } from "../../src/cli/processes.ts";
import type { Settings } from "../../src/config/settings.ts";
import { until, type Workshop } from "./principals.ts";

const BOUND_MS = 60_000;

/** The version of the protocol. */
export type RespVersion = 2 | 3;

/** The server of `REDIS_BINARY`; undefined: there is none, and its tests are left out. */
export const REDIS = Deno.env.get("REDIS_BINARY");

/** Starts a Redis with password `pw` on loopback; the result kills it. */
export function startRedis(workshop: Workshop, port: number, flags: string[] = []): () => Promise<void> {
  const child = new Deno.Command(REDIS as string, {
    args: [
      ...["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--dir", workshop.dir],
      ...["--requirepass", "pw", ...flags],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  let running = true;
  const stop = async () => {
    if (!running) return;
    running = false;
    child.kill("SIGKILL");
    await child.status;
  };
  workshop.onClose(stop);
  return stop;
}

/** A connection without a client library: what is sent and what comes, as text. */
export class RawRedis {
  #received = "";
  closed = false;

  private constructor(private readonly connection: Deno.Conn) {
    void this.#read();
  }

  static async open(port: number): Promise<RawRedis> {
    return new RawRedis(await Deno.connect({ hostname: "127.0.0.1", port }));
  }

  /** The text that came since the last `take`. */
  get received(): string {
    return this.#received;
  }

  take(): string {
    const taken = this.#received;
    this.#received = "";
    return taken;
  }

  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await this.connection.write(bytes.subarray(at));
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.connection.close();
  }

  async #read(): Promise<void> {
    const buffer = new Uint8Array(65_536);
    try {
      for (let n = await this.connection.read(buffer); n !== null; n = await this.connection.read(buffer)) {
        this.#received += new TextDecoder().decode(buffer.subarray(0, n));
      }
    } catch {
      // It was reset.
    }
    this.close();
  }
}

/** A command as a client sends it. */
export function command(...parts: string[]): string {
  return `*${parts.length}\r\n${parts.map((part) => `$${part.length}\r\n${part}\r\n`).join("")}`;
}

/** A principal's settings; the port of its proxy stays the same over a restart. */
export function redisSettings(workshop: Workshop, redisPort: number, flags: string[] = []): Settings {
  const made = workshop.settings("primary", 0, [
    "--insecure-jwt-generate",
    `--redis-server-address=127.0.0.1:${redisPort}`,
    "--redis-password=pw",
    ...flags,
  ]);
  const { redis } = made;
  assert(redis?.proxy);
  return { ...made, redis: { ...redis, proxy: { ...redis.proxy, port: freePorts(1)[0] ?? 0 } } };
}

/** Waits until a server answers: a Redis has started, or the proxy reaches one. */
export async function untilAnswers(port: number): Promise<void> {
  await until(
    async () => {
      const client = await client2(port).catch(() => undefined);
      client?.destroy();
      return client !== undefined;
    },
    BOUND_MS,
    () => `no Redis answers on port ${port}`,
    50,
  );
}

/** A client of RESP2. */
export const client2 = (port: number) => dial(port, 2);

/** A client that does not reconnect by itself. */
export async function dial(port: number, RESP: RespVersion) {
  const client = createClient({
    url: `redis://:pw@127.0.0.1:${port}`,
    RESP,
    socket: { reconnectStrategy: false },
  }).on("error", () => {});
  await client.connect();
  return client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
}
