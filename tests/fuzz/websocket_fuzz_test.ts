/**
 * WebSockets at the agents' port, from seeds: what is cut and joined anywhere arrives as it was sent, and nonsense in any layer ends its
 * own connection, with a code of its own, and nothing else.
 */
import { assert, assertEquals } from "@std/assert";
import { chunk } from "@std/collections/chunk";
import { Buffer } from "node:buffer";
import { connectOverWebSockets } from "../../src/adapters/grpc/agent_client.ts";
import { CALL_BOUNDS } from "../../src/adapters/grpc/call_bounds.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { certificateFor, serving, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until } from "../support/principals.ts";
import { type Random, seeded } from "../support/random.ts";
import { frame } from "../support/raw_calls.ts";
import { BINARY, CLOSE, PING, rawFrame, rawSocket, RawWebSocket } from "../support/raw_websocket.ts";
import { eventOf, withWebSockets } from "../support/websocket_server.ts";

const SEED = 20_261_126;
const BOUND_MS = 30_000;
const STREAMS = 40;
const CALLS = 300;
const HANDSHAKES = 150;
const { Subscribe } = services.eventStreamService;
/** Normal, of the protocol, a kind that is not taken, text that is none, against a rule, too large. */
const CODES = [1000, 1002, 1003, 1007, 1008, 1009];

/** The frames of a message, in pieces, with control frames between them. */
function inPieces(random: Random, message: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  for (let at = 0, opcode = BINARY; at < message.length || opcode === BINARY; opcode = 0) {
    const to = at + random.int(message.length - at + 1);
    const final = to === message.length;
    frames.push(rawFrame(opcode, message.subarray(at, to), { final }));
    if (random.chance(0.2)) frames.push(rawFrame(random.pick([PING, 10]), random.bytes(random.int(125))));
    if (final) break;
    at = to;
  }
  return frames;
}

Deno.test(
  "messages in any pieces, however the bytes are cut, arrive whole and in order",
  LOOSE,
  () =>
    withWebSockets(async ({ port, open }) => {
      for (let n = 0; n < STREAMS; n++) {
        const random = seeded(SEED + n);
        const raw = await RawWebSocket.open(port, Subscribe.path);
        await until(() => open.size === 1, BOUND_MS, () => "not open");
        const received: number[] = [];
        let ended = false;
        for (const call of open) {
          call.on("data", (message) => received.push(Subscribe.requestSerialize(message).length));
          call.on("end", () => ended = true);
          if (random.chance(0.5)) {
            call.pause();
            setTimeout(() => call.resume(), 1);
          }
        }
        const messages = Array.from(
          { length: 1 + random.int(20) },
          () => Subscribe.requestSerialize(eventOf(random.int(random.pick([10, 1_000, 200_000])))),
        );
        const bytes = Buffer.concat([
          ...messages.flatMap((message) => inPieces(random, frame(message))),
          rawFrame(BINARY, Buffer.from([0x80, 0, 0, 0, 0])),
        ]);
        for (let at = 0; at < bytes.length;) {
          const to = at + 1 + random.int(at < 2_000 ? random.pick([3, 100]) : 100_000);
          raw.write(bytes.subarray(at, to));
          at = to;
        }
        await until(
          () => ended,
          BOUND_MS,
          () => `seed ${SEED + n}: ${received.length} of ${messages.length}`,
          1,
        );
        assertEquals(received, messages.map(({ length }) => length), `seed ${SEED + n}`);
        raw.drop();
        await until(() => open.size === 0, BOUND_MS, () => "it is not seen to have gone", 1);
      }
    }),
);

const HANDSHAKE = [
  `GET ${Subscribe.path} HTTP/1.1`,
  "Host: x",
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Protocol: grpc-ws",
  "Content-Type: application/grpc",
  "",
  "",
].join("\r\n");

/** Waits for what there is to hear; nothing, where the call waits for more. */
async function ends(raw: RawWebSocket, seed: number): Promise<void> {
  let looks = 0;
  const heard = () => raw.closed || raw.messages.length > 0 || looks++ > 20;
  await until(heard, BOUND_MS, () => `seed ${seed}: neither an answer nor an end`, 5);
  const body = raw.messages.find(({ opcode }) => opcode === CLOSE)?.body;
  if (!body || body.length < 2) return;
  const code = body.readUInt16BE(0);
  assert(CODES.includes(code), `seed ${seed}: ${code} ${body.subarray(2)}`);
}

async function inBatches(count: number, one: (n: number) => Promise<void>): Promise<void> {
  for (const some of chunk(Array.from({ length: count }, (_, n) => n), 25)) await Promise.all(some.map(one));
}

/** A frame that is one of gRPC, nearly one, or none of WebSocket. */
function anyFrame(random: Random): Buffer {
  const body = Buffer.from(random.bytes(random.int(random.pick([6, 40, 300]))));
  return random.pick([
    () => rawFrame(BINARY, frame(body)),
    () => rawFrame(BINARY, frame(body, { compressed: true })),
    () => rawFrame(BINARY, frame(body, { told: random.int(400) })),
    () => rawFrame(BINARY, body),
    () => rawFrame(random.int(16), body.subarray(0, 125), { final: random.chance(0.7) }),
    () => rawFrame(BINARY, body, { masked: random.chance(0.5) }),
    () => rawFrame(BINARY, body, { told: random.pick([0, 100, 70_000, 2 ** 32, 2 ** 53]) }),
    () => rawFrame(BINARY, Buffer.from([0x80, 0, 0, 0, 0])),
    () => rawFrame(CLOSE, Buffer.from(random.bytes(random.int(10)))),
    () => body,
  ])();
}

Deno.test(
  "nonsense over WebSockets ends its own call, and agents are served on",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ["--enable-websocket"]);
      const { grpc: port } = running.ports;
      const tls = await certificateFor(`${workshop.dir}/pki`, "edge-1");
      const agent = await startAgent(workshop, running, { name: "edge-2", connect: connectOverWebSockets });
      await untilServed(running, agent);
      const paths = [...CALL_BOUNDS.keys(), "/", "/none", "/eventstreamapi.EventStream/"];
      await inBatches(CALLS, async (n) => {
        const random = seeded(SEED + n);
        const raw = await RawWebSocket.open(port, random.pick(paths), {
          tls,
          ...(random.chance(0.3) ? { headers: { Authorization: String(random.int(1_000)) } } : {}),
        });
        assertEquals(raw.status, 101, raw.answer);
        for (let frames = random.int(8); frames >= 0; frames--) raw.write(anyFrame(random));
        if (random.chance(0.7)) await ends(raw, SEED + n);
        raw.drop();
      });
      await inBatches(HANDSHAKES, async (n) => {
        const random = seeded(SEED + n);
        const socket = await rawSocket(port, tls);
        socket.on("error", () => {}).resume();
        const bytes = Buffer.from(HANDSHAKE);
        for (let changes = random.int(6); changes >= 0; changes--) {
          bytes[random.int(bytes.length)] = random.int(256);
        }
        const sent = bytes.subarray(0, 1 + random.int(bytes.length));
        await new Promise<void>((resolve) => socket.write(sent, () => resolve()));
        socket.destroy();
      });
      assertEquals([agent.seen.connects, agent.seen.ends], [1, []]);
      const other = await startAgent(workshop, running, { name: "edge-3", connect: connectOverWebSockets });
      await untilServed(running, other);
    }),
);
