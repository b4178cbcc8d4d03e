/** Terminals in pods, from a user over WebSocket to an agent's shell and back. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import type { Running } from "../../src/serve.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { askProxy } from "../../src/simagents/proxy_client.ts";
import { certificateFor, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, Proxy, until, untilState, type Workshop } from "../support/principals.ts";
import { proxyFlags, served } from "../support/proxy.ts";
import { BOUND_MS, EXEC, TerminalUser, type UserOptions } from "../support/terminal.ts";

interface Terminals {
  running: Running;
  agent: SimAgent;
  tls: TlsMaterial;
  open(options?: UserOptions): TerminalUser;
}

async function terminals(workshop: Workshop): Promise<Terminals> {
  const { running, agent } = await served(workshop);
  const tls = await certificateFor(`${workshop.dir}/pki`, "edge-1");
  return {
    running,
    agent,
    tls,
    open: (options) => new TerminalUser(running.ports.resourceProxy, tls, options),
  };
}

const none = (running: Running, agent: SimAgent) =>
  until(
    () => running.core.terminals.size === 0 && agent.terminals.open === 0,
    BOUND_MS,
    () => `a terminal stays: ${running.core.terminals.size} here, ${agent.terminals.open} at the agent`,
  );

for (const protocol of ["v5.channel.k8s.io", "v4.channel.k8s.io"]) {
  Deno.test(
    `a shell is used over ${protocol}: typed, resized, and its end is told`,
    LOOSE,
    () =>
      inWorkshop(async (workshop) => {
        const { running, agent, open } = await terminals(workshop);
        const user = open({ protocols: [protocol] });
        user.resize(80, 24);
        await user.shows("$ ");
        assertEquals(user.socket.protocol, protocol);
        await user.run("pwd", "/var/www/html\r\n");
        await user.run("whoami", "root\r\n");
        await user.run("ls", "index.html\r\n");
        await user.run("stty", "24 80\r\n");
        user.resize(132, 50);
        await user.run("stty", "50 132\r\n");
        await user.run(`echo ${"é".repeat(5_000)}.`, `.\r\n${"é".repeat(5_000)}.\r\n$ `);
        user.type("exit\n");
        await user.ended();
        assertEquals([user.closed, user.status?.["status"], user.texts], [1000, "Success", 0]);
        await none(running, agent);

        const failing = await open({ protocols: [protocol] }).shows("$ ");
        failing.type("exit 7\n");
        await failing.ended();
        assertEquals([failing.closed, failing.status?.["reason"]], [1000, "NonZeroExitCode"]);
        assertEquals(failing.status?.["details"], { causes: [{ reason: "ExitCode", message: "7" }] });
      }),
  );
}

Deno.test(
  "a client of v5 says that it types no more, and the shell ends by it",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, open } = await terminals(workshop);
      const user = await open().shows("$ ");
      user.type("echo last\n");
      user.send(255, new Uint8Array([0]));
      await user.ended();
      assertEquals([user.closed, user.status?.["status"]], [1000, "Success"]);
      assertStringIncludes(user.text, "\r\nlast\r\n");
      assert(!user.text.includes("\xff"), "the signal is not typed");

      const silent = open({ path: EXEC.replace("stdin=true", "stdin=false") });
      await silent.ended();
      assertEquals(silent.status?.["status"], "Success");
      await none(running, agent);
    }),
);

Deno.test(
  "a program that the container lacks is told as a failure, with the agent's reason",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, open } = await terminals(workshop);
      const missing = await open({ path: EXEC.replace("command=sh", "command=bash&command=-l") }).ended();
      assertEquals([missing.closed, missing.status?.["status"]], [1000, "Failure"]);
      assertStringIncludes(
        String(missing.status?.["message"]),
        'exec: "bash": executable file not found in $PATH',
      );
      await none(running, agent);
      assertEquals(running.core.counters.rows("terminalEnds"), [[
        { agent_name: "edge-1", reason: "failed" },
        1,
      ]]);
    }),
);

Deno.test(
  "what cannot be opened is refused before the upgrade or in the terminal, with the reason",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, tls, open } = await terminals(workshop);
      const refusals: [options: UserOptions, status: number, message: string][] = [
        [{ path: EXEC.replace("command=sh&", "") }, 400, "it names no command"],
        [{ path: EXEC.replace("/web/", "/We_b/") }, 400, "it names no pod in a namespace"],
        [{ path: EXEC.replace("container=main", "container=a/b") }, 400, "it names no container"],
        [{ protocols: ["channel.k8s.io"] }, 400, "needs an upgrade to WebSocket"],
        [{ headers: { origin: "https://elsewhere.example" } }, 403, "may open no terminal"],
        [{ path: "/api/v1/namespaces/shop/pods/web" }, 400, "only a request for a terminal"],
        [{ path: EXEC.replace("shop", "..%2f..") }, 400, "serves no such path"],
      ];
      for (const [options, status, message] of refusals) {
        const user = open(options);
        await user.until("it is not refused", () => user.refused !== undefined);
        assertEquals(user.refused?.status, status, message);
        assertStringIncludes(JSON.parse(user.refused?.text ?? "").message, message);
      }
      for (const method of ["GET", "POST"]) {
        const { status, json } = await askProxy(running.ports.resourceProxy, tls, EXEC, { method });
        assertEquals(status, 400);
        assertStringIncludes(String(json?.["message"]), "needs an upgrade to WebSocket");
      }
      assertEquals(agent.terminals.asked, 0);
      const other = await startAgent(workshop, running, { name: "edge-2", mode: "autonomous" });
      await untilServed(running, other);
      const at2 = await certificateFor(`${workshop.dir}/pki`, "edge-2");
      const autonomous = await new TerminalUser(running.ports.resourceProxy, at2).ended();
      assertEquals([autonomous.status?.["code"], autonomous.closed], [400, 1000]);
      assertStringIncludes(String(autonomous.status?.["message"]), "terminals are for managed agents");
      await agent.stop();
      const gone = open();
      await gone.until("it is not refused", () => gone.refused !== undefined);
      assertEquals(gone.refused?.status, 502);
    }),
);

Deno.test(
  "a user that leaves ends the program; one whose agent is lost, or whose principal steps down, is told",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, open } = await terminals(workshop);
      const leaving = await open().shows("$ ");
      leaving.socket.terminate();
      await none(running, agent);

      const ended = await open().shows("$ ");
      agent.terminals.cut();
      await ended.ended();
      assertEquals([ended.closed, ended.status?.["status"]], [1000, "Success"]);

      const cut = await open().shows("$ ");
      const { connects } = agent.seen;
      agent.connection?.close();
      await cut.ended();
      await until(() => agent.seen.connects > connects, BOUND_MS, () => "the agent does not come back");
      await untilServed(running, agent);
      assertEquals([cut.closed, cut.status?.["status"]], [1001, "Failure"]);
      assertStringIncludes(cut.text, '\r\nconnection to agent "edge-1" lost\r\n');

      const user = await open().shows("$ ");
      await running.operations.command("demote", true, "an operator");
      await user.ended();
      assertEquals([user.closed, user.status?.["status"]], [1001, "Failure"]);
      assertMatch(user.text, /\r\nthe terminal ends here: .*; open it again\r\n$/);
      await none(running, agent);
      const after = await open().ended();
      assertEquals(after.status?.["code"], 503);
      assertStringIncludes(String(after.status?.["message"]), "no peer forwards terminals");
      const { counters } = running.core;
      assertEquals(counters.total("terminals"), 4);
      const ends = counters.rows("terminalEnds").map(([labels, n]) => [labels["reason"], n]);
      assertEquals(ends.sort(), [["agent_lost", 1], ["done", 1], ["not_active", 1], ["user_gone", 1]]);
    }),
);

Deno.test(
  "much output comes whole, as fast as its user reads, and a user who reads nothing holds up no other one",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, open } = await terminals(workshop);
      const slow = await open().shows("$ ");
      slow.pause();
      slow.type("flood 20000000\n");
      const quick = await open().shows("$ ");
      await quick.run("flood 5000000", "end of flood\r\n$ ");
      assert(quick.bytes > 5_000_000, String(quick.bytes));
      assertEquals(agent.terminals.open, 2);
      const rows = running.core.counters.rows("terminalBytes").filter(([{ way }]) => way === "to user");
      assert((rows[0]?.[1] ?? 0) < 20_000_000, `${rows[0]?.[1]} bytes went on`);
      slow.resume();
      await slow.shows("end of flood");
      assert(slow.bytes > 20_000_000, String(slow.bytes));
    }),
);

Deno.test(
  "a replica's user works at an agent of the ACTIVE, is told of the failover, and works on at the new one",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const flags = ["--insecure-jwt-generate", ...proxyFlags(workshop)];
      const toReplica = new Proxy(0);
      workshop.onClose(() => toReplica.close());
      const primary = await workshop.start(workshop.settings("primary", toReplica.port, flags));
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, flags));
      toReplica.targetPort = replica.ports.grpc;
      await untilState(primary, "active");
      await untilState(replica, "replicating");
      let serving = primary;
      const agent = await startAgent(workshop, primary, {
        name: "edge-1",
        address: () => `127.0.0.1:${serving.ports.grpc}`,
      });
      await untilServed(primary, agent);
      const tls = await certificateFor(`${workshop.dir}/pki`, "edge-1");
      const open = (options: UserOptions = {}) => new TerminalUser(replica.ports.resourceProxy, tls, options);
      const user = open();
      user.resize(100, 40);
      await user.shows("$ ");
      await user.run("stty", "40 100\r\n");
      await user.run("flood 3000000", "end of flood\r\n$ ");
      assertEquals([primary.core.terminals.size, replica.core.terminals.size], [1, 0]);

      const other = await open().shows("$ ");
      other.type("exit 3\n");
      await other.ended();
      assertEquals(other.status?.["reason"], "NonZeroExitCode");
      const leaving = await open().shows("$ ");
      leaving.socket.terminate();
      await until(() => primary.core.terminals.size === 1, BOUND_MS, () => "it stays at the ACTIVE");
      const missing = await open({ path: EXEC.replace("command=sh", "command=bash") }).ended();
      assertStringIncludes(String(missing.status?.["message"]), "executable file not found");

      await replica.operations.command("promote", true, "an operator");
      serving = replica;
      await user.ended();
      assertEquals(user.closed, 1001);
      assertMatch(user.text, /\r\nthe terminal ends here: .*; open it again\r\n$/);
      await untilServed(replica, agent);
      const again = await open().shows("$ ");
      await again.run("whoami", "root\r\n");
      assertEquals(replica.core.terminals.size, 1);
    }),
);
