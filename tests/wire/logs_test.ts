/** Logs of pods, from an agent over gRPC to a reader over HTTPS. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { dialPeer } from "../../src/adapters/grpc/dial.ts";
import { logStreamService } from "../../src/adapters/grpc/services.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import type { Running } from "../../src/serve.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { StreamedRead } from "../../src/simagents/proxy_client.ts";
import { certificateFor, serving, startAgent, untilServed } from "../support/agents.ts";
import { proxyFlags } from "../support/proxy.ts";
import { inWorkshop, LOOSE, Proxy, until, untilState, type Workshop } from "../support/principals.ts";

const BOUND_MS = 30_000;
const LOG = "/api/v1/namespaces/shop/pods/web/log";

/** A reader of a log that reads as it comes. */
class Reader extends StreamedRead {
  text = "";

  constructor(port: number, tls: TlsMaterial, path: string) {
    super(port, tls, path, (text) => this.text += text);
  }

  async until(what: string, holds: () => boolean): Promise<this> {
    await until(
      holds,
      BOUND_MS,
      () => `${what}: status ${this.status}, over ${this.over}, text ${this.text}`,
    );
    return this;
  }

  whole(): Promise<this> {
    return this.until("it does not end", () => this.over);
  }
}

interface Served {
  running: Running;
  agent: SimAgent;
  read(query?: string, path?: string): Reader;
}

async function served(workshop: Workshop): Promise<Served> {
  const pki = `${workshop.dir}/pki`;
  const running = await serving(workshop, proxyFlags(workshop));
  const agent = await startAgent(workshop, running, { name: "edge-1" });
  await untilServed(running, agent);
  const tls = await certificateFor(pki, "edge-1");
  const read = (query = "", path = LOG) => new Reader(running.ports.resourceProxy, tls, `${path}${query}`);
  return { running, agent, read };
}

const numbered = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, n) => `line ${from + n}`);
const text = (...lines: string[]) => lines.map((line) => `${line}\n`).join("");

Deno.test(
  "a log that is not followed comes whole, with timestamps where they are asked for, and ends",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { agent, read } = await served(workshop);
      agent.logs.say("shop", "web", ...numbered(1, 500));
      const plain = await read().whole();
      assertEquals([plain.status, plain.headers["content-type"]], [200, "text/plain; charset=utf-8"]);
      assertEquals(plain.text, text(...numbered(1, 500)));
      const tail = await read("?tailLines=2&timestamps=true&container=main").whole();
      assertMatch(tail.text, /^20\S+Z line 499\n20\S+Z line 500\n$/);
      const readers = await Promise.all([1, 2, 3].map(() => read("?tailLines=1").whole()));
      assertEquals(readers.map(({ text }) => text), Array(3).fill("line 500\n"));
    }),
);

Deno.test(
  "a refusal of the agent's cluster is a status and no empty log; one that cannot be asked is said so",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { agent, read } = await served(workshop);
      for (const query of ["", "?follow=true"]) {
        const { status, text } = await read(query, "/api/v1/namespaces/shop/pods/none/log").whole();
        assertEquals(status, 404);
        assertStringIncludes(JSON.parse(text).message, 'agent "edge-1": pods "none" not found');
      }
      agent.misbehaviour.requests = "unanswered";
      const silent = await read("?follow=true").whole();
      assertEquals([silent.status, JSON.parse(silent.text).kind], [504, "Status"]);
      await agent.stop();
      await until(() => agent.connected === false, BOUND_MS, () => "it is connected");
      const gone = read();
      await gone.whole();
      assert(gone.status === 502 || gone.status === 503, String(gone.status));
    }),
);

Deno.test(
  "a log is followed over calls that break, without a line twice or lost, and ends with its pod",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { agent, read, running } = await served(workshop);
      agent.logs.say("shop", "web", ...numbered(1, 50));
      const reader = read("?follow=true");
      await reader.until("no first lines", () => reader.text.includes("line 50\n"));
      for (let n = 0; n < 3; n++) {
        agent.logs.cut();
        agent.logs.say("shop", "web", ...numbered(51 + n * 10, 60 + n * 10));
        await reader.until("no more lines", () => reader.text.includes(`line ${60 + n * 10}\n`));
      }
      agent.logs.end("shop", "web");
      await reader.whole();
      assertEquals(reader.text, text(...numbered(1, 80)));
      await until(() => running.core.logs.size === 0, BOUND_MS, () => "a session stays");
    }),
);

