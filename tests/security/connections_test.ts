/** Connections that say nothing, or too many of them, take a listener from nobody, and never end the process. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import net from "node:net";
import tls from "node:tls";
import { Descriptors } from "../../src/adapters/net/descriptors.ts";
import { Connections, Gate } from "../../src/adapters/net/gate.ts";
import { CUTS, type GateBounds } from "../../src/adapters/net/listener_bounds.ts";
import { serveHttp } from "../../src/adapters/http/server.ts";
import { runCli, withPair } from "../support/processes.ts";
import { inWorkshop, LOOSE, material, until } from "../support/principals.ts";

const BOUNDS: GateBounds = {
  listener: "test",
  connections: 6,
  perSource: 4,
  reserve: 64,
  remedy: "raise it",
};
const PLENTY = { suffice: () => true };

/** A log that only remembers. */
function notes() {
  const lines: string[] = [];
  const line = (message: string, fields = {}) => void lines.push(`${message} ${JSON.stringify(fields)}`);
  return { lines, log: { trace: line, debug: line, info: line, warn: line, error: line } };
}

/** Opens connections that send nothing; `closed` counts those that were closed at the other end. */
async function silent(port: number, count: number, localAddress = "127.0.0.1") {
  const opened = { closed: 0, end: () => sockets.forEach((socket) => socket.destroy()) };
  const sockets = await Promise.all(Array.from({ length: count }, () =>
    new Promise<net.Socket>((resolve) => {
      const socket = net.connect({ host: "127.0.0.1", port, localAddress }, () => resolve(socket));
      socket.on("error", () => resolve(socket));
      socket.on("close", () => opened.closed++);
      // Only who reads hears of the end.
      socket.resume();
    })));
  return opened;
}

async function withServer(
  gate: Gate,
  run: (port: number) => Promise<void>,
): Promise<void> {
  const server = await serveHttp(() => new Response("ok"), { hostname: "127.0.0.1", port: 0 }, gate);
  try {
    await run(server.port);
  } finally {
    await server.close();
  }
}

const answer = async (port: number) =>
  await (await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: "close" } })).text();

Deno.test(
  "a connection that makes no request is closed after its time, and one that rests after a request later",
  LOOSE,
  async () => {
    const { log } = notes();
    await withServer(
      new Gate(BOUNDS, PLENTY, log, new Connections(), { firstRequestMs: 100, idleMs: 200 }),
      async (port) => {
        const started = await silent(port, 3);
        const half = net.connect({ host: "127.0.0.1", port });
        half.write("GET / HTTP/1.1\r\nHost: x\r\n");
        let halfClosed = false;
        half.on("close", () => halfClosed = true).resume();
        const asked = net.connect({ host: "127.0.0.1", port });
        let got = "";
        let askedClosed = false;
        asked.on("data", (data) => got += data).on("close", () => askedClosed = true);
        asked.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        await until(
          () => started.closed === 3 && halfClosed && askedClosed,
          10_000,
          () => `${started.closed} ${halfClosed} ${askedClosed}`,
          5,
        );
        assertStringIncludes(got, "200 OK");
      },
    );
  },
);

Deno.test(
  "at a bound the connection that was idle longest makes room, others' addresses are not touched, and it is said once",
  LOOSE,
  async () => {
    const { log, lines } = notes();
    const gate = new Gate(BOUNDS, PLENTY, log);
    await withServer(gate, async (port) => {
      const neighbour = await silent(port, 2, "127.0.0.2");
      const many = await silent(port, 40);
      await until(() => many.closed === 36, 10_000, () => `${many.closed} closed`, 5);
      assertEquals([gate.open, neighbour.closed], [6, 0]);
      assertEquals(await answer(port), "ok");
      assertEquals(lines.length, 1, lines.join("\n"));
      assertStringIncludes(lines[0] ?? "", "4 connections from 127.0.0.1 are open; raise it");
      many.end();
      neighbour.end();
      await until(() => gate.open === 0, 10_000, () => `${gate.open} are still counted`, 5);
    });
  },
);

Deno.test(
  "where descriptors run out, silent connections are closed before anything else fails, and it is said once",
  LOOSE,
  async () => {
    const { log, lines } = notes();
    let left = 100;
    const gate: Gate = new Gate(
      { ...BOUNDS, connections: 1_000, perSource: 1_000 },
      new Descriptors(64, () => {
        if (gate.open + ++left > 200) {
          left--;
          throw new Error("Too many open files");
        }
        return { close: () => left-- };
      }),
      log,
    );
    await withServer(gate, async (port) => {
      const many = await silent(port, 300);
      await until(() => many.closed > 190, 10_000, () => `${many.closed} closed, ${gate.open} open`, 5);
      assert(gate.open < 100, `${gate.open}`);
      assertEquals(await answer(port), "ok");
      assertEquals(lines.length, 1, lines.join("\n"));
      assertStringIncludes(lines[0] ?? "", "raise ulimit -n");
      many.end();
    });
  },
);

