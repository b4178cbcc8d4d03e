/** WebSockets at the agents' port under attack: each bound, condition and gate of the port holds on this way in too. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import { CALL_BOUNDS } from "../../src/adapters/grpc/call_bounds.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { connectOverWebSockets } from "../../src/adapters/grpc/agent_client.ts";
import {
  application,
  certificateFor,
  serving,
  startAgent,
  untilHolds,
  untilServed,
} from "../support/agents.ts";
import { inWorkshop, LOOSE, until, type Workshop } from "../support/principals.ts";
import { frame } from "../support/raw_calls.ts";
import { BINARY, fieldsIn, PING, rawFrame, RawWebSocket, TEXT } from "../support/raw_websocket.ts";

const BOUND_MS = 30_000;
const MB = 1024 * 1024;
const END = Buffer.from([0x80, 0, 0, 0, 0]);
const NOTHING = frame(Buffer.alloc(0));
const ON = ["--enable-websocket"];
const AUTHENTICATE = services.authenticationService.Authenticate.path;
const { Subscribe } = services.eventStreamService;
const { UNAVAILABLE } = grpc.status;

const certificate = ({ dir }: Workshop, name: string) => certificateFor(`${dir}/pki`, name);

Deno.test(
  "messages that are no frames of gRPC end their call with the code of a close frame, and nothing else",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ON);
      const tls = await certificate(workshop, "edge-1");
      const binary = (body: Uint8Array) => rawFrame(BINARY, body);
      const cases: [name: string, sent: Buffer[], code: number, text: string][] = [
        ["text", [rawFrame(TEXT, Buffer.from("hello"))], 1003, "a text message"],
        ["text that is a frame", [rawFrame(TEXT, NOTHING)], 1003, "a text message"],
        ["nothing", [binary(Buffer.alloc(0))], 1002, "a frame of 0 bytes"],
        ["half a prefix", [binary(Buffer.alloc(4))], 1002, "a frame of 4 bytes"],
        ["less than it says", [binary(frame(Buffer.alloc(9), { told: 10 }))], 1002, "9 bytes that says 10"],
        ["more than it says", [binary(Buffer.concat([NOTHING, NOTHING]))], 1002, "5 bytes that says 0"],
        ["metadata", [binary(Buffer.from([0x80, 0, 0, 0, 1, 65]))], 1002, "metadata from a client"],
        ["packed metadata", [binary(Buffer.from([0x81, 0, 0, 0, 0]))], 1002, "the flags 129"],
        ["other flags", [binary(Buffer.from([2, 0, 0, 0, 0]))], 1002, "the flags 2"],
        ["after the last", [binary(END), binary(NOTHING)], 1002, "a message after the last"],
        ["without a mask", [rawFrame(BINARY, NOTHING, { masked: false })], 1002, ""],
        ["the rest of nothing", [rawFrame(0, NOTHING)], 1002, ""],
        ["an unknown kind", [rawFrame(5, NOTHING)], 1002, ""],
        ["a ping in pieces", [rawFrame(PING, NOTHING, { final: false })], 1002, ""],
      ];
      for (const [name, sent, code, text] of cases) {
        const path = name === "after the last" ? Subscribe.path : AUTHENTICATE;
        const { accessToken } = await tokens(running.ports.grpc, tls);
        const raw = await RawWebSocket.open(running.ports.grpc, path, {
          tls,
          headers: { Authorization: accessToken },
        });
        raw.write(Buffer.concat(sent));
        const closing = await raw.closing();
        assertEquals(closing.code, code, name);
        assertStringIncludes(closing.text, text, name);
        await raw.untilClosed();
      }
      const agent = await startAgent(workshop, running, { name: "edge-2", connect: connectOverWebSockets });
      await untilServed(running, agent);
    }),
);

/** The tokens of an agent, over a WebSocket. */
async function tokens(port: number, tls: Awaited<ReturnType<typeof certificate>>) {
  const { Authenticate } = services.authenticationService;
  const raw = await RawWebSocket.open(port, Authenticate.path, { tls });
  raw.send(frame(Authenticate.requestSerialize({ method: "mtls", mode: "managed", version: "0.8.1" })));
  raw.send(END);
  fieldsIn(await raw.next());
  const { accessToken = "" } = Authenticate.responseDeserialize((await raw.next()).body.subarray(5));
  raw.drop();
  return { accessToken };
}

