/** WebSockets of clients that say nothing, too much, or nothing any more, and that do not read: each costs no more than its bound. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import { deadline } from "@std/async/deadline";
import * as services from "../../src/adapters/grpc/services.ts";
import { webSocketCalls } from "../../src/adapters/grpc/websocket_call.ts";
import { inWorkshop, LOOSE, material, until } from "../support/principals.ts";
import { frame } from "../support/raw_calls.ts";
import { eventOf, withWebSockets } from "../support/websocket_server.ts";
import { BINARY, fieldsIn, PING, rawFrame, rawSocket, RawWebSocket } from "../support/raw_websocket.ts";

const BOUND_MS = 60_000;
const MB = 1024 * 1024;
const END = Buffer.from([0x80, 0, 0, 0, 0]);
const NOTHING = frame(Buffer.alloc(0));
const VERSION = services.versionService.Version.path;
const { Subscribe } = services.eventStreamService;
const { UNAVAILABLE, DEADLINE_EXCEEDED } = grpc.status;

for (const over of ["TLS", "plaintext"]) {
  Deno.test(
    `over ${over} nothing is read that a handler does not ask for: not of a large message, and not of many`,
    LOOSE,
    () =>
      inWorkshop(async (workshop) => {
        const [server, client] = ["primary", "agent-1"].map((name) =>
          over === "TLS" ? material(workshop, name) : undefined
        );
        await withWebSockets(async ({ port, open }) => {
          const call = (path: string) => RawWebSocket.open(port, path, { tls: client });
          const [large, many] = [await call(Subscribe.path), await call(Subscribe.path)];
          await until(() => open.size === 2, BOUND_MS, () => "not open");
          const body = frame(Subscribe.requestSerialize(eventOf(60 * MB)));
          large.write(rawFrame(BINARY, Buffer.alloc(0), { told: body.length }));
          for (let at = 0; at < body.length; at += 16_000) large.write(body.subarray(at, at + 16_000));
          for (let n = 0; n < 4_000; n++) many.send(frame(Subscribe.requestSerialize(eventOf(16_000))));
          for (let n = 0; n < 20; n++) {
            const other = await call(VERSION);
            other.send(NOTHING);
            other.send(END);
            assertEquals((await other.trailers()).status, 0);
            await other.closing();
          }
          for (const { unsent } of [large, many]) {
            assert(unsent > 30 * MB, `${unsent} bytes wait at the client`);
          }
          let events = 0;
          for (const call of open) call.on("data", () => events++);
          await until(() => events === 4_001, BOUND_MS, () => `${events} events`);
          for (const raw of [large, many]) raw.drop();
        }, { tls: server });
      }),
  );
}

Deno.test(
  "a message in more pieces than one comes in, and pings that are not read, end the connection",
  LOOSE,
  () =>
    withWebSockets(async ({ port, open }) => {
      const pieces = await RawWebSocket.open(port, Subscribe.path);
      await until(() => open.size === 1, BOUND_MS, () => "not open");
      for (const call of open) call.resume();
      const first = rawFrame(BINARY, Buffer.from([0]), { final: false });
      const rest = rawFrame(0, Buffer.from([0]), { final: false });
      pieces.write(Buffer.concat([first, ...Array.from({ length: 20_000 }, () => rest)]));
      assertEquals((await pieces.closing()).code, 1008);
      await until(() => open.size === 0, BOUND_MS, () => "it goes on");

      const pinging = await RawWebSocket.open(port, Subscribe.path);
      await until(() => open.size === 1, BOUND_MS, () => "not open");
      for (const call of open) call.resume();
      pinging.pause();
      const pings = Buffer.concat(Array.from({ length: 1_000 }, () => rawFrame(PING, Buffer.alloc(125))));
      await until(
        () => {
          if (pinging.unsent < 10 * MB) { for (let n = 0; n < 20; n++) pinging.write(pings); }
          return open.size === 0;
        },
        BOUND_MS,
        () => `${pinging.unsent} bytes wait, and the call goes on`,
        1,
      );
      pinging.drop();
    }),
);

Deno.test(
  "a client that says nothing: before its handshake, in it, and behind it",
  LOOSE,
  () =>
    withWebSockets(async ({ port, gate }) => {
      const silent = await rawSocket(port);
      const half = await rawSocket(port);
      half.write(`GET ${VERSION} HTTP/1.1\r\nHost: x\r\nX-`);
      const endless = await rawSocket(port);
      for (const socket of [silent, half, endless]) socket.on("error", () => {}).resume();
      let closed = 0;
      for (const socket of [silent, half, endless]) socket.on("close", () => closed++);
      let sent = 0;
      const more = () => endless.write(`X-${sent++}: ${"x".repeat(1_000)}\r\n`, (error) => error || more());
      endless.write(`GET ${VERSION} HTTP/1.1\r\nHost: x\r\n`, more);
      const raw = await RawWebSocket.open(port, VERSION);
      const { "grpc-status": status } = fieldsIn(await raw.next());
      assertEquals(Number(status), DEADLINE_EXCEEDED);
      assertEquals((await raw.closing()).code, 1000);
      await raw.untilClosed();
      await until(
        () => closed === 3 && gate.open === 0,
        BOUND_MS,
        () => `${closed} closed, ${gate.open} open`,
      );
      assert(sent < 10_000, `${sent} headers were taken`);
    }, { requestMs: 200, firstRequestMs: 4_000 }),
);

Deno.test(
  "a client that is gone without a word is noticed by its pings; one that is alive is not taken for it",
  LOOSE,
  () =>
    withWebSockets(async ({ port, open }) => {
      const alive = await RawWebSocket.open(port, Subscribe.path);
      let pings = 0;
      const answering = setInterval(() => {
        for (const { opcode, body } of alive.messages.splice(0)) {
          if (opcode !== PING) continue;
          pings++;
          alive.write(rawFrame(10, body));
        }
      }, 5);
      await until(() => open.size === 1, BOUND_MS, () => "not open");
      const [kept] = open;
      kept?.resume();
      const gone = await RawWebSocket.open(port, Subscribe.path);
      await until(() => open.size === 2, BOUND_MS, () => "not open");
      for (const call of open) call.resume();
      await gone.untilClosed();
      await until(() => open.size === 1, BOUND_MS, () => "its call goes on");
      const seen = pings;
      await until(() => pings > seen + 10, BOUND_MS, () => `${pings} pings`);
      assert(kept && open.has(kept));
      clearInterval(answering);
      alive.drop();
    }, { pings: { everyMs: 100, unheard: 30 } }),
);

for (const over of ["TLS", "plaintext"]) {
  Deno.test(
    `over ${over} a client that does not read is waited for, then given up, and takes what is on its way only`,
    LOOSE,
    () =>
      inWorkshop(async (workshop) => {
        const [server, client] = ["primary", "agent-1"].map((name) =>
          over === "TLS" ? material(workshop, name) : undefined
        );
        await withWebSockets(async ({ port, open }) => {
          const raw = await RawWebSocket.open(port, Subscribe.path, { tls: client });
          await until(() => open.size === 1, BOUND_MS, () => "not open");
          const [call] = open;
          raw.pause();
          call?.resume();
          let taken = 0;
          const write = () => open.size > 0 && call?.write(eventOf(MB), () => (taken++, write()));
          write();
          await until(() => open.size === 0, BOUND_MS, () => `${taken} MB taken, and it goes on`);
          assert(taken < 64, `${taken} MB were taken`);
          raw.drop();
        }, { tls: server, pings: { everyMs: 100, unheard: 20 } });
      }),
  );
}

Deno.test(
  "a message of more than 64 MiB is not sent; the call ends with a code that an agent survives",
  LOOSE,
  () =>
    withWebSockets(async ({ port, open }) => {
      const client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure(), {
        interceptors: [webSocketCalls(`127.0.0.1:${port}`, undefined)],
      });
      const { path, requestSerialize, responseDeserialize } = Subscribe;
      const sizes: number[] = [];
      const ended = Promise.withResolvers<grpc.ServiceError>();
      const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
      call.on("data", (message) => sizes.push(Subscribe.responseSerialize(message).length));
      call.on("error", ended.resolve);
      await until(() => open.size === 1, BOUND_MS, () => "not open");
      const [served] = open;
      const most = 64 * MB - 5;
      const rest = Subscribe.responseSerialize(eventOf(most)).length - most;
      served?.write(eventOf(most - rest));
      await until(() => sizes.length === 1, BOUND_MS, () => "the largest does not arrive");
      served?.write(eventOf(most - rest + 1));
      const { code, details } = await deadline(ended.promise, BOUND_MS);
      assertEquals(code, UNAVAILABLE);
      assertStringIncludes(details, "larger than max");
      assertEquals(sizes, [most]);
      client.close();
    }),
);
