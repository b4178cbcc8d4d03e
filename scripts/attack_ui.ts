/** Attacks through the doors of Argo CD's UI, by an agent that is its own reader: its certificate is that of a caller, too. */
import net from "node:net";
import tls from "node:tls";
import { delay } from "@std/async/delay";
import type { LogUpload } from "../src/adapters/grpc/agent_client.ts";
import type { TlsMaterial } from "../src/adapters/tls/files.ts";
import { CACHE_FORMAT } from "../src/domain/redis/keys.ts";
import { SimAgent } from "../src/simagents/agent.ts";
import { askProxy, StreamedRead } from "../src/simagents/proxy_client.ts";
import { until } from "../src/cli/processes.ts";
import { command } from "../tests/support/redis.ts";

const MB = 1024 * 1024;
const WAIT_MS = 60_000;
const ROUND_MS = 2_000;
const LONG_ROUND_MS = 30_000;
const READERS = 32;
const PAGES = 20;
const TREES = 50;
const BODIES = 50;
const LOG = "/api/v1/namespaces/shop/pods/web/log?follow=true";
const POST = "/api/v1/namespaces/shop/configmaps";

/** Where the principal is, and who attacks it. */
interface Doors {
  name: string;
  material: TlsMaterial;
  grpc: number;
  resourceProxy: number;
  redisProxy: number;
}

export function uiAttacks(doors: Doors): Record<string, () => Promise<void>> {
  const { resourceProxy, redisProxy, material, name } = doors;
  let agent: SimAgent | undefined;
  const connected = async (requests?: "unanswered" | "ignored"): Promise<SimAgent> => {
    if (agent) return agent;
    const address = () => `127.0.0.1:${doors.grpc}`;
    const misbehaviour = requests ? { requests } : {};
    agent = new SimAgent({ name, mode: "managed", address, material, misbehaviour });
    agent.start();
    const own = agent;
    await until(() => own.connected, WAIT_MS, () => "the agent is not connected");
    return agent;
  };
  /** Brings whatever log it is asked for in pieces of this size, without end. */
  const floods = async (bytes: number) => {
    const own = await connected("unanswered");
    own.onEvent = ({ target, extensions: { eventid = "" } }) => {
      const upload = target === "containerlog" ? own.connection?.bringLog?.() : undefined;
      if (upload) void flood(upload, eventid, new Uint8Array(bytes).fill(120));
    };
  };
  return {
    logs: async () => {
      await floods(1);
      const readers = Array.from(
        { length: READERS },
        () => new StreamedRead(resourceProxy, material, LOG, () => {}),
      );
      await delay(LONG_ROUND_MS);
      for (const reader of readers) reader.leave();
    },
    deafReaders: async () => {
      await floods(MB / 2);
      const { ca, cert, key } = material;
      const readers = Array.from({ length: READERS }, () => {
        const options = { host: "127.0.0.1", port: resourceProxy, ca, cert, key, servername: "localhost" };
        const socket = tls.connect(options).on("error", () => {});
        socket.write(`GET ${LOG} HTTP/1.1\r\nHost: x\r\n\r\n`);
        return socket.pause();
      });
      await delay(ROUND_MS);
      for (const reader of readers) reader.destroy();
    },
    deafPages: async () => {
      const { redis } = await connected();
      redis.values.set(`app|resources-tree|web|${CACHE_FORMAT}`, new Uint8Array(4 * MB));
      const asks = command("get", `app|resources-tree|${name}_web|${CACHE_FORMAT}`).repeat(TREES);
      const pages = Array.from({ length: PAGES }, () => {
        const socket = net.connect(redisProxy, "127.0.0.1").on("error", () => {});
        socket.write(asks);
        return socket.pause();
      });
      await delay(ROUND_MS);
      for (const page of pages) page.destroy();
    },
    bodies: async () => {
      await connected("ignored");
      const asking = { method: "POST", body: "x".repeat(3_000_000) };
      const signal = AbortSignal.timeout(ROUND_MS);
      await Promise.allSettled(
        Array.from({ length: BODIES }, () => askProxy(resourceProxy, material, POST, { ...asking, signal })),
      );
    },
  };
}

async function flood(upload: LogUpload, request: string, data: Uint8Array): Promise<void> {
  let over = false;
  void upload.over.then(() => over = true);
  await upload.send({ request_uuid: request });
  while (!over) await upload.send({ request_uuid: request, data });
}
