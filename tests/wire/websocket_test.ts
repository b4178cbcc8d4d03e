/** gRPC over WebSocket at the agents' port: the contract of the Go agents, frame by frame, beside HTTP/2 on the same listener. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import * as services from "../../src/adapters/grpc/services.ts";
import { VERSION } from "../../src/base/version.ts";
import { decodeEvent } from "../../src/domain/events/cloudevent.ts";
import type { Running } from "../../src/serve.ts";
import { application, certificateFor, serving, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, type Workshop } from "../support/principals.ts";
import { frame } from "../support/raw_calls.ts";
import {
  BINARY,
  CLOSE,
  fieldsIn,
  PING,
  PONG,
  rawFrame,
  type RawOptions,
  rawSocket,
  RawWebSocket,
} from "../support/raw_websocket.ts";

const BOUND_MS = 30_000;
const ON = ["--enable-websocket"];
const END = Buffer.from([0x80, 0, 0, 0, 0]);
const { Authenticate, RefreshToken } = services.authenticationService;
const { Subscribe } = services.eventStreamService;
const { Version } = services.versionService;

/** One call with one request: its answer, or the status it ends with. */
async function unary<S>(
  port: number,
  { path, request, read }: { path: string; request: Buffer; read(body: Buffer): S },
  options: RawOptions,
): Promise<{ answer: S | undefined; status: number; message: string }> {
  const raw = await RawWebSocket.open(port, path, options);
  assertEquals(raw.status, 101, raw.answer);
  raw.send(frame(request));
  raw.send(END);
  const first = fieldsIn(await raw.next());
  assertMatch(first["content-type"] ?? "", /^application\/grpc/);
  let trailers = first;
  let answer: S | undefined;
  if (first["grpc-status"] === undefined) {
    const { opcode, body } = await raw.next();
    assertEquals([opcode, body[0], body.readUInt32BE(1)], [BINARY, 0, body.length - 5]);
    answer = read(body.subarray(5));
    trailers = fieldsIn(await raw.next());
  }
  assertEquals((await raw.next()).opcode, CLOSE);
  raw.write(rawFrame(CLOSE, Buffer.from([0x03, 0xe8])));
  await raw.untilClosed();
  return {
    answer,
    status: Number(trailers["grpc-status"]),
    message: decodeURI(trailers["grpc-message"] ?? ""),
  };
}

async function authenticate(port: number, options: RawOptions) {
  const request = { method: "mtls", mode: "managed", version: VERSION, agentNamespace: "argocd" };
  const { path, requestSerialize, responseDeserialize } = Authenticate;
  return await unary(port, { path, request: requestSerialize(request), read: responseDeserialize }, options);
}

const certificate = ({ dir }: Workshop, name: string) => certificateFor(`${dir}/pki`, name);
const streamOf = (running: Running, name: string) => running.core.fleet.agent(name)?.stream;

Deno.test(
  "an agent's calls one by one: a WebSocket each, headers, messages, trailers and the end",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ON);
      const { grpc: port } = running.ports;
      const tls = await certificate(workshop, "edge-1");
      // The agent's library looks at the certificate first, over a connection of HTTP/2 on which it says nothing.
      (await rawSocket(port, tls, ["h2"])).destroy();
      const { answer: tokens } = await authenticate(port, { tls });
      assert(tokens?.accessToken && tokens.refreshToken);
      const read = Version.responseDeserialize;
      const version = await unary(port, { path: Version.path, request: Buffer.alloc(0), read }, { tls });
      assertEquals([version.status, version.answer?.version], [0, `argocd-agent-${VERSION}`]);
      const refreshed = await unary(port, {
        path: RefreshToken.path,
        request: RefreshToken.requestSerialize({ refreshToken: tokens.refreshToken }),
        read: RefreshToken.responseDeserialize,
      }, { tls });
      assertEquals([refreshed.status, typeof refreshed.answer?.accessToken], [0, "string"]);

      await running.core.store.write({ op: "put", object: application("edge-1", "a") });
      const raw = await RawWebSocket.open(port, Subscribe.path, {
        tls,
        headers: { Authorization: refreshed.answer?.accessToken },
      });
      assertMatch(raw.answer, /\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=/i);
      assertMatch(raw.answer, /\r\nsec-websocket-protocol: grpc-ws/i);
      assert(!/sec-websocket-extensions/i.test(raw.answer), raw.answer);
      assertEquals(fieldsIn(await raw.next())["grpc-status"], undefined);
      const event = decodeEvent(Subscribe.responseDeserialize((await raw.next()).body.subarray(5)).event);
      assert(!("problem" in event), JSON.stringify(event));
      assertEquals([event.type, event.target], ["create", "application"]);
      await until(() => streamOf(running, "edge-1") !== undefined, BOUND_MS, () => "it is not served");
      raw.drop();
      await until(
        () => streamOf(running, "edge-1") === undefined,
        BOUND_MS,
        () => "it is not seen to have gone",
      );
      assertEquals(workshop.logs.filter((line) => line.startsWith("warn connection")), []);
    }),
);

