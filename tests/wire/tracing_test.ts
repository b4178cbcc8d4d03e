/** Traces: what one change or request does in both principals and at the agent is one tree, and a collector that is away costs nothing. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import { RotatingCredentials } from "../../src/adapters/grpc/server.ts";
import { traceOf } from "../../src/domain/events/trace.ts";
import { call, dialAdmin } from "../../src/adapters/grpc/dial.ts";
import { adminService } from "../../src/adapters/grpc/services.ts";
import { freePorts } from "../../src/cli/processes.ts";
import { askProxy } from "../../src/simagents/proxy_client.ts";
import type { Running } from "../../src/serve.ts";
import { application, certificateFor, startAgent, untilHolds, untilServed } from "../support/agents.ts";
import { type CollectedSpan, FakeCollector } from "../support/collector.ts";
import {
  inWorkshop,
  LOOSE,
  material,
  until,
  untilEqual,
  untilState,
  type Workshop,
} from "../support/principals.ts";
import { proxyFlags, WEB } from "../support/proxy.ts";
import { collecting, otlp, traceAgent, traced } from "../support/tracing.ts";

const BOUND_MS = 20_000;
const CALLER = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" };

/** A pair that traces, with a proxy on each side. */
async function pairOf(workshop: Workshop, collector: FakeCollector) {
  const flags = (name: string) => ["--insecure-jwt-generate", ...proxyFlags(workshop, name)];
  const [toReplica = 0] = freePorts(1);
  const settings = {
    ...workshop.settings("primary", toReplica, flags("primary")),
    allowedReplicationClients: ["primary", "replica"],
  };
  const primary = await workshop.served(traced(settings, collector, "primary"));
  await untilState(primary, "active");
  const replicaSettings = workshop.settings("replica", primary.ports.grpc, flags("replica"));
  const replica = await workshop.start(
    traced({ ...replicaSettings, listenPort: toReplica }, collector, "replica"),
  );
  await untilState(replica, "replicating");
  return { primary, replica };
}

const put = (running: Running, name: string, path = name) => {
  const source = { repoURL: "https://git.example.com/a.git", path, targetRevision: "main" };
  const spec = { project: "default", source, destination: { name: "edge-1", namespace: "default" } };
  return running.core.store.write({ op: "put", object: application("edge-1", name, { spec }) });
};

const child = (service: string, name: string, parent: CollectedSpan) => (span: CollectedSpan) =>
  span.service === service && span.name === name && span.parentId === parent.spanId &&
  span.traceId === parent.traceId;

Deno.test(
  "a change is one trace: the store's word, the agent's acknowledgement, its report, and both at the replica",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const collector = await collecting(workshop);
      const { primary, replica } = await pairOf(workshop, collector);
      const acknowledged: (string | undefined)[] = [];
      const agent = await startAgent(workshop, primary, {
        name: "edge-1",
        prepare: (one) => traceAgent(workshop, one, collector),
      });
      await untilServed(primary, agent);
      const under = agent.onWire;
      agent.onWire = (way, event) => {
        under?.(way, event);
        if (way === "to agent" && event.target === "eventProcessed") {
          acknowledged.push(event.extensions.traceparent);
        }
      };
      await put(primary, "web");
      await untilHolds(agent, "Application", ["web"]);
      const is = (name: string) => (span: CollectedSpan) => span.service === "primary" && span.name === name;

      const changed = await collector.find("the change", is("Application.create"));
      assertEquals([changed.parentId, changed.attributes["k8s.resource.name"]], ["", "web"]);
      const applied = await collector.find(
        "its copy at the replica",
        child("replica", "replicate Application", changed),
      );
      assertEquals([applied.kind, applied.problem], ["consumer", undefined]);
      const sent = await collector.find("sent", child("primary", "send application.create", changed));
      assertEquals([sent.kind, sent.attributes["argocd.agent.name"], sent.problem], [
        "producer",
        "edge-1",
        undefined,
      ]);
      const handled = await collector.find("the agent's", child("edge-1", "application.create", sent));
      assert(sent.endMs >= handled.startMs, "sent lasts until the agent has acknowledged it");
      const report = await collector.find("the agent's report", child("edge-1", "report", handled));
      const taken = await collector.find("its status", child("primary", "application.status-update", report));
      assertEquals([taken.kind, taken.attributes["argocd.event.type"]], ["consumer", "status-update"]);
      const status = await collector.find("its write", child("primary", "Application.update", taken));
      await collector.find("its copy", child("replica", "replicate Application", status));
      await until(
        () => acknowledged.some((trace) => trace?.includes(report.spanId)),
        BOUND_MS,
        () => `the acknowledgement does not name the agent's span: ${acknowledged}`,
        5,
      );
      await untilEqual(primary, replica);
      const names = collector.spans.filter(({ service }) => service === "replica").map(({ name }) => name);
      assert(!names.includes("Application.create"), "a replica's copy is no change of its own");
    }),
);

