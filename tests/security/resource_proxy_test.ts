/** Hostile callers of the resource proxy, and hostile agents behind it. */
import { Buffer } from "node:buffer";
import { request } from "node:https";
import { connect } from "node:tls";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { serveResourceProxy } from "../../src/adapters/http/resource_proxy.ts";
import { ClientCertificates } from "../../src/adapters/net/client_certificates.ts";
import { Gate } from "../../src/adapters/net/gate.ts";
import { failure } from "../../src/domain/proxy/status.ts";
import type { ResourceProxy } from "../../src/principal/ports/resource_proxy.ts";
import { initPki } from "../../src/cli/pki.ts";
import { certificateFor, serving, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, material, until, type Workshop } from "../support/principals.ts";
import { type Answered, askProxy } from "../../src/simagents/proxy_client.ts";
import { proxyFlags } from "../support/proxy.ts";

const BOUND_MS = 30_000;
const WEB = "/apis/apps/v1/namespaces/shop/deployments/web";
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
const BOUNDS = { listener: "test", connections: 100, perSource: 100, reserve: 1, remedy: "" };

/** A door with small bounds; behind it everybody is let in and hears how large the body was. */
async function door(workshop: Workshop, bounds: { maxHeld?: number; bodyMs?: number; stuckMs?: number }) {
  const seen = { admitted: 0, answering: 0, gone: 0, release: Promise.withResolvers<void>() };
  const proxy: ResourceProxy = {
    admit: () => {
      seen.admitted++;
      return Promise.resolve({
        answer: async (body, signal) => {
          seen.answering++;
          signal.addEventListener("abort", () => seen.gone++);
          await Promise.race([
            seen.release.promise,
            new Promise((end) => signal.addEventListener("abort", end)),
          ]);
          return { status: 200, body: JSON.stringify({ size: body.length }) };
        },
      });
    },
    refuse: (code, message) => failure(code, message),
  };
  const certificates = new ClientCertificates({ blocked: () => false, graceMs: 0, ends: () => {} });
  const open = await serveResourceProxy(proxy, {
    hostname: "127.0.0.1",
    port: 0,
    tls: material(workshop, "primary"),
    tlsVersions: { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" },
    certificates,
    gate: new Gate(BOUNDS, { suffice: () => true }, SILENT),
    timing: { bodyMs: bounds.bodyMs ?? 30_000, answerMs: 30_000, stuckMs: bounds.stuckMs ?? 30_000 },
    maxHeld: bounds.maxHeld ?? 1 << 30,
  });
  workshop.onClose(() => open.close());
  return { seen, port: open.port, tls: material(workshop, "agent-1") };
}

Deno.test(
  "nobody talks to the proxy without a certificate of its CA, or with an old TLS",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { seen, port, tls } = await door(workshop, {});
      const { ca } = tls;
      await initPki(`${workshop.dir}/other`, { sans: [], agents: 1, days: 1 });
      const stranger = (file: string) =>
        Buffer.from(Deno.readFileSync(`${workshop.dir}/other/agent-1.${file}`));
      await assertRejects(() => askProxy(port, { ca }, WEB));
      await assertRejects(() => askProxy(port, { ca, cert: stranger("crt"), key: stranger("key") }, WEB));
      const old = { host: "127.0.0.1", port, ...tls, maxVersion: "TLSv1.2" as const };
      await assertRejects(() =>
        new Promise((resolve, reject) => connect(old).once("secureConnect", resolve).once("error", reject))
      );
      assertEquals(seen.admitted, 0);
      seen.release.resolve();
      assertEquals((await askProxy(port, tls, WEB)).status, 200);
    }),
);

Deno.test(
  "bodies of many callers together are bounded, and free again when they are answered",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { seen, port, tls } = await door(workshop, { maxHeld: 5_000_000 });
      const post = () => askProxy(port, tls, WEB, { method: "POST", body: "x".repeat(2_000_000) });
      const first = [post(), post()];
      await until(() => seen.answering === 2, BOUND_MS, () => "they are not let in", 5);
      const { status, headers, json } = await post();
      assertEquals([status, headers["retry-after"], json?.["reason"]], [429, "1", "TooManyRequests"]);
      seen.release.resolve();
      for (const answered of await Promise.all(first)) assertEquals(answered.json, { size: 2_000_000 });
      for (let n = 0; n < 5; n++) assertEquals((await post()).status, 200, "nothing of it is held any more");
    }),
);

