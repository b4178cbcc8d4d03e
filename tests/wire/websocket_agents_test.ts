/** Whole agents over WebSocket: beside others over HTTP/2, over a failover, with logs, and without TLS. */
import { assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { request } from "node:https";
import type { TLSSocket } from "node:tls";
import { connectOverWebSockets } from "../../src/adapters/grpc/agent_client.ts";
import type { Running } from "../../src/serve.ts";
import {
  application,
  certificateFor,
  serving,
  startAgent,
  untilHolds,
  untilServed,
} from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilEqual, untilState, type Workshop } from "../support/principals.ts";
import { proxyFlags } from "../support/proxy.ts";
import { rawSocket } from "../support/raw_websocket.ts";
import { TerminalUser } from "../support/terminal.ts";

const BOUND_MS = 30_000;
const ON = ["--enable-websocket"];

const certificate = ({ dir }: Workshop, name: string) => certificateFor(`${dir}/pki`, name);

Deno.test(
  "without TLS, behind a box that has it, HTTP/2 and WebSockets share the port too",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await workshop.start({
        ...workshop.settings("primary", 0, [
          "--insecure-jwt-generate",
          "--ha-enabled=false",
          "--insecure-plaintext",
          "--auth=header:X-Agent:^id=(.*)$",
          ...ON,
        ]),
      });
      await untilState(running, "active");
      const of = (name: string) => ({
        name,
        material: undefined,
        method: "header",
        headers: { "x-agent": `id=${name}` },
      });
      for (const name of ["edge-1", "edge-2"]) {
        await running.core.store.write({ op: "put", object: application(name, "a") });
      }
      const http2 = await startAgent(workshop, running, of("edge-1"));
      const webSocket = await startAgent(workshop, running, {
        ...of("edge-2"),
        connect: connectOverWebSockets,
      });
      await untilHolds(http2, "Application", ["a"]);
      await untilHolds(webSocket, "Application", ["a"]);
      // A connection whose first bytes come one by one.
      const slow = await rawSocket(running.ports.grpc);
      let heard = Buffer.alloc(0);
      slow.on("data", (data: Buffer) => heard = Buffer.concat([heard, data]));
      for (const byte of "PUT / HTTP/1.1\r\nHost: x\r\n\r\n") {
        await new Promise<void>((resolve) => slow.write(byte, () => resolve()));
      }
      await until(() => heard.includes("this port serves gRPC"), BOUND_MS, () => heard.toString());
    }),
);

Deno.test(
  "a certificate that is exchanged is what the next WebSocket sees, and no call ends for it",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const files = ["crt", "key"].map((ending) => `${workshop.dir}/pki/own.${ending}`) as [string, string];
      const use = (name: string) =>
        ["crt", "key"].forEach((ending, n) =>
          Deno.copyFileSync(`${workshop.dir}/pki/${name}.${ending}`, files[n] as string)
        );
      use("primary");
      const running = await serving(workshop, [...ON, `--tls-cert=${files[0]}`, `--tls-key=${files[1]}`]);
      const agent = await startAgent(workshop, running, { name: "edge-1", connect: connectOverWebSockets });
      await untilServed(running, agent);
      use("replica");
      await until(
        () => workshop.logs.some((line) => line.includes("certificates reloaded")),
        BOUND_MS,
        () => "the certificate is not reread",
      );
      const socket = await rawSocket(running.ports.grpc, await certificate(workshop, "edge-2")) as TLSSocket;
      assertEquals(socket.getPeerCertificate().subject.CN, "replica");
      socket.destroy();
      await running.core.store.write({ op: "put", object: application("edge-1", "a") });
      await untilHolds(agent, "Application", ["a"]);
      assertEquals(agent.seen.connects, 1);
    }),
);