Deno.test(
  "changes that an agent was not sent one by one are linked by the one that it is sent",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const collector = await collecting(workshop);
      const settings = workshop.settings("primary", 0, ["--insecure-jwt-generate"]);
      const primary = await workshop.start(traced(settings, collector, "primary"));
      await untilState(primary, "active");
      for (const path of ["one", "two", "three"]) {
        await put(primary, "web", path);
        const shows = () => primary.core.index.get("Application/edge-1/web")?.payload.includes(path) === true;
        await until(shows, BOUND_MS, () => `the index does not show ${path}`, 2);
      }
      const agent = await startAgent(workshop, primary, { name: "edge-1" });
      await untilHolds(agent, "Application", ["web"]);
      const sent = await collector.find("sent", ({ name }) => name === "send application.create");
      const changes = collector.spans.filter(({ name, parentId }) =>
        /^Application\.(create|update)$/.test(name) && parentId === ""
      );
      assertEquals(changes.map(({ name }) => name), [
        "Application.create",
        "Application.update",
        "Application.update",
      ]);
      const [create, update, last] = changes;
      assertEquals(sent.parentId, last?.spanId);
      assertEquals(sent.links, [create?.spanId, update?.spanId]);
    }),
);

Deno.test(
  "a request of the replica's UI is one trace: its caller, its proxy, the link, the ACTIVE and the agent",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const collector = await collecting(workshop);
      const { primary, replica } = await pairOf(workshop, collector);
      const seen: AgentEvent[] = [];
      const agent = await startAgent(workshop, primary, {
        name: "edge-1",
        prepare: (one) => one.onEvent = (event) => event.target === "resource" && seen.push(event),
      });
      await untilServed(primary, agent);
      agent.resources.put("deployments", { metadata: { name: "web", namespace: "shop" } });
      await until(
        () => replica.core.requests.connected("edge-1") !== undefined,
        BOUND_MS,
        () => "the replica does not know the agent",
        5,
      );
      const tls = await certificateFor(`${workshop.dir}/pki`, "edge-1");
      const answer = await askProxy(replica.ports.resourceProxy, tls, WEB, { headers: CALLER });
      assertEquals(answer.status, 200);
      const of = (service: string) => (span: CollectedSpan) => span.service === service;
      const proxied = await collector.find(
        "the proxy's",
        (span) => of("replica")(span) && span.name === "resource-proxy GET",
      );
      assertEquals(CALLER.traceparent, `00-${proxied.traceId}-${proxied.parentId}-01`);
      assertEquals(
        [proxied.attributes["http.response.status_code"], proxied.attributes["url.path"]],
        [200, WEB],
      );
      const forward = await collector.find("forwarded", child("replica", "forward resource.GET", proxied));
      const asked = await collector.find("asked", child("primary", "resource.GET", forward));
      assertEquals(asked.attributes["argocd.agent.name"], "edge-1");
      assertEquals(seen.map(({ extensions }) => traceOf(extensions)?.traceparent), [
        `00-${asked.traceId}-${asked.spanId}-01`,
      ]);

      agent.logs.say("shop", "web", "a line");
      agent.logs.end("shop", "web");
      const log = await askProxy(replica.ports.resourceProxy, tls, "/api/v1/namespaces/shop/pods/web/log");
      assertEquals(log.status, 200);
      const read = await collector.find(
        "the reader's",
        ({ name, attributes }) =>
          name === "resource-proxy GET" && String(attributes["url.path"]).endsWith("/log"),
      );
      const link = await collector.find("its call", child("replica", "argocdagentha.v1.Link/Log", read));
      const served = await collector.find("served", child("primary", "argocdagentha.v1.Link/Log", link));
      await collector.find("asked of the agent", child("primary", "containerlog.GET", served));
    }),
);

Deno.test(
  "a planned move is one trace over both sides, phase by phase; a promotion tells the steps of its state",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const collector = await collecting(workshop);
      const { primary, replica } = await pairOf(workshop, collector);
      await put(primary, "web");
      await untilEqual(primary, replica);
      await primary.core.switchover.run({ who: "somebody", dryRun: false, timeoutMs: 30_000 }, () => {});
      await untilState(primary, "replicating");
      const move = await collector.find("the move", ({ name }) => name === "ha.switchover");
      assertEquals([move.service, move.attributes["ha.who"], move.problem], [
        "primary",
        "somebody",
        undefined,
      ]);
      for (const phase of ["preflight", "freeze", "cut", "proof", "prepare", "step", "follow"]) {
        await collector.find(phase, child("primary", `ha.switchover ${phase}`, move));
      }
      const demotion = await collector.find("the demotion", child("primary", "ha.demote", move));
      assert(demotion.events.some((text) => text.startsWith("active -> ")), demotion.events.join());
      const link = "argocdagentha.v1.Link/TakeOver";
      const word = await collector.find("the word", child("primary", link, move));
      const heard = await collector.find("heard", child("replica", link, word));
      const takeover = await collector.find("the takeover", child("replica", "ha.takeOver", heard));
      assert(takeover.events.some((text) => text.includes("-> active")), takeover.events.join());

      const admin = dialAdmin(`127.0.0.1:${replica.ports.admin}`);
      try {
        await call(admin, adminService.Demote, {}, 10_000);
      } finally {
        admin.close();
      }
      const asked = await collector.find(
        "the command's",
        ({ name, service }) => name === "haadminapi.HAAdmin/Demote" && service === "replica",
      );
      assertEquals([asked.kind, asked.parentId], ["server", ""]);
      await collector.find("the demotion", child("replica", "ha.demote", asked));
      const routine = collector.spans.filter(({ name, parentId }) =>
        name === "argocdagentha.v1.Link/Ask" ||
        (name.startsWith("argocdagentha.v1.Link/") && parentId === "")
      );
      assertEquals(routine, [], "what a pair says all the time is no trace");
    }),
);

