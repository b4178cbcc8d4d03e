/** Hostile users of terminals, and hostile agents and peers behind and beside them. */
import { Buffer } from "node:buffer";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { namesOf } from "../../src/adapters/grpc/auth.ts";
import { dialPeer } from "../../src/adapters/grpc/dial.ts";
import { linkService, terminalStreamService } from "../../src/adapters/grpc/services.ts";
import { serveResourceProxy } from "../../src/adapters/http/resource_proxy.ts";
import { ClientCertificates } from "../../src/adapters/net/client_certificates.ts";
import { Gate } from "../../src/adapters/net/gate.ts";
import { stopReading } from "../../src/adapters/net/reading.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { failure } from "../../src/domain/proxy/status.ts";
import type { TerminalOutput } from "../../src/domain/proxy/terminal.ts";
import type { ResourceProxy } from "../../src/principal/ports/resource_proxy.ts";
import type { Running } from "../../src/serve.ts";
import { certificateFor, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, material, until, type Workshop } from "../support/principals.ts";
import { served } from "../support/proxy.ts";
import { BOUND_MS, EXEC, TerminalUser } from "../support/terminal.ts";

const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const BOUNDS = { listener: "test", connections: 100, perSource: 100, reserve: 1, remedy: "" };
const NOT_FOUND = 5;
const UNAUTHENTICATED = 16;

async function terminals(workshop: Workshop) {
  const { running, agent } = await served(workshop, ["--ha-peer-identity=replica"]);
  const tls = await certificateFor(`${workshop.dir}/pki`, "edge-1");
  return { running, agent, tls, open: () => new TerminalUser(running.ports.resourceProxy, tls) };
}

async function block(running: Running, { cert }: TlsMaterial): Promise<void> {
  const der = Buffer.from(cert.toString().split("-----")[2] ?? "", "base64");
  const metadata = { name: "argocd-agent-tls-blocklist", namespace: "argocd" };
  const data = { [namesOf(der).fingerprint]: "stolen" };
  await running.core.store.write({
    op: "put",
    object: { apiVersion: "v1", kind: "ConfigMap", metadata, data },
  });
}

Deno.test(
  "an agent takes no terminal of another one, none twice, and none without a token",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, open } = await terminals(workshop);
      const user = await open().shows("$ ");
      const id = agent.terminals.lastId;
      const thief = await startAgent(workshop, running, { name: "edge-2" });
      await untilServed(running, thief);
      for (
        const [who, request] of [[thief, id], [agent, id], [agent, crypto.randomUUID()], [thief, ""]] as const
      ) {
        const heard: unknown[] = [];
        const call = who.connection?.bringTerminal?.((message) => message && heard.push(message));
        await call?.send({ request_uuid: request, data: new TextEncoder().encode("forged\n") });
        assertEquals([await call?.over, heard.length], [NOT_FOUND, 0], `${who.name} with "${request}"`);
      }
      await user.run("echo still mine", "\r\nstill mine\r\n");
      assert(!user.text.includes("forged"));

      const client = dialPeer(`127.0.0.1:${running.ports.grpc}`, material(workshop, "agent-1"), 1 << 20);
      workshop.onClose(() => client.close());
      const { path, requestSerialize, responseDeserialize } = terminalStreamService.StreamTerminal;
      const code = await new Promise((resolve) =>
        client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize)
          .on("data", () => {}).on("error", ({ code }) => resolve(code)).write({ request_uuid: id })
      );
      assertEquals(code, UNAUTHENTICATED);
    }),
);

Deno.test(
  "a peer opens terminals by names that are names, and hears why it gets none",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent } = await terminals(workshop);
      const client = dialPeer(`127.0.0.1:${running.ports.grpc}`, material(workshop, "replica"), 1 << 20);
      workshop.onClose(() => client.close());
      const { path, requestSerialize, responseDeserialize } = linkService.Terminal;
      const refused = (request: { agent: string; url: string }) =>
        new Promise<{ status?: number; body?: string }>((resolve, reject) => {
          const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
          call.on("data", resolve).on("error", reject).write(request);
        });
      for (
        const [name, url, status] of [
          ["edge-1", EXEC.replace("/web/", "/..%2f..%2fnodes/"), 400],
          ["edge-1", EXEC.replace("shop", "a.b"), 400],
          ["edge-1", EXEC.replace("exec", "attach"), 400],
          ["edge-1", "", 400],
          ["edge-9", EXEC, 502],
          ["../edge-1", EXEC, 502],
        ] as const
      ) assertEquals((await refused({ agent: name, url })).status, status, url);
      assertEquals([agent.terminals.asked, running.core.terminals.size], [0, 0]);
    }),
);

Deno.test(
  "a user who breaks the protocol loses the terminal, and nobody else does",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, open } = await terminals(workshop);
      const other = await open().shows("$ ");
      const attacks: [name: string, attack: (user: TerminalUser) => void, code: number][] = [
        ["text", ({ socket }) => socket.send('{"operation":"resize","cols":1,"rows":1}'), 1003],
        ["a huge message", (user) => user.send(0, new Uint8Array(300_000)), 1009],
        ["a huge size", (user) => user.send(4, "x".repeat(270_000)), 1009],
      ];
      for (const [name, attack, code] of attacks) {
        const user = await open().shows("$ ");
        attack(user);
        await user.ended();
        assertEquals(user.closed, code, name);
      }
      for (const nonsense of [[], [1, 2], [7], [255], [255, 9], [4, 123], [4]]) {
        other.socket.send(new Uint8Array(nonsense));
      }
      await other.run("echo alive", "\r\nalive\r\n");
      await until(
        () => running.core.terminals.size === 1 && agent.terminals.open === 1,
        BOUND_MS,
        () => "one stays",
      );
    }),
);