Deno.test(
  "a pod's log comes over a WebSocket of its own, and ends it when its reader leaves",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, [...ON, ...proxyFlags(workshop)]);
      const agent = await startAgent(workshop, running, { name: "edge-1", connect: connectOverWebSockets });
      await untilServed(running, agent);
      agent.logs.say("shop", "web", "first", "second");
      const { cert, key, ca } = await certificate(workshop, "edge-1");
      const asked = request({
        host: "127.0.0.1",
        port: running.ports.resourceProxy,
        path: "/api/v1/namespaces/shop/pods/web/log?follow=true",
        ...{ cert, key, ca, agent: false, servername: "localhost" },
      });
      let log = "";
      asked.on("error", () => {}).on("response", (response) => {
        response.on("data", (bytes: Uint8Array) => log += new TextDecoder().decode(bytes)).on(
          "error",
          () => {},
        );
      });
      asked.end();
      await until(() => log === "first\nsecond\n", BOUND_MS, () => log);
      agent.logs.say("shop", "web", "third");
      await until(() => log === "first\nsecond\nthird\n", BOUND_MS, () => log);
      assertEquals(agent.logs.bringing, 1);
      asked.destroy();
      await until(() => agent.logs.bringing === 0, BOUND_MS, () => "the agent brings it on");
    }),
);

Deno.test(
  "a terminal comes over a WebSocket of its own, and ends when its user leaves",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, [...ON, ...proxyFlags(workshop)]);
      const agent = await startAgent(workshop, running, { name: "edge-1", connect: connectOverWebSockets });
      await untilServed(running, agent);
      const user = new TerminalUser(running.ports.resourceProxy, await certificate(workshop, "edge-1"));
      await user.shows("$ ");
      await user.run("pwd", "/var/www/html\r\n");
      await user.run(`echo ${"x".repeat(50_000)}.`, `.\r\n${"x".repeat(50_000)}.\r\n$ `);
      assertEquals([running.core.terminals.size, agent.terminals.open], [1, 1]);
      user.socket.terminate();
      await until(
        () => running.core.terminals.size === 0 && agent.terminals.open === 0,
        BOUND_MS,
        () => "it goes on",
      );
      assertEquals(agent.seen.connects, 1);
    }),
);

Deno.test(
  "agents over WebSocket and over HTTP/2 at once, over a failover; the replica follows over HTTP/2",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const flags = ["--insecure-jwt-generate", ...ON];
      const primary = await workshop.served(workshop.settings("primary", 1, flags));
      await untilState(primary, "active");
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, flags));
      await untilState(replica, "replicating");
      let to = primary;
      const address = () => `127.0.0.1:${to.ports.grpc}`;
      const put = (running: Running, name: string) =>
        Promise.all(["edge-1", "edge-2"].map((agent) =>
          running.core.store.write({
            op: "put",
            object: application(agent, name, { filler: "x".repeat(200_000) }),
          })
        ));
      await put(primary, "a");
      const way = { connect: connectOverWebSockets };
      const managed = await startAgent(workshop, address, { name: "edge-1", ...way });
      const plain = await startAgent(workshop, address, { name: "edge-2" });
      const auto = await startAgent(workshop, address, { name: "auto-1", mode: "autonomous", ...way });
      auto.apply("Application", application("x", "own"));
      for (const agent of [managed, plain]) await untilHolds(agent, "Application", ["a"]);
      const adopted = (running: Running, name: string) =>
        until(
          async () => !!await running.core.store.get(`Application/auto-1/${name}`),
          BOUND_MS,
          () => `${name} is not here: ${JSON.stringify(auto.seen)}`,
        );
      await adopted(primary, "own");
      await untilEqual(primary, replica);
      await primary.stop();
      await untilState(replica, "disconnected");
      to = replica;
      await replica.operations.command("promote", false, "");
      await put(replica, "b");
      auto.apply("Application", application("x", "later"));
      for (const agent of [managed, plain]) await untilHolds(agent, "Application", ["a", "b"], BOUND_MS);
      await adopted(replica, "later");
      assertEquals([managed, plain, auto].map(({ cluster }) => cluster.recreated), [0, 0, 0]);
      assertEquals(managed.seen.ends.filter((end) => !/^(14|1) /.test(end)), []);
    }),
);
