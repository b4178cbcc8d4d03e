/** The table of rights in docs/security.md, tried out: every identity at every call of the port for agents and the peer. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import { dialPeer } from "../../src/adapters/grpc/dial.ts";
import { type Identity, mayCall, RIGHTS, rightsTable } from "../../src/adapters/grpc/rights.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import type { Methods } from "../../src/adapters/grpc/services.ts";
import { codeOf } from "../../src/adapters/grpc/status.ts";
import { webSocketCalls } from "../../src/adapters/grpc/websocket_call.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { serving, startAgent, untilServed } from "../support/agents.ts";
import { certificateFor } from "../support/doors.ts";
import { inWorkshop, LOOSE, material } from "../support/principals.ts";

const ALL = Object.values(services).flatMap((service) => Object.values(service as unknown as Methods));
const OF_ADMINS = Object.values({
  ...services.adminService,
  ...services.operatorService,
}) as unknown as Methods[string][];

type Dial = (address: string, tls: TlsMaterial) => grpc.Client;

/** The ways into the port. */
const WAYS: Record<string, Dial> = {
  "HTTP/2": (address, tls) => dialPeer(address, tls, 1 << 20),
  WebSocket: (address, tls) => dialPeer(address, tls, 1 << 20, undefined, [webSocketCalls(address, tls)]),
};

/** The code with which a call of this identity ends at once, or 0 where it is let in. */
async function ending(
  dial: Dial,
  port: number,
  tls: TlsMaterial,
  { path, requestStream, responseStream }: Methods[string],
  token?: string,
): Promise<number> {
  const client = dial(`127.0.0.1:${port}`, tls);
  const metadata = new grpc.Metadata();
  if (token) metadata.set("authorization", token);
  const [encode, decode] = [() => Buffer.alloc(0), (bytes: Uint8Array) => bytes];
  try {
    return await new Promise<number>((resolve) => {
      const ended = (error: unknown) => resolve(error ? codeOf(error) ?? -1 : 0);
      const deadline = { deadline: Date.now() + 4_000 };
      if (!requestStream && !responseStream) {
        client.makeUnaryRequest(path, encode, decode, {}, metadata, deadline, ended);
        return;
      }
      if (requestStream && !responseStream) {
        client.makeClientStreamRequest(path, encode, decode, metadata, deadline, ended).end();
        return;
      }
      const stream = requestStream
        ? client.makeBidiStreamRequest(path, encode, decode, metadata, deadline)
        : client.makeServerStreamRequest(path, encode, decode, {}, metadata, deadline);
      stream.on("data", () => resolve(0));
      stream.on("error", ended);
      stream.on("end", () => resolve(0));
      setTimeout(() => resolve(0), 2_500);
      stream.on("error", () => {});
    });
  } finally {
    client.close();
  }
}

Deno.test("the table has every call of every service, and is printed into docs/security.md", () => {
  assertEquals([...RIGHTS.keys()].sort(), ALL.map(({ path }) => path).sort());
  const text = Deno.readTextFileSync(new URL("../../docs/security.md", import.meta.url));
  assertStringIncludes(text, rightsTable());
});

for (const [way, dial] of Object.entries(WAYS)) {
  Deno.test({
    name: `every identity can make the calls that the table gives it, and no other, over ${way}`,
    ...LOOSE,
    fn: () =>
      inWorkshop(async (workshop) => {
        const flags = [
          "--ha-allowed-replication-clients=dr",
          "--ha-peer-identity=replica",
          "--enable-websocket",
        ];
        const running = await serving(workshop, flags);
        const { grpc: port } = running.ports;
        const agent = await startAgent(workshop, running, { name: "agent-1" });
        await untilServed(running, agent);
        const callers: [Identity, TlsMaterial, string | undefined][] = [
          ["anyone", await certificateFor(workshop, "nobody"), undefined],
          ["agent", material(workshop, "agent-1"), agent.connection?.accessToken],
          ["reader", await certificateFor(workshop, "dr"), undefined],
          ["peer", material(workshop, "replica"), undefined],
        ];
        const tried = ALL.filter((method) => !OF_ADMINS.includes(method));
        for (const [identity, tls, token] of callers) {
          const outcomes = await Promise.all(tried.map((method) => ending(dial, port, tls, method, token)));
          for (const [n, code] of outcomes.entries()) {
            const { path } = tried[n] as Methods[string];
            const kept = [grpc.status.PERMISSION_DENIED, grpc.status.UNAUTHENTICATED].includes(code);
            const may = mayCall(identity, path) || mayCall("anyone", path);
            if (!path.startsWith("/authapi.")) {
              const refused = kept ||
                (path.endsWith("Link/Adopt") && code === grpc.status.FAILED_PRECONDITION);
              assertEquals(refused, !may, `${identity} at ${path}: ${code}`);
            }
          }
        }
        for (const { path } of OF_ADMINS) {
          const codes = await Promise.all(
            callers.map(([, tls, token]) =>
              ending(dial, port, tls, ALL.find((one) => one.path === path) as never, token)
            ),
          );
          assert(codes.every((code) => code === grpc.status.UNIMPLEMENTED), `${path}: ${codes}`);
        }
      }),
  });
}