Deno.test(
  "each connection that is refused or closed at a bound is counted under its listener and reason",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { log } = notes();
      const counts = new Connections();
      const seen = (): Record<string, number> =>
        Object.fromEntries(counts.cuts.map(([{ listener, reason }, n]) => [`${listener} ${reason}`, n]));
      const timing = { firstRequestMs: 1_500, idleMs: 200 };
      const gate = (listener: string, bounds: Partial<GateBounds> = {}, descriptors = PLENTY) =>
        new Gate({ ...BOUNDS, listener, ...bounds }, descriptors, log, counts, timing);
      await withServer(gate("a"), async (port) => {
        await silent(port, 5);
        await until(
          () => seen()["a per_source"] === 1 && seen()["a first_request"] === 4,
          10_000,
          () => JSON.stringify(seen()),
          5,
        );
        const asked = net.connect({ host: "127.0.0.1", port });
        asked.on("error", () => {}).resume();
        asked.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        await until(() => seen()["a idle"] === 1, 10_000, () => JSON.stringify(seen()), 5);
      });
      await withServer(gate("b", { connections: 2 }), async (port) => {
        await silent(port, 3);
        await until(() => seen()["b in_all"] === 1, 10_000, () => JSON.stringify(seen()), 5);
      });
      await withServer(gate("c", {}, { suffice: () => false }), async (port) => {
        await silent(port, 1);
        await until(() => seen()["c descriptors"] === 1, 10_000, () => JSON.stringify(seen()), 5);
      });
      const { cert, key } = material(workshop, "primary");
      const server = tls.createServer({ cert, key });
      gate("d").guard(server);
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as net.AddressInfo;
      await silent(port, 1);
      await until(() => seen()["d handshake"] === 1, 10_000, () => JSON.stringify(seen()), 5);
      const secured = tls.connect({ host: "127.0.0.1", port, rejectUnauthorized: false });
      secured.on("error", () => {}).resume();
      await until(() => seen()["d first_request"] === 1, 10_000, () => JSON.stringify(seen()), 5);
      server.close();
      const reasons = new Set(counts.cuts.map(([{ reason }]) => reason));
      assertEquals([...reasons].sort(), Object.keys(CUTS).sort());
    }),
);

/** Starts a process that may have so many file descriptors. */
const withDescriptors = (count: number) => ["sh", "-c", `ulimit -n ${count}; exec "$@"`, "sh"];

Deno.test(
  "400 silent connections to each listener of a process with 256 file descriptors: it serves on, replicates and says why",
  LOOSE,
  () =>
    withPair(async (pair) => {
      const { primary, replica } = pair;
      primary.start([], withDescriptors(256));
      replica.start();
      await primary.untilState("active");
      await replica.untilState("replicating");
      const { grpc, admin, healthz, metrics } = primary.side.ports;
      const attacked: [listener: string, port: number, stay: number][] = [
        ["agents", grpc, 170],
        ["admin", admin, 128],
        ["health", healthz, 64],
        ["metrics", metrics, 32],
      ];
      for (const [listener, port, stay] of attacked) {
        const opened = await silent(port, 400);
        await until(
          () => opened.closed >= 400 - stay,
          10_000,
          () => `${listener}: ${opened.closed} of 400 are closed\n${primary.logEnd()}`,
          20,
        );
        assertEquals((await primary.healthz()).code, 200, listener);
        assert(await primary.metric("process_resident_memory_bytes") > 0, listener);
        const { code, stderr } = await runCli(["ha", "status", "-a", primary.admin]);
        assertEquals(code, 0, `${listener}: ${stderr}\n${primary.logEnd()}`);
        await pair.write(primary, 5, `while ${listener} is attacked`);
        await pair.untilEqual();
        opened.end();
      }
      const said = Deno.readTextFileSync(primary.log).split("\n").filter((line) =>
        line.includes("a connection was closed")
      );
      assertEquals(said.some((line) => line.includes("raise ulimit -n")), true, said.join("\n"));
      assertEquals(said.filter((line) => line.includes("listener=agents")).length, 1, said.join("\n"));
      await replica.untilState("replicating");
    }),
);
