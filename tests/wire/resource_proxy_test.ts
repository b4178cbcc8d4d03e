/** The resource proxy over HTTPS, with agents over gRPC behind it. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { certificateFor, serving, startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";
import { proxyFlags, served, WEB } from "../support/proxy.ts";
import { type Asking, askProxy } from "../../src/simagents/proxy_client.ts";

const BOUND_MS = 30_000;
const DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments";

const message = (json: Record<string, unknown> | undefined) => String(json?.["message"]);

Deno.test(
  "an agent's cluster is read and changed through the proxy, as Argo CD does it",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, ask } = await served(workshop);
      assertEquals((await ask("/version?timeout=32s")).json?.["gitVersion"], "v1.28.5+argocd-agent");
      const annotations = { "argocd-agent.argoproj-labs.io/kubernetes-version": "1.33.2" };
      const labels = {
        "argocd.argoproj.io/secret-type": "cluster",
        "argocd-agent.argoproj-labs.io/agent-name": "edge-1",
      };
      const metadata = { name: "cluster-edge-1", namespace: "argocd", labels, annotations };
      const secret = { apiVersion: "v1", kind: "Secret", metadata, data: {} };
      await running.core.store.write({ op: "put", object: secret });
      const isKnown = async () => (await ask("/version")).json?.["gitVersion"] === "v1.33.2";
      await until(isKnown, BOUND_MS, () => "the version of the cluster is not told", 5);
      assertEquals((await ask("/api")).json?.["versions"], ["v1"]);
      const groups = (await ask("/apis")).json?.["groups"] as { name: string }[];
      assertEquals(groups.map(({ name }) => name), ["apps", "batch"]);
      assertEquals((await ask("/apis/apps/v1")).json?.["groupVersion"], "apps/v1");
      const got = await ask(WEB);
      assertEquals([got.status, got.headers["content-type"]], [200, "application/json"]);
      assertEquals(got.json?.["spec"], { replicas: 1 });
      const merge = { "content-type": "application/merge-patch+json; charset=utf-8" };
      const body = JSON.stringify({ spec: { replicas: 3 } });
      assertEquals((await ask(WEB, { method: "PATCH", headers: merge, body })).status, 200);
      assertEquals(agent.resources.get("deployments", "shop", "web")?.["spec"], { replicas: 3 });
      assertEquals((await ask(`${WEB}/scale`)).status, 200);
      const json = { "content-type": "application/json" };
      const job = JSON.stringify({ metadata: { name: "now" } });
      const jobs = "/apis/batch/v1/namespaces/shop/jobs";
      assertEquals((await ask(jobs, { method: "POST", headers: json, body: job })).status, 200);
      const conflict = await ask(jobs, { method: "POST", headers: json, body: job });
      assertEquals([conflict.status, conflict.json?.["reason"]], [409, "Conflict"]);
      assertEquals((await ask(WEB, { method: "DELETE" })).status, 200);
      const missing = await ask(WEB);
      assertEquals([missing.status, missing.json?.["reason"]], [404, "NotFound"]);
      assertEquals(
        message(missing.json),
        `GET ${WEB} at agent "edge-1" failed: its cluster has no such resource`,
      );
      agent.resources.put("deployments", { metadata: { name: "other", namespace: "shop" } }, false);
      assertEquals((await ask(`${DEPLOYMENTS}/other`)).status, 403, "Argo CD does not manage it");
      const involved = { involvedObject: { name: "web" }, filler: "x".repeat(5_000_000) };
      agent.resources.put("events", { metadata: { name: "e1", namespace: "shop" }, ...involved });
      const events = await ask("/api/v1/namespaces/shop/events?fieldSelector=involvedObject.name%3Dweb");
      assertEquals((events.json?.["items"] as unknown[]).length, 1);
      assertEquals(running.core.counters.rows("resourceProxyErrors").map(([labels]) => labels), [
        { agent_name: "edge-1", reason: "agent_error" },
      ]);
    }),
);

Deno.test(
  "what agents would carry out as something else, or not at all, is refused",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, ask } = await served(workshop);
      const before = agent.resources.handled;
      for (const method of ["PUT", "OPTIONS", "HEAD"]) {
        assertEquals((await ask(WEB, { method })).status, 403, method);
      }
      const tls = await certificateFor(`${workshop.dir}/pki`, "edge-1");
      await assertRejects(() => askProxy(running.ports.resourceProxy, { ca: tls.ca }, WEB));
      for (const path of ["/healthz", "/apis/apps", "/api/v1/namespaces/a/../b", "//api"]) {
        const { status, json } = await ask(path);
        assertEquals([status, json?.["kind"]], [400, "Status"], path);
      }
      const headers = { "content-type": "application/json-patch+json" };
      assertEquals((await ask(WEB, { method: "PATCH", headers, body: "[]" })).status, 415);
      assertEquals((await ask(`${DEPLOYMENTS}?watch=true`)).status, 405);
      const large = { method: "POST", headers: { "content-type": "application/json" } };
      for (const megabytes of [4, 6]) {
        const answer = await ask(DEPLOYMENTS, { ...large, body: "x".repeat(megabytes * 1024 * 1024) });
        assertEquals([answer.status, answer.json?.["reason"]], [413, "RequestEntityTooLarge"]);
      }
      const chunked = { ...large, headers: { ...large.headers, "transfer-encoding": "chunked" } };
      assertEquals((await ask(DEPLOYMENTS, { ...chunked, body: "x".repeat(4 * 1024 * 1024) })).status, 413);
      assertEquals(agent.resources.handled, before, "the agent hears of none of it");
      assertEquals((await ask(`${DEPLOYMENTS}`)).status, 500, "agents list nothing but events");
    }),
);

Deno.test(
  "a caller reaches the agent of its token, or of its certificate's name, and no other",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, ask } = await served(workshop);
      const port = running.ports.resourceProxy;
      const shared = await certificateFor(`${workshop.dir}/pki`, "argocd-server");
      const nobody = await askProxy(port, shared, WEB);
      assertEquals(nobody.status, 502);
      assertEquals(message(nobody.json), `cannot GET ${WEB} at agent "argocd-server": it is not connected`);
      const odd = await certificateFor(`${workshop.dir}/pki`, "Argo CD");
      assertEquals((await askProxy(port, odd, WEB)).status, 400);
      const wrong = await ask(WEB, { headers: { authorization: "Bearer nonsense" } });
      assertEquals(
        [wrong.status, wrong.json?.["reason"]],
        [401, "Unauthorized"],
        "no way back to the certificate",
      );
      const { accessToken = "" } = agent.connection ?? {};
      assertEquals((await ask(WEB, { headers: { authorization: `Bearer ${accessToken}` } })).status, 401);
      assertEquals((await ask(WEB, { headers: { authorization: "basic x" } })).status, 200);
      const rows = running.core.counters.rows("resourceProxyRequests").map(([{ agent_name }]) => agent_name);
      assertEquals(rows.sort(), ["edge-1", "unknown"], "names of certificates make no series");
    }),
);

Deno.test(
  "agents that leave, stay silent or have no proxy: the caller hears which, and soon",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, ask } = await served(workshop);
      agent.misbehaviour.requests = "unanswered";
      const off = await ask(WEB);
      assertEquals(off.status, 502);
      assert(message(off.json).includes("--enable-resource-proxy"), off.text);
      agent.misbehaviour.requests = "ignored";
      let requests = 0;
      agent.onEvent = ({ target }) => target === "resource" && requests++;
      const asked = () => requests;
      const cut = async (sent: Promise<unknown>, before: number) => {
        await until(() => asked() > before, BOUND_MS, () => "the request does not come", 5);
        delete agent.misbehaviour.requests;
        agent.connection?.close();
        return await sent;
      };
      const read = await cut(ask(WEB), asked()) as { status: number };
      assertEquals(read.status, 200, "what only reads is asked once more over the next stream");
      await untilServed(running, agent);
      agent.misbehaviour.requests = "ignored";
      const changed = await cut(ask(WEB, { method: "DELETE" }), asked());
      const { status, headers, text } = changed as Awaited<ReturnType<typeof ask>>;
      assertEquals([status, headers["retry-after"]], [503, "1"]);
      assert(text.includes("whether it was carried out is not known"), text);
      assert(agent.resources.get("deployments", "shop", "web"), "no change is sent twice");
      await untilServed(running, agent);
      agent.misbehaviour.requests = "ignored";
      const before = asked();
      const browser = new AbortController();
      const gone = assertRejects(() => ask(WEB, { signal: browser.signal }));
      await until(() => asked() > before, BOUND_MS, () => "the request does not come", 5);
      browser.abort();
      await gone;
    }),
);

Deno.test(
  "discovery is asked once for all who want it at the same time, and once more after the agent was away",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running, agent, ask } = await served(workshop);
      const before = agent.resources.handled;
      const answers = await Promise.all(
        Array.from({ length: 40 }, (_, n) => ask(["/api", "/apis", "/apis/apps/v1", "/api/v1"][n % 4] ?? "")),
      );
      assertEquals(new Set(answers.map(({ status }) => status)), new Set([200]));
      assertEquals(agent.resources.handled - before, 3, "both roots are one list");
      const opened = agent.seen.connects;
      agent.connection?.close();
      await until(() => agent.seen.connects > opened, BOUND_MS, () => "it does not come back", 5);
      await untilServed(running, agent);
      assertEquals((await ask("/apis/apps/v1")).status, 200);
      assertEquals(agent.resources.handled - before, 4);
      assertEquals((await ask("/apis/none/v1")).status, 404);
      assertEquals((await ask("/apis/none/v1")).status, 404);
      assertEquals(agent.resources.handled - before, 6, "a failure is not kept");
    }),
);

Deno.test(
  "a replica's proxy reaches the agents of the ACTIVE; without one it says what it is",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(workshop.settings("primary", 0, ["--insecure-jwt-generate"]));
      await untilState(primary, "active");
      const settings = workshop.settings("replica", primary.ports.grpc, proxyFlags(workshop, "replica"));
      const replica = await workshop.start({ ...settings, generateJwtKey: true });
      await untilState(replica, "replicating");
      let to = primary;
      const agent = await startAgent(workshop, () => `127.0.0.1:${to.ports.grpc}`, { name: "edge-1" });
      agent.resources.put("deployments", { metadata: { name: "web", namespace: "shop" } });
      const [tls, other] = await Promise.all(
        ["edge-1", "edge-2"].map((name) => certificateFor(`${workshop.dir}/pki`, name)),
      );
      const ask = (path: string, asking?: Asking) =>
        askProxy(replica.ports.resourceProxy, tls ?? {}, path, asking);
      await until(
        () => replica.core.requests.connected("edge-1") !== undefined,
        BOUND_MS,
        () => "unknown",
        5,
      );
      assertEquals((await ask(WEB)).status, 200);
      assertEquals((await ask("/apis/apps/v1")).status, 200);
      assertEquals((await askProxy(replica.ports.resourceProxy, other ?? {}, WEB)).status, 502);

      await primary.stop();
      await until(
        async () => {
          const { status, json } = await ask(WEB, { method: "DELETE" });
          return status === 503 && message(json).endsWith("and has no way to agents");
        },
        60_000,
        () => "the side without an ACTIVE does not say so",
        50,
      );
      to = replica;
      await replica.operations.command("promote", true, "");
      await untilState(replica, "active");
      await untilServed(replica, agent);
      assertEquals((await ask(WEB)).status, 200);
    }),
);

Deno.test(
  "a self-registered cluster's token reaches its agent with the shared certificate, and only its",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const shared = await certificateFor(`${workshop.dir}/pki`, "argocd-server");
      const registering = [
        ...proxyFlags(workshop),
        "--enable-self-cluster-registration",
        "--self-registration-client-cert-secret=proxy-client",
        "--resource-proxy-callers=argocd-server",
      ];
      const running = await serving(workshop, registering);
      const { store } = running.core;
      const secret = (part: "cert" | "key" | "ca") => shared[part].toString("base64");
      const data = { "tls.crt": secret("cert"), "tls.key": secret("key"), "ca.crt": secret("ca") };
      const metadata = { name: "proxy-client", namespace: "argocd" };
      await store.write({ op: "put", object: { apiVersion: "v1", kind: "Secret", metadata, data } });
      const agents = await Promise.all(
        ["edge-1", "edge-2"].map((name) => startAgent(workshop, running, { name })),
      );
      for (const agent of agents) await untilServed(running, agent);
      agents[1]?.resources.put("deployments", { metadata: { name: "web", namespace: "shop" } });
      const bearerOf = async (agent: string) => {
        const cluster = await store.get(`Secret/argocd/cluster-${agent}`);
        const { config = "" } = cluster?.["data"] as Record<string, string>;
        const { bearerToken } = JSON.parse(atob(config)) as { bearerToken: string };
        return { headers: { authorization: `Bearer ${bearerToken}` } };
      };
      const port = running.ports.resourceProxy;
      const first = await askProxy(port, shared, WEB, await bearerOf("edge-1"));
      assertEquals(first.status, 404, "edge-1 has none");
      const second = await askProxy(port, shared, WEB, await bearerOf("edge-2"));
      assertEquals(second.status, 200);
      const own = await certificateFor(`${workshop.dir}/pki`, "edge-2");
      for (const asking of [{}, await bearerOf("edge-2")]) {
        assertEquals((await askProxy(port, own, WEB, asking)).status, 401, "it is no named caller");
      }
      assertEquals((await askProxy(port, shared, WEB)).status, 401, "a named caller needs a token");

      // The other side signs with another key, and has the cluster's Secret.
      const flags = ["--insecure-jwt-generate", ...proxyFlags(workshop, "replica")];
      const replica = await workshop.start(workshop.settings("replica", running.ports.grpc, flags));
      await untilState(replica, "replicating");
      await until(
        () => replica.core.requests.connected("edge-2") !== undefined,
        BOUND_MS,
        () => "edge-2 is not known",
        5,
      );
      const asking = await bearerOf("edge-2");
      const there = async (more: Asking = {}) =>
        (await askProxy(replica.ports.resourceProxy, shared, WEB, { ...asking, ...more })).status;
      assertEquals(await there(), 200);
      const cut = asking.headers.authorization.slice(0, -1);
      assertEquals(await there({ headers: { authorization: cut } }), 401);
      await store.write({ op: "delete", key: "Secret/argocd/cluster-edge-2" });
      await until(async () => await there() === 401, BOUND_MS, () =>
        "the token of a deleted Secret counts", 20);
    }),
);