Deno.test(
  "a collector that is away is told of once, keeps nothing waiting, and gets spans again when it is back",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const collector = await collecting(workshop);
      collector.stop();
      const settings = workshop.settings("primary", 0, ["--insecure-jwt-generate"]);
      const away = otlp(collector.address, "primary", {
        OTEL_BSP_MAX_QUEUE_SIZE: "20",
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE: "10",
      });
      const primary = await workshop.start({ ...settings, otlp: away });
      await untilState(primary, "active");
      const agent = await startAgent(workshop, primary, { name: "edge-1" });
      const names = Array.from({ length: 60 }, (_, i) => `app-${i}`);
      for (const name of names) await put(primary, name);
      await untilHolds(agent, "Application", names);
      const told = (text: string) => workshop.logs.filter((line) => line.includes(text));
      const AWAY = `warn cannot send spans to the collector "${collector.address}": `;
      await until(() => told(AWAY).length > 0, BOUND_MS, () => "nothing is told", 20);
      await collector.start();
      let n = 0;
      await until(
        async () => {
          await put(primary, "later", `path-${n++}`);
          return told("info spans reach the collector again").length > 0;
        },
        BOUND_MS,
        () => `no span comes to a collector that is back: ${workshop.logs.slice(-5).join("\n")}`,
        100,
      );
      await collector.find("later", ({ attributes }) => attributes["k8s.resource.name"] === "later");
      assertEquals(told(AWAY).length, 1, "once");
      assertEquals(told("info spans reach the collector again").length, 1);
      assertEquals(told("unhandled"), []);
    }),
);

Deno.test(
  "a collector with TLS is checked against the CA of OpenTelemetry's variables, and gets its headers",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const collector = new FakeCollector();
      workshop.onClose(() => collector.stop());
      const versions = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3" } as const;
      await collector.start(new RotatingCredentials(material(workshop, "replica"), versions, false));
      const settings = (env: Record<string, string>) => ({
        ...otlp(collector.address, "primary", env),
        insecure: false,
      });
      const start = async (name: string, env: Record<string, string> = {}) => {
        const own = workshop.settings("primary", 0, ["--insecure-jwt-generate"]);
        const running = await workshop.start({ ...own, otlp: settings(env) });
        await untilState(running, "active");
        await put(running, name);
        return running;
      };
      const strict = await start("first");
      const told = () => workshop.logs.some((line) => line.startsWith("warn cannot send spans"));
      await until(told, BOUND_MS, () => "a collector of an unknown CA is trusted", 20);
      assert(
        workshop.logs.some((line) =>
          line.includes("(its CA: OTEL_EXPORTER_OTLP_CERTIFICATE); they are dropped")
        ),
        workshop.logs.filter((line) => line.startsWith("warn")).join("\n"),
      );
      assertEquals(collector.requests, 0);
      await strict.stop();
      await start("second", {
        OTEL_EXPORTER_OTLP_CERTIFICATE: `${workshop.dir}/pki/ca.crt`,
        OTEL_EXPORTER_OTLP_HEADERS: "x-tenant=team%20a",
        OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
      });
      await until(() => collector.requests > 0, BOUND_MS, () => workshop.logs.slice(-3).join("\n"), 20);
      assertEquals(collector.metadata["x-tenant"], "team a");
    }),
);

Deno.test(
  "malformed traces of agents and callers begin no trace, and change nothing",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const collector = await collecting(workshop);
      const settings = workshop.settings("primary", 0, ["--insecure-jwt-generate"]);
      const primary = await workshop.start(traced(settings, collector, "primary"));
      await untilState(primary, "active");
      await put(primary, "web");
      const agent = await startAgent(workshop, primary, {
        name: "edge-1",
        prepare: (one) =>
          one.onWire = (way, event) => {
            if (way === "to agent" || event.target !== "application") return;
            Object.assign(event.extensions, { traceparent: "00-zz-1-01", tracestate: "x".repeat(10_000) });
          },
      });
      await untilHolds(agent, "Application", ["web"]);
      const taken = await collector.find("taken", ({ name }) => name === "application.status-update");
      assertEquals([taken.parentId, taken.traceState], ["", ""]);
      assertStringIncludes(taken.attributes["argocd.event.id"] as string, "web_");
    }),
);