Deno.test(
  "a reader that leaves, and one that reads nothing, hold up neither the agent nor the principal",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { agent, read, running } = await served(workshop);
      agent.logs.say("shop", "web", "first");
      const reader = read("?follow=true");
      await reader.until("no first line", () => reader.text === "first\n");
      reader.leave();
      await until(() => running.core.logs.size === 0, BOUND_MS, () => "the session stays");
      await until(() => agent.logs.bringing === 0, BOUND_MS, () => "the agent brings it still");
      agent.logs.say("shop", "web", "second");
      assertEquals((await read().whole()).text, "first\nsecond\n");
    }),
);

Deno.test(
  "an agent brings its own logs only, and none to a principal that steps down",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { agent, read, running } = await served(workshop);
      agent.logs.say("shop", "web", "first");
      const ids: string[] = [];
      agent.onEvent = (event) => {
        if (event.target === "containerlog") ids.push(event.extensions.eventid ?? "");
      };
      const reader = read("?follow=true");
      const other = await startAgent(workshop, running, { name: "edge-2" });
      await untilServed(running, other);
      await reader.until("no first line", () => reader.text === "first\n");
      const foreign = other.connection?.bringLog?.();
      await foreign?.send({ request_uuid: ids[0] ?? "", data: new TextEncoder().encode("forged\n") });
      assertEquals(await foreign?.over, 5);
      assertEquals(reader.text, "first\n");

      const material = await certificateFor(`${workshop.dir}/pki`, "edge-1");
      const client = dialPeer(`127.0.0.1:${running.ports.grpc}`, material, 1 << 20);
      workshop.onClose(() => client.close());
      const { path, requestSerialize, responseDeserialize } = logStreamService.StreamLogs;
      const code = await new Promise((resolve) =>
        client.makeClientStreamRequest(
          path,
          requestSerialize,
          responseDeserialize,
          (error) => resolve(error?.code),
        ).end()
      );
      assertEquals(code, 16);

      await running.operations.command("demote", true, "an operator");
      await reader.whole();
      assertMatch(reader.text, /^first\nthe log ends here: .*; read it again\n$/);
      const { status, text } = await read().whole();
      assertEquals(status, 503);
      assertStringIncludes(text, "no peer forwards logs");
    }),
);

Deno.test(
  "a replica's readers get the logs of the ACTIVE's agents, as fast as they read, and from its own once it is promoted",
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
      agent.logs.say("shop", "web", ...numbered(1, 20_000));
      const tls = await certificateFor(`${workshop.dir}/pki`, "edge-1");
      const read = (query: string, path = LOG) =>
        new Reader(replica.ports.resourceProxy, tls, `${path}${query}`);
      assertEquals((await read("").whole()).text, text(...numbered(1, 20_000)));
      const missing = await read("?container=a%26b", "/api/v1/namespaces/shop/pods/none/log").whole();
      assertEquals(missing.status, 404);
      const followed = read("?follow=true&tailLines=1&timestamps=true");
      await followed.until("no line", () => followed.text.includes("line 20000\n"));
      agent.logs.say("shop", "web", "and more");
      await followed.until("no more", () => followed.text.includes("and more\n"));

      const leaving = read("?follow=true&tailLines=1");
      await leaving.until("no line", () => leaving.text.length > 0);
      leaving.leave();
      await until(() => primary.core.logs.size === 1, BOUND_MS, () => "the session stays at the ACTIVE");

      await replica.operations.command("promote", true, "an operator");
      serving = replica;
      await followed.whole();
      assertMatch(
        followed.text,
        /^20\S+Z line 20000\n20\S+Z and more\n\n?20\S+Z the log ends here: .*; read it again\n$/s,
      );
      await untilServed(replica, agent);
      assertEquals((await read("?tailLines=1").whole()).text, "and more\n");
    }),
);
