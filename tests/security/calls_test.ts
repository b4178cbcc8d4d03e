/** No call takes more than its due: of bytes, packed or unpacked, of calls, and of time; others are served meanwhile. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { deflateSync, gzipSync } from "node:zlib";
import grpc from "@grpc/grpc-js";
import { encodeEvent } from "../../src/domain/events/cloudevent.ts";
import { versionHandlers } from "../../src/adapters/grpc/authentication.ts";
import { CALL_BOUNDS, CALLS_A_CONNECTION } from "../../src/adapters/grpc/call_bounds.ts";
import { call, dialAdmin } from "../../src/adapters/grpc/dial.ts";
import { createServer, listenPlaintext } from "../../src/adapters/grpc/server.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { RIGHTS } from "../../src/adapters/grpc/rights.ts";
import { codeOf } from "../../src/adapters/grpc/status.ts";
import { application, project, serving, startAgent, untilHolds, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, material, until } from "../support/principals.ts";
import { certificateFor } from "../support/doors.ts";
import { flood, frame, rawCall, rawConnection } from "../support/raw_calls.ts";

const { RESOURCE_EXHAUSTED, UNAVAILABLE, DEADLINE_EXCEEDED } = grpc.status;
const AUTHENTICATE = services.authenticationService.Authenticate.path;
const MB = 1024 * 1024;

Deno.test("every call of the table of rights has bounds", () => {
  assertEquals([...CALL_BOUNDS.keys()].sort(), [...RIGHTS.keys()].sort());
});

Deno.test(
  "a message beyond its call's bound is refused at its first bytes, in every service of both listeners",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const agents = rawConnection(running.ports.grpc, material(workshop, "agent-1"));
      const admin = rawConnection(running.ports.admin);
      workshop.onClose(() => [agents, admin].forEach((session) => session.destroy()));
      // Eight messages of 120 MB that never end.
      const unfinished = Array.from({ length: 8 }, () => {
        const { stream, ended } = rawCall(agents, AUTHENTICATE);
        stream.write(frame(Buffer.alloc(1_000), { told: 120 * MB }));
        return ended;
      });
      for (const { status, message } of await Promise.all(unfinished)) {
        assertEquals(status, UNAVAILABLE);
        assertStringIncludes(message, "larger than max (125829120 vs 65536)");
      }
      for (const [path, { bytes }] of CALL_BOUNDS) {
        const { stream, ended } = rawCall(/HAAdmin|Operator/.test(path) ? admin : agents, path);
        stream.write(frame(Buffer.alloc(0), { told: bytes + 1 }));
        const { status } = await ended;
        // Follow and Subscribe may refuse the caller first, and Ping of no token too.
        assert(status !== undefined && status !== grpc.status.OK, `${path}: ${status}`);
        stream.close();
      }
    }),
);

for (const [encoding, pack] of [["gzip", gzipSync], ["deflate", deflateSync]] as const) {
  Deno.test(
    `a ${encoding} bomb is unpacked up to the bound of its call only, and of many in one frame one at a time`,
    LOOSE,
    () =>
      inWorkshop(async (workshop) => {
        const running = await serving(workshop);
        const session = rawConnection(running.ports.grpc, material(workshop, "agent-1"));
        workshop.onClose(() => session.destroy());
        const bomb = pack(Buffer.alloc(40 * MB));
        const outcomes = await Promise.all(Array.from({ length: 20 }, () => {
          const { stream, ended } = rawCall(session, AUTHENTICATE, { "grpc-encoding": encoding });
          stream.end(frame(bomb, { compressed: true }));
          return ended;
        }));
        for (const { status, message } of outcomes) {
          assertEquals(status, UNAVAILABLE);
          assertStringIncludes(message, "decompresses to a size larger than 65536");
        }
        // Each is within the bound: thousands of them would be 4 GB.
        const small = frame(pack(Buffer.alloc(4 * MB - 100)), { compressed: true });
        const agent = await startAgent(workshop, running, { name: "edge-1" });
        await untilServed(running, agent);
        const attacker = rawConnection(running.ports.grpc, await certificateFor(workshop, "edge-1"));
        workshop.onClose(() => attacker.destroy());
        const before = Deno.memoryUsage().rss;
        const { stream, ended } = rawCall(attacker, services.eventStreamService.Push.path, {
          "grpc-encoding": encoding,
          authorization: agent.connection?.accessToken ?? "",
        });
        for (let n = 0; n < 1_000; n++) stream.write(small);
        stream.end();
        const { status } = await ended;
        assert(status !== undefined && status !== grpc.status.OK, `${status}`);
        const grown = (Deno.memoryUsage().rss - before) / MB;
        assert(grown < 400, `${Math.round(grown)} MB more`);
      }),
  );
}

/** An event of an Application with a text of so many characters. */
function appEvent(name: string, length: number) {
  const object = application("edge-1", name, {
    metadata: { name, namespace: "edge-1", uid: `uid-${name}` },
    status: { operationState: { message: "x".repeat(length) } },
  });
  return {
    type: "create",
    target: "application",
    extensions: { eventid: name, resourceid: `uid-${name}` },
    payload: new TextEncoder().encode(JSON.stringify(object)),
  };
}

