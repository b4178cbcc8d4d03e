/** Agents that bring logs and mean ill, and readers who do: each harms at most the log that it was asked for. */
import { connect } from "node:tls";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import grpc from "@grpc/grpc-js";
import type { LogUpload } from "../../src/adapters/grpc/agent_client.ts";
import { logStreamHandlers } from "../../src/adapters/grpc/log_stream.ts";
import { createServer, listenPlaintext } from "../../src/adapters/grpc/server.ts";
import { logStreamService } from "../../src/adapters/grpc/services.ts";
import type { Running } from "../../src/serve.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { StreamedRead } from "../../src/simagents/proxy_client.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { certificateFor, serving, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, type Workshop } from "../support/principals.ts";
import { proxyFlags } from "../support/proxy.ts";
import { rawCall, rawConnection } from "../support/raw_calls.ts";

const BOUND_MS = 60_000;
const MB = 1024 * 1024;
const LOG = "/api/v1/namespaces/shop/pods/web/log?follow=true";
const { OK, CANCELLED, INVALID_ARGUMENT, NOT_FOUND } = grpc.status;
const bytes = (text: string) => new TextEncoder().encode(text);

/** A reader, and how the agent's answer to its request is made by hand. */
interface Asked {
  reader: { text: string; read: StreamedRead };
  id: string;
  call(): LogUpload;
}

interface Scene {
  running: Running;
  agent: SimAgent;
  tls: TlsMaterial;
  ask(): Promise<Asked>;
}

/** An agent that acknowledges requests for logs and brings none by itself. */
async function scene(workshop: Workshop): Promise<Scene> {
  const running = await serving(workshop, proxyFlags(workshop));
  const agent = await startAgent(workshop, running, {
    name: "edge-1",
    misbehaviour: { requests: "unanswered" },
  });
  await untilServed(running, agent);
  const ids: string[] = [];
  agent.onEvent = ({ target, extensions: { eventid = "" } }) => {
    if (target === "containerlog") ids.push(eventid);
  };
  const tls = await certificateFor(`${workshop.dir}/pki`, "edge-1");
  const ask = async () => {
    const before = ids.length;
    const reader = { text: "" } as Asked["reader"];
    reader.read = new StreamedRead(
      running.ports.resourceProxy,
      tls,
      LOG,
      (text) => reader.text += text,
    );
    workshop.onClose(() => reader.read.leave());
    await until(() => ids.length > before, BOUND_MS, () => "the request does not come", 5);
    const id = ids.at(-1) ?? "";
    const call = () => agent.connection?.bringLog?.() as LogUpload;
    return { reader, id, call };
  };
  return { running, agent, tls, ask };
}

const shows = ({ reader }: Asked, text: string) =>
  until(() => reader.text.includes(text), BOUND_MS, () => `"${reader.text}" lacks "${text}"`, 5);

Deno.test(
  "a call brings the log that it named first and no other; what comes after the end is nobody's",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { ask } = await scene(workshop);
      const one = await ask();
      for (const id of ["", "no such request", one.id.toUpperCase()]) {
        const call = one.call();
        await call.send({ request_uuid: id, data: bytes("forged\n") });
        assertEquals(await call.over, NOT_FOUND, id);
      }
      const two = await ask();
      const first = one.call();
      await first.send({ request_uuid: one.id, data: bytes("one\n") });
      await shows(one, "one\n");
      await first.send({ request_uuid: two.id, data: bytes("forged\n") });
      assertEquals(await first.over, INVALID_ARGUMENT);

      const second = one.call();
      await second.send({ request_uuid: one.id, data: bytes("two\n") });
      await shows(one, "two\n");
      const third = one.call();
      await third.send({ request_uuid: one.id, data: bytes("three\n") });
      assertEquals(await second.over, CANCELLED, "another call has taken its place");
      await third.send({ request_uuid: one.id, eof: true });
      await third.send({ request_uuid: one.id, data: bytes("forged\n") });
      assertEquals(await third.over, OK);
      await one.reader.read.ended;
      assertEquals(one.reader.text, "one\ntwo\nthree\n");
      const late = one.call();
      await late.send({ request_uuid: one.id, data: bytes("forged\n") });
      assertEquals(await late.over, NOT_FOUND);
      assertEquals(two.reader.text, "");
    }),
);