Deno.test(
  "a call that is refused is headers and trailers in one message; so is one that does not exist",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ON);
      const tls = await certificate(workshop, "edge-1");
      const cases: [path: string, status: number, message: string][] = [
        [services.eventStreamService.Ping.path, 16, ""],
        ["/versionapi.Version/None", 12, "does not implement"],
      ];
      for (const [path, status, message] of cases) {
        const found = await unary(running.ports.grpc, { path, request: Buffer.alloc(0), read: String }, {
          tls,
        });
        assertEquals([found.status, found.answer], [status, undefined], path);
        assertStringIncludes(found.message, message);
      }
      const raw = await RawWebSocket.open(running.ports.grpc, Subscribe.path, { tls });
      assertEquals(fieldsIn(await raw.next())["grpc-status"], "16");
      assertEquals((await raw.closing()).code, 1000);
      await raw.untilClosed();
    }),
);

Deno.test(
  "packed messages, a list of connection headers and HTTP/1.1 by ALPN are understood",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ON);
      const tls = await certificate(workshop, "edge-1");
      for (
        const options of [
          { headers: { Connection: "keep-alive, Upgrade" } },
          { headers: { Upgrade: "WebSocket", "Sec-WebSocket-Protocol": "other, grpc-ws" } },
          { alpn: ["http/1.1"] },
          { headers: { "Grpc-Timeout": "20S", "Grpc-Accept-Encoding": "gzip" } },
        ]
      ) {
        const { answer, message } = await authenticate(running.ports.grpc, { tls, ...options });
        assert(answer?.accessToken, `${JSON.stringify(options)} ${message}`);
      }
      const { gzipSync } = await import("node:zlib");
      const { path, requestSerialize } = Authenticate;
      const raw = await RawWebSocket.open(running.ports.grpc, path, {
        tls,
        headers: { "Grpc-Encoding": "gzip" },
      });
      const request = requestSerialize({ method: "mtls", mode: "managed", version: VERSION });
      raw.send(frame(gzipSync(request), { compressed: true }));
      raw.send(END);
      assertEquals(fieldsIn(await raw.next())["grpc-status"], undefined);
      raw.drop();
    }),
);

Deno.test(
  "a request that is no call is refused before the WebSocket opens, with a text for the agent's log",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ON);
      const tls = await certificate(workshop, "edge-1");
      const cases: [headers: Record<string, string | undefined>, status: number, text: string][] = [
        [{ Connection: undefined, Upgrade: undefined }, 400, "the proxy in front must pass WebSockets on"],
        [{ "Sec-WebSocket-Protocol": "chat" }, 400, "only WebSockets of the subprotocol grpc-ws"],
        [{ "Sec-WebSocket-Protocol": undefined }, 400, "only WebSockets of the subprotocol grpc-ws"],
        [{ "Content-Type": undefined }, 415, "must be application/grpc"],
        [{ "Content-Type": "text/plain" }, 415, "must be application/grpc"],
        [{ "Sec-WebSocket-Version": "7" }, 400, ""],
        [{ "Sec-WebSocket-Key": "short" }, 400, ""],
        [
          { Connection: undefined, Upgrade: undefined, "Sec-WebSocket-Protocol": undefined },
          404,
          "this port serves gRPC",
        ],
      ];
      for (const [headers, status, text] of cases) {
        const raw = await RawWebSocket.open(running.ports.grpc, Version.path, { tls, headers });
        await raw.untilClosed();
        assertEquals(raw.status, status, raw.answer);
        assertStringIncludes(raw.answer, text);
        assert(raw.answer.length < 1_024, "an agent reads no more");
      }
    }),
);