Deno.test(
  "a body that does not come, and a caller that leaves, end their request",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { seen, port, tls } = await door(workshop, { bodyMs: 2_000, maxHeld: 1_000 });
      const headers = { "content-length": "1000" };
      const options = { host: "127.0.0.1", port, path: WEB, method: "POST", ...tls, headers, agent: false };
      const slow = new Promise((_, reject) => {
        const call = request(options as never).on("error", reject);
        call.write("x".repeat(900));
      });
      await assertRejects(() => slow);
      assertEquals(seen.answering, 0);
      const leaving = new AbortController();
      const left = askProxy(port, tls, WEB, {
        method: "POST",
        body: "x".repeat(900),
        signal: leaving.signal,
      });
      await until(() => seen.answering === 1, BOUND_MS, () => "what was held is held still", 5);
      leaving.abort();
      await assertRejects(() => left);
      await until(() => seen.gone === 1, BOUND_MS, () => "nobody hears that the caller has left", 5);
      seen.release.resolve();
      const whole = await askProxy(port, tls, WEB, { method: "POST", body: "x".repeat(900) });
      assertEquals(whole.json, { size: 900 });
    }),
);

Deno.test(
  "an agent answers what it was asked and nothing else; nonsense is a 502 and hurts nobody",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { dir } = workshop;
      const running = await serving(workshop, proxyFlags(workshop));
      const victim = await startAgent(workshop, running, {
        name: "edge-1",
        misbehaviour: { requests: "ignored" },
      });
      const thief = await startAgent(workshop, running, { name: "edge-2" });
      for (const agent of [victim, thief]) await untilServed(running, agent);
      let asked = "";
      victim.onEvent = ({ target, extensions }) =>
        target === "resource" && (asked = extensions.eventid ?? "");
      const tls = await certificateFor(`${dir}/pki`, "edge-1");
      const ask = () => askProxy(running.ports.resourceProxy, tls, WEB);
      const answer = (agent: typeof victim, id: string, payload: string) =>
        agent.send({
          type: "response",
          target: "resource",
          extensions: { resourceid: crypto.randomUUID(), eventid: id },
          payload: new TextEncoder().encode(payload),
        });
      const says = (uuid: string, status: unknown, resource = "{}") =>
        JSON.stringify({ uuid, status, resource });
      const next = async () => {
        asked = "";
        const answered = ask();
        await until(() => asked !== "", BOUND_MS, () => "the request does not come", 5);
        return { answered, id: asked };
      };
      const { answered, id } = await next();
      answer(thief, id, says(id, 200, '{"stolen":true}'));
      await until(() => thief.outbox.pending === 0, BOUND_MS, () => "it is not acknowledged", 5);
      answer(victim, id, says(id, 200, '{"own":true}'));
      assertEquals((await answered).json, { own: true });
      for (const status of [0, 100, 199, 600, 1e9, -1, "200", null]) {
        const { answered, id } = await next();
        answer(victim, id, says(id, status));
        assertEquals((await answered).status, 502, String(status));
      }
      for (const payload of ["", "{", "[".repeat(100_000), '"x"', says("another", 200)]) {
        const { answered, id } = await next();
        answer(victim, id, payload);
        assertEquals((await answered).status, 502, payload.slice(0, 20));
      }
      const injected = await next();
      answer(victim, injected.id, says(injected.id, 200, "\r\nSet-Cookie: a=b\r\n\r\n"));
      const { status, headers } = await injected.answered;
      assertEquals([status, headers["set-cookie"]], [200, undefined]);
      assert(running.core.fleet.agent("edge-1")?.stream, "its stream is open");
    }),
);

Deno.test(
  "an agent has so many large bodies under way and no more: others are refused before anything is made of them",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, proxyFlags(workshop));
      const misbehaviour = { requests: "ignored" as const };
      const busy = await startAgent(workshop, running, { name: "edge-1", misbehaviour });
      const other = await startAgent(workshop, running, { name: "edge-2" });
      for (const agent of [busy, other]) await untilServed(running, agent);
      const leaving = new AbortController();
      const refused: Answered[] = [];
      const post = async (name: string, signal: AbortSignal) => {
        const tls = await certificateFor(`${workshop.dir}/pki`, name);
        const asking = { method: "POST", body: "x".repeat(3_000_000), signal };
        return await askProxy(running.ports.resourceProxy, tls, "/api/v1/namespaces/shop/configmaps", asking);
      };
      const posts = Array.from({ length: 8 }, () =>
        post("edge-1", leaving.signal).then((answered) => refused.push(answered)));
      await until(
        () =>
          refused.length >= 4,
        BOUND_MS,
        () => `${refused.length} are refused`,
        5,
      );
      for (const { status, headers, json } of refused.slice(0, 4)) {
        assertEquals([status, headers["retry-after"]], [429, "1"]);
        assertStringIncludes(String(json?.["message"]), "too many large requests are under way to it");
      }
      const others = await post("edge-2", leaving.signal);
      assertEquals(others.status, 500, "it is no JSON, says that agent");
      leaving.abort();
      await Promise.allSettled(posts);
    }),
);