Deno.test(
  "a message beyond its call's bound is refused at its first bytes, in every call, and nothing of it is kept",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ON);
      const tls = await certificate(workshop, "edge-1");
      const { accessToken } = await tokens(running.ports.grpc, tls);
      const headers = { Authorization: accessToken };
      for (const [path, { bytes, cut }] of CALL_BOUNDS) {
        if (/HAAdmin|Operator/.test(path)) continue;
        const raw = await RawWebSocket.open(running.ports.grpc, path, { tls, headers });
        const told = (cut ? 64 * MB - 5 : bytes) + 5 + 1;
        raw.write(rawFrame(BINARY, Buffer.alloc(100), { told }));
        const ended = await raw.trailers().then(({ status }) => `status ${status}`, ({ message }) => message);
        // Or the caller is refused first: it may not call this.
        assertMatch(ended, /^(closed with 1009|status (7|14|16))$/, path);
        raw.drop();
      }
    }),
);

Deno.test(
  "a certificate that is blocked loses its WebSockets at once, and no other does",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ON);
      const tls = await certificate(workshop, "edge-1");
      const { accessToken } = await tokens(running.ports.grpc, tls);
      const options = { tls, headers: { Authorization: accessToken } };
      const raw = await RawWebSocket.open(running.ports.grpc, Subscribe.path, options);
      const other = await startAgent(workshop, running, { name: "edge-2", connect: connectOverWebSockets });
      await untilServed(running, other);
      await until(
        () => running.core.fleet.agent("edge-1")?.stream !== undefined,
        BOUND_MS,
        () => "not served",
      );
      const { X509Certificate } = await import("node:crypto");
      const fingerprint = new X509Certificate(tls.cert).fingerprint256.replaceAll(":", "");
      await running.core.store.write({
        op: "put",
        object: {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "argocd-agent-tls-blocklist", namespace: "argocd" },
          data: { [fingerprint]: "stolen" },
        },
      });
      const BLOCKED = { status: 16, message: "the certificate is on the blocklist" };
      assertEquals(await raw.trailers(), BLOCKED);
      await raw.untilClosed();
      const back = await RawWebSocket.open(running.ports.grpc, AUTHENTICATE, { tls });
      assertEquals(await back.trailers(), BLOCKED);
      back.drop();
      await running.core.store.write({ op: "put", object: application("edge-2", "a") });
      await untilHolds(other, "Application", ["a"]);
      assertEquals(other.seen.connects, 1);
    }),
);

Deno.test(
  "a client has as many calls of a kind as its bound, over WebSockets and HTTP/2 together",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ON);
      const tls = await certificate(workshop, "edge-1");
      const { perClient } = CALL_BOUNDS.get(AUTHENTICATE) ?? { perClient: 0 };
      const open = await Promise.all(
        Array.from({ length: perClient }, () => RawWebSocket.open(running.ports.grpc, AUTHENTICATE, { tls })),
      );
      const tooMany = await RawWebSocket.open(running.ports.grpc, AUTHENTICATE, { tls });
      const { status, message } = await tooMany.trailers();
      assertEquals(status, UNAVAILABLE);
      assertStringIncludes(message, "too many calls of this kind open");
      const other = await startAgent(workshop, running, { name: "edge-2", connect: connectOverWebSockets });
      await untilServed(running, other);
      for (const raw of open) raw.drop();
      const again = () => tokens(running.ports.grpc, tls).then(() => true, () => false);
      await until(again, BOUND_MS, () => "the places are not free again");
    }),
);

Deno.test(
  "connections of WebSockets count where others do: at a bound the newcomer waits outside, and calls go on",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, [...ON, "--max-connections-per-source=3"]);
      const tls = await certificate(workshop, "edge-1");
      const agent = await startAgent(workshop, running, { name: "edge-2", connect: connectOverWebSockets });
      await untilServed(running, agent);
      const open: RawWebSocket[] = [];
      await until(
        async () => {
          open.push(await RawWebSocket.open(running.ports.grpc, AUTHENTICATE, { tls }).catch(() => open[0]!));
          return workshop.logs.some((line) => line.includes("3 connections from 127.0.0.1 are open"));
        },
        BOUND_MS,
        () => `${open.length} are open`,
      );
      await running.core.store.write({ op: "put", object: application("edge-2", "a") });
      await untilHolds(agent, "Application", ["a"]);
      for (const raw of open) raw.drop();
    }),
);