Deno.test("an agent has so many terminals and no more", LOOSE, () =>
  inWorkshop(async (workshop) => {
    const { open, running } = await terminals(workshop);
    const users = await Promise.all(Array.from({ length: 32 }, () => open().shows("$ ")));
    const refused = await open().ended();
    assertEquals([refused.closed, refused.status?.["code"]], [1000, 429]);
    assertStringIncludes(String(refused.status?.["message"]), '32 terminals of agent "edge-1" are open');
    users[0]?.socket.terminate();
    await until(() => running.core.terminals.size === 31, BOUND_MS, () => "none has ended");
    await open().shows("$ ");
  }));

Deno.test(
  "what a user types for a program that reads nothing waits at the user",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, open } = await terminals(workshop);
      const attacker = await open().shows("$ ");
      attacker.type("deaf\n");
      await attacker.shows("deaf\r\n");
      const sent = 64 * 1024 * 1024;
      for (let n = 0; n < sent; n += 128 * 1024) attacker.send(0, new Uint8Array(128 * 1024));
      const user = await open().shows("$ ");
      for (let n = 1; n <= 4; n++) {
        user.type("flood 5000000\n");
        await user.until("the flood does not come", () => user.bytes > n * 5_000_000);
      }
      const waiting = attacker.socket.bufferedAmount;
      assert(waiting > sent / 2, `${waiting} of ${sent} bytes wait at the user`);
      const rows = running.core.counters.rows("terminalBytes").filter(([{ way }]) => way === "to agent");
      assert((rows[0]?.[1] ?? 0) < 4 * 1024 * 1024, `${rows[0]?.[1]} bytes went to the agent`);
      for (const { socket } of [attacker, user]) socket.terminate();
    }),
);

Deno.test(
  "a certificate on the blocklist loses its terminals, of user and of agent",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running } = await terminals(workshop);
      const [stolen, honest, ofAgent] = await Promise.all(
        [1, 2, 3].map(() => certificateFor(`${workshop.dir}/pki`, "edge-3")),
      ) as [TlsMaterial, TlsMaterial, TlsMaterial];
      const agent = await startAgent(workshop, running, { name: "edge-3", material: ofAgent });
      await untilServed(running, agent);
      const thief = await new TerminalUser(running.ports.resourceProxy, stolen).shows("$ ");
      const user = await new TerminalUser(running.ports.resourceProxy, honest).shows("$ ");
      await block(running, stolen);
      await thief.ended();
      await until(() => running.core.terminals.size === 1, BOUND_MS, () => "the stolen one stays");
      await user.run("echo mine", "\r\nmine\r\n");
      await block(running, ofAgent);
      await user.ended();
      assertStringIncludes(user.text, 'connection to agent "edge-3" lost');
    }),
);

/** A door of small times; behind it everybody has a terminal that says what `output` says. */
async function door(workshop: Workshop, output: () => ReadableStream<TerminalOutput>) {
  const seen = { gone: 0 };
  const proxy: ResourceProxy = {
    admit: () =>
      Promise.resolve({
        terminal: ({ signal }) => {
          signal.addEventListener("abort", () => seen.gone++);
          return Promise.resolve({ output: output() });
        },
      }),
    refuse: (code, message) => failure(code, message),
  };
  const gate = new Gate(BOUNDS, { suffice: () => true }, SILENT);
  const open = await serveResourceProxy(proxy, {
    hostname: "127.0.0.1",
    port: 0,
    tls: material(workshop, "primary"),
    tlsVersions: { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" },
    certificates: new ClientCertificates({ blocked: () => false, graceMs: 0, ends: () => {} }),
    gate,
    terminalTiming: { pingMs: 50, silentMs: 5_000, stuckMs: 2_000 },
  });
  workshop.onClose(() => open.close());
  return { seen, gate, port: open.port, tls: material(workshop, "agent-1") };
}

/** A client that upgrades and is then silent. */
function upgraded(port: number, tls: TlsMaterial, protocol = "v5.channel.k8s.io"): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port, servername: "localhost", allowHalfOpen: true, ...tls };
    const socket = connect(options as ConnectionOptions, () => {
      const headers = [
        `GET ${EXEC} HTTP/1.1`,
        "Host: localhost",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        `Sec-WebSocket-Protocol: ${protocol}`,
      ];
      socket.write(`${headers.join("\r\n")}\r\n\r\n`);
    });
    socket.once("error", reject).once("data", () => resolve(socket));
  });
}

Deno.test(
  "a client that is gone without a word, one that takes nothing, and a refused one that stays are cut; one that answers pings is not",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const quiet = await door(workshop, () => new ReadableStream());
      const honest = new TerminalUser(quiet.port, quiet.tls);
      await honest.until("it is not open", () => honest.socket.readyState === 1);
      const halfOpen = await upgraded(quiet.port, quiet.tls);
      const refused = await upgraded(quiet.port, quiet.tls, "channel.k8s.io");
      for (const socket of [halfOpen, refused]) socket.on("error", () => {}).resume();
      await until(() => quiet.seen.gone === 1, BOUND_MS, () => "the half-open one stays");
      await until(() => quiet.gate.open === 1, BOUND_MS, () => "the refused one stays");
      assertEquals(honest.closed, undefined);
      for (const socket of [halfOpen, refused]) socket.destroy();

      const loud = await door(
        workshop,
        () =>
          new ReadableStream({ pull: (controller) => controller.enqueue({ show: new Uint8Array(32_768) }) }),
      );
      const slow = await upgraded(loud.port, loud.tls);
      slow.on("error", () => {});
      stopReading(slow);
      await until(() => loud.seen.gone === 1, BOUND_MS, () => "the one that takes nothing stays");
      slow.destroy();
      honest.socket.terminate();
    }),
);