Deno.test(
  "an event beyond the bound of its message is acknowledged and named, and its stream goes on; packed or not",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const agent = await startAgent(workshop, running, { name: "edge-1", mode: "autonomous" });
      await untilServed(running, agent);
      for (const length of [4 * MB, 30 * MB, 4 * MB, 30 * MB]) {
        agent.send(appEvent(`large-${length}`, length));
      }
      agent.apply("Application", application("edge-1", "small"));
      const held = () => running.core.index.present("Application/edge-1/small") !== undefined;
      await until(
        () => agent.outbox.pending === 0 && held(),
        30_000,
        () => `${agent.outbox.pending} events are not acknowledged; ${JSON.stringify(agent.seen)}`,
        5,
      );
      assertEquals([agent.seen.connects, agent.seen.ends], [1, []]);
      const lines = workshop.logs.filter((line) => line.includes("event of an agent refused"));
      assertEquals(lines.length, 2, "each is named once");
      assertStringIncludes(lines.join("\n"), '"agent":"edge-1"');
      assertStringIncludes(lines.join("\n"), '"key":"application uid-large-4194304"');
      assertStringIncludes(lines.join("\n"), "the payload is larger than 3145728 bytes");

      const session = rawConnection(running.ports.grpc, await certificateFor(workshop, "edge-1"));
      workshop.onClose(() => session.destroy());
      const { path, requestSerialize } = services.eventStreamService.Push;
      const body = requestSerialize({ event: encodeEvent(appEvent("packed", 30 * MB)) });
      const small = requestSerialize({ event: encodeEvent(appEvent("fits", 10)) });
      for (const [encoding, pack] of [["gzip", gzipSync], ["deflate", deflateSync]] as const) {
        const { stream, ended } = rawCall(session, path, {
          "grpc-encoding": encoding,
          authorization: agent.connection?.accessToken ?? "",
        });
        stream.write(frame(pack(body), { compressed: true }));
        // Packed, and too large even so.
        stream.write(frame(Buffer.concat([pack(body), Buffer.alloc(5 * MB)]), { compressed: true }));
        stream.end(frame(small));
        assertEquals((await ended).status, grpc.status.OK);
      }
      assertEquals(running.core.index.present("Application/edge-1/packed"), undefined);
    }),
);

Deno.test(
  "9,900 streams on one connection: as many as its bound are open, and other agents are served",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      await running.core.store.write({ op: "put", object: project("default", "*") });
      const other = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, other);
      const path = services.eventStreamService.Subscribe.path;
      const attack = flood(running.ports.grpc, material(workshop, "agent-1"), path, 9_900);
      workshop.onClose(() => attack.end());
      await until(() => attack.closed || attack.refused === 9_900 - CALLS_A_CONNECTION, 20_000, () =>
        `${attack.refused} refused, and the connection goes on`, 5);
      assert(attack.refused > 0);
      await running.core.store.write({ op: "put", object: application("edge-1", "a") });
      await untilHolds(other, "Application", ["a"]);
    }),
);

Deno.test(
  "a client has as many streams of a kind as its bound, whatever the number of its connections, and others have theirs",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const attacker = await certificateFor(workshop, "agent-1");
      const sessions = Array.from({ length: 4 }, () => rawConnection(running.ports.grpc, attacker));
      workshop.onClose(() => sessions.forEach((session) => session.destroy()));
      const refused: string[] = [];
      for (let n = 0; n < 40; n++) {
        const { ended } = rawCall(sessions[n % 4]!, AUTHENTICATE);
        void ended.then(({ message }) => message !== "" && refused.push(message));
      }
      await until(
        () => refused.length === 8,
        20_000,
        () => `${refused.length} are refused: ${refused[0]}`,
        5,
      );
      assertStringIncludes(refused[0] ?? "", "this client has too many calls of this kind open");
      const other = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, other);
    }),
);

Deno.test(
  "20 WaitReplicated: those beyond the bound are refused and the others wait on, and status answers",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const client = dialAdmin(`127.0.0.1:${running.ports.admin}`);
      workshop.onClose(() => client.close());
      const request = { versions: [{ key: "Application/a/b", resourceVersion: "99" }], timeoutMs: 3_000 };
      const codes = await Promise.all(Array.from({ length: 20 }, () =>
        call(client, services.operatorService.WaitReplicated, request, 20_000).then(
          () =>
            0,
          (error) =>
            codeOf(error),
        )));
      assertEquals(
        codes.filter((code) =>
          code === RESOURCE_EXHAUSTED
        ).length,
        4,
      );
      assertEquals(codes.filter((code) => code === 0).length, 16);
      assertEquals((await call(client, services.adminService.Status, {}, 5_000)).state, "active");
    }),
);

Deno.test(
  "a request that does not end is ended after its time, and a stream that its client leaves open is closed",
  LOOSE,
  async () => {
    const server = createServer(MB, { requestMs: 200 });
    server.addService(services.versionService, versionHandlers());
    const port = await listenPlaintext(server, "127.0.0.1:0");
    const session = rawConnection(port);
    try {
      for (
        const bytes of [
          frame(Buffer.alloc(10), { told: 60_000 }),
          Buffer.alloc(2),
          Buffer.alloc(0),
          frame(Buffer.alloc(0)),
        ]
      ) {
        const { stream, ended } = rawCall(session, services.versionService.Version.path);
        if (bytes.length > 0) stream.write(bytes);
        const { status, message } = await ended;
        assertEquals([status, message], [
          DEADLINE_EXCEEDED,
          "the request did not arrive as a whole within 0.2 s",
        ]);
      }
      const { stream, ended } = rawCall(session, services.versionService.Version.path);
      stream.end(frame(Buffer.alloc(0)));
      assertEquals((await ended).status, 0);
    } finally {
      session.destroy();
      server.forceShutdown();
    }
  },
);