Deno.test("without the flag the port is HTTP/2 only, as before", LOOSE, () =>
  inWorkshop(async (workshop) => {
    const running = await serving(workshop);
    const tls = await certificate(workshop, "edge-1");
    const raw = await RawWebSocket.open(running.ports.grpc, Version.path, { tls });
    await raw.untilClosed();
    assert(raw.status !== 101, raw.answer);
    const agent = await startAgent(workshop, running, { name: "edge-1" });
    await untilServed(running, agent);
  }));

Deno.test(
  "the identity is the certificate of the WebSocket's own connection, whatever headers say",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ON);
      const { grpc: port } = running.ports;
      const [victim, thief] = [await certificate(workshop, "edge-1"), await certificate(workshop, "edge-2")];
      const { answer } = await authenticate(port, { tls: victim });
      const pem = encodeURIComponent(victim.cert.toString());
      const headers = {
        "X-Forwarded-Client-Cert": `Subject="CN=edge-1";Cert="${pem}"`,
        "X-Forwarded-For": "127.0.0.2",
        "Ssl-Client-Cert": pem,
        "X-Agent": "edge-1",
        Authorization: answer?.accessToken,
      };
      const stolen = await RawWebSocket.open(port, Subscribe.path, { tls: thief, headers });
      const { "grpc-status": status, "grpc-message": message = "" } = fieldsIn(await stolen.next());
      assertEquals(status, "16", message);
      const own = await authenticate(port, { tls: thief, headers });
      const claims = JSON.parse(atob(own.answer?.accessToken?.split(".")[1] ?? ""));
      assertStringIncludes(JSON.stringify(claims), "edge-2");
      assert(!JSON.stringify(claims).includes("edge-1"));
      assertEquals(streamOf(running, "edge-1"), undefined);
    }),
);

Deno.test(
  "a ping of the client is answered, and what comes in pieces is one message",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ON);
      const tls = await certificate(workshop, "edge-1");
      const raw = await RawWebSocket.open(running.ports.grpc, Version.path, {
        tls,
        behind: rawFrame(PING, Buffer.from("are you there")),
      });
      const pong = await raw.next();
      assertEquals([pong.opcode, pong.body.toString()], [PONG, "are you there"]);
      const message = frame(Buffer.alloc(0));
      raw.write(rawFrame(BINARY, message.subarray(0, 2), { final: false }));
      raw.write(rawFrame(PING, Buffer.alloc(0)));
      raw.write(rawFrame(0, message.subarray(2, 2), { final: false }));
      raw.write(rawFrame(0, message.subarray(2)));
      raw.send(END);
      assertEquals((await raw.next()).opcode, PONG);
      assertEquals(fieldsIn(await raw.next())["grpc-status"], undefined);
      assertStringIncludes((await raw.next()).body.toString(), VERSION);
      raw.drop();

      const { answer } = await authenticate(running.ports.grpc, { tls });
      const pinging = await RawWebSocket.open(running.ports.grpc, Subscribe.path, {
        tls,
        headers: { Authorization: answer?.accessToken },
      });
      for (let n = 0; n < 200; n++) {
        pinging.write(rawFrame(PING, Buffer.alloc(0)));
        for (let { opcode } = await pinging.next(); opcode !== PONG;) opcode = (await pinging.next()).opcode;
      }
      pinging.drop();
    }),
);