Deno.test(
  "a reason of an agent is text of a bounded length on one line, in a status and at the end of a log",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { ask } = await scene(workshop);
      const reason = `\r\nSet-Cookie: a=b\r\n\r\n2026-01-01T00:00:00Z forged\n${"x".repeat(900_000)}`;
      const refused = await ask();
      const call = refused.call();
      await call.send({ request_uuid: refused.id, eof: true, error: reason });
      await refused.reader.read.ended;
      const { status, headers } = refused.reader.read;
      assertEquals([status, headers["set-cookie"]], [500, undefined]);
      const { message } = JSON.parse(refused.reader.text);
      assertStringIncludes(message, "\\r\\nSet-Cookie");
      assert(message.length < 3_000, String(message.length));

      const begun = await ask();
      const other = begun.call();
      await other.send({ request_uuid: begun.id, data: bytes("first\n") });
      await shows(begun, "first\n");
      await other.send({ request_uuid: begun.id, eof: true, error: reason });
      await begun.reader.read.ended;
      assertEquals(
        begun.reader.text.split("\n").length,
        3,
        "the line, the reason, and what follows the last",
      );
      assert(begun.reader.text.length < 3_000);
    }),
);

Deno.test(
  "of a log without end its readers who read nothing are held a bounded part, and others are served",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, tls } = await scene(workshop);
      const [deaf, offered] = [4, 256 * MB];
      const piece = new Uint8Array(MB / 2).fill(120);
      agent.onEvent = ({ target, extensions: { eventid = "" } }) => {
        const upload = target === "containerlog" ? agent.connection?.bringLog?.() : undefined;
        if (upload) void flood(upload, eventid, piece, offered);
      };
      const { ca, cert, key } = tls;
      for (let n = 0; n < deaf; n++) {
        const options = { host: "127.0.0.1", port: running.ports.resourceProxy, ca, cert, key };
        const socket = connect({ ...options, servername: "localhost" }).on("error", () => {});
        workshop.onClose(() => void socket.destroy());
        socket.write(`GET ${LOG} HTTP/1.1\r\nHost: x\r\n\r\n`);
        socket.pause();
      }
      const passed = () => running.core.counters.total("logBytes");
      await until(() => passed() >= deaf * piece.length, BOUND_MS, () => `${passed()} bytes have passed`, 5);

      const honest = await startAgent(workshop, running, { name: "edge-2" });
      await untilServed(running, honest);
      const lines = Array.from({ length: 20_000 }, (_, n) => `line ${n}`);
      honest.logs.say("shop", "web", ...lines);
      honest.logs.end("shop", "web");
      let text = "";
      const own = await certificateFor(`${workshop.dir}/pki`, "edge-2");
      const read = new StreamedRead(running.ports.resourceProxy, own, LOG, (part) => text += part);
      await read.ended;
      assertEquals(text, lines.map((line) => `${line}\n`).join(""));
      assert(passed() < deaf * offered / 4, `${passed()} bytes have passed`);
    }),
);

async function flood(upload: LogUpload, id: string, data: Uint8Array, total: number): Promise<void> {
  let over = false;
  void upload.over.then(() => over = true);
  await upload.send({ request_uuid: id });
  for (let sent = 0; sent < total && !over; sent += data.length) {
    await upload.send({ request_uuid: id, data });
  }
}

Deno.test("a call that names no request is ended after its time", LOOSE, async () => {
  const logs = { size: 0, bring: () => undefined };
  const caller = { name: "edge-1" } as never;
  const server = createServer(MB);
  server.addService(logStreamService, logStreamHandlers(logs, () => Promise.resolve(caller), 200));
  const port = await listenPlaintext(server, "127.0.0.1:0");
  const session = rawConnection(port);
  try {
    const { ended } = rawCall(session, logStreamService.StreamLogs.path);
    const { status, message } = await ended;
    assertEquals([status, message], [INVALID_ARGUMENT, "no request id within 0.2 s"]);
  } finally {
    session.destroy();
    server.forceShutdown();
  }
});
