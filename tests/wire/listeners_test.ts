/** The admin, health and metrics listeners. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { connect } from "node:tls";
import grpc from "@grpc/grpc-js";
import { freePorts } from "../../src/cli/processes.ts";
import { metricsApp, PROCESS } from "../../src/adapters/http/metrics.ts";
import { Measurements } from "../../src/adapters/http/measurements.ts";
import { Counters } from "../../src/principal/core/counters.ts";
import type { Measured } from "../../src/principal/core/metric.ts";
import { NO_WORK } from "../../src/principal/ports/telemetry.ts";
import { ResourceTally } from "../../src/principal/core/resource_tally.ts";
import { METRICS, seriesOf } from "../../src/principal/core/metrics.ts";
import { call, dialAdmin, openServerStream, operatorMetadata } from "../../src/adapters/grpc/dial.ts";
import { adminService, operatorService } from "../../src/adapters/grpc/services.ts";
import { codeOf } from "../../src/adapters/grpc/status.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { certificateFor } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";

/** A key that signs agents' tokens. */
const KEY = ["--insecure-jwt-generate"];

const get = async (port: number, path: string) => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`);
  return { code: response.status, body: await response.text(), state: response.headers.get("X-HA-State") };
};

Deno.test({
  name: "/healthz, /livez and /readyz in ACTIVE, SYNCING, REPLICATING, and with HA off",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(workshop.settings("primary", 0, KEY));
      await untilState(primary, "active");
      assertEquals(await get(primary.ports.healthz, "/healthz"), { code: 200, body: "", state: "active" });
      assertEquals(await get(primary.ports.healthz, "/readyz"), {
        code: 200,
        body: "ready: active\n",
        state: null,
      });
      const lonely = await workshop.start({
        ...workshop.settings("replica", 1, KEY),
        store: { type: "sqlite" as const, path: `${workshop.dir}/lonely.db` },
      });
      assertEquals(await get(lonely.ports.healthz, "/healthz"), {
        code: 503,
        body: "HA state: syncing - not accepting traffic\n",
        state: "syncing",
      });
      assertEquals((await get(lonely.ports.healthz, "/livez")).code, 200);
      assertStringIncludes((await get(lonely.ports.healthz, "/readyz")).body, "not ready: syncing: ");
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, KEY));
      await untilState(replica, "replicating");
      await until(() => replica.core.following.inSyncAsOfMs > 0, 20_000, () => "never caught up");
      const ready = await get(replica.ports.healthz, "/readyz?maxLagMs=5000");
      assertEquals([ready.code, /^ready: replicating, \d+ ms behind\n$/.test(ready.body)], [200, true]);
      assertEquals((await get(replica.ports.healthz, "/readyz?maxLagMs=soon")).code, 400);
      assertEquals((await get(replica.ports.healthz, "/debug/pprof/")).code, 404);
      const off = {
        ...workshop.settings("primary", 0),
        haEnabled: false,
        store: { type: "sqlite" as const, path: `${workshop.dir}/off.db` },
      };
      const single = await workshop.start(off);
      assertEquals(await get(single.ports.healthz, "/healthz"), { code: 200, body: "", state: null });
      const refused = "no key signs agents' tokens, so every agent is refused; give --jwt-key FILE";
      const unready = await get(single.ports.healthz, "/readyz");
      assertEquals([unready.code, unready.body.includes(refused)], [503, true], unready.body);
      assert(workshop.logs.some((line) => line.includes(refused)), "the log does not say so");
    }),
});

Deno.test("/metrics prints what is counted of an agent whatever its name, while it is connected", async () => {
  const counters = new Counters();
  const agents = ["constructor", "edge-1", "gone"].map((name) => {
    counters.increment("agentConnections", { agent_name: name });
    return { name, connectedAtMs: name === "gone" ? undefined : Date.now() - 120_000, pending: 0 };
  });
  counters.increment("agentConnections", { agent_name: "constructor" });
  counters.increment("agentSendErrors", { agent_name: "constructor", reason: "transport-closing" });
  const measured = {
    counters,
    fleet: () => ({ connected: 2, resent: 0, agents, usage: [] }),
    tally: new ResourceTally(),
    work: NO_WORK,
  } as unknown as Measured;
  const app = metricsApp(seriesOf(measured, false), new Measurements().registry);
  const lines = (await (await app.request("/metrics")).text()).split("\n");
  assertEquals(lines.filter((line) => line.startsWith("argocd_principal_agent_connections_total")), [
    'argocd_principal_agent_connections_total{agent_name="constructor"} 2',
    'argocd_principal_agent_connections_total{agent_name="edge-1"} 1',
  ]);
  const sendErrors = lines.filter((line) => line.startsWith("principal_event_writer_send_errors_total{"));
  assertEquals(sendErrors, [
    'principal_event_writer_send_errors_total{agent_name="constructor",reason="transport-closing"} 1',
    'principal_event_writer_send_errors_total{agent_name="edge-1",reason="transport-closing"} 0',
  ]);
  const minutes = lines.find((line) => line.startsWith("principal_agent_avg_connection_time "));
  assertMatch(minutes ?? "", / 2(\.\d+)?$/);
});

Deno.test({
  name: "/metrics carries every documented series, and states and counts that are true",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const settings = workshop.settings("primary", 0);
      const primary = await workshop.start({ ...settings, metricsPort: freePorts(1)[0] as number });
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc));
      await untilState(replica, "replicating");
      const { body } = await get(primary.ports.metrics, "/metrics");
      for (const { name, type } of [...PROCESS, ...Object.values(METRICS)]) {
        assertStringIncludes(body, `# TYPE ${name} ${type}\n`);
      }
      assertStringIncludes(body, 'argocd_agent_ha_state{state="active"} 1\n');
      assertStringIncludes(body, 'argocd_agent_ha_state{state="syncing"} 0\n');
      assertStringIncludes(
        body,
        'argocd_agent_ha_transitions_total{from_state="recovering",to_state="active"} 1\n',
      );
      assertStringIncludes(body, "argocd_agent_replication_replicas_connected 1\n");
      assertStringIncludes(body, "argocd_agent_ha_epoch 1\n");
      assertMatch(body, /process_resident_memory_bytes [1-9]\d{6,}/);
    }),
});

Deno.test({
  name:
    "HAAdmin: status with a real peer_state, refusals as FAILED_PRECONDITION in the peer's words, promote, demote",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(workshop.settings("primary", 0));
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc));
      await untilState(replica, "replicating");
      const admin = dialAdmin(`127.0.0.1:${replica.ports.admin}`);
      const status = await call(admin, adminService.Status, {}, 5_000);
      assertEquals([status.state, status.peer_state, status.peer_reachable], ["replicating", "active", true]);
      assertEquals([status.preferred_role, status.peer_address], [
        "replica",
        `127.0.0.1:${primary.ports.grpc}`,
      ]);
      const refused = async (method: keyof typeof adminService, request: object) => {
        const error = await call(admin, adminService[method] as typeof adminService.Promote, request, 5_000)
          .then(() => undefined, (e) => e);
        assertEquals(codeOf(error), grpc.status.FAILED_PRECONDITION);
        return error.details;
      };
      assertStringIncludes(await refused("Promote", {}), "still replicating from peer");
      assertEquals(await refused("Demote", {}), "can only demote from active state, current: replicating");
      await primary.stop();
      await untilState(replica, "disconnected");
      assertStringIncludes(replica.core.model().explanation, "this principal is shutting down");
      assertEquals((await call(admin, adminService.Promote, {}, 10_000)).state, "active");
      assertEquals(await refused("Promote", {}), "already active");
      assertStringIncludes(await refused("Demote", {}), "cannot demote: no replica follows this side");
      const forced = operatorMetadata("somebody", true);
      assertEquals((await call(admin, adminService.Demote, {}, 10_000, forced)).state, "syncing");
      admin.close();
    }),
});

Deno.test({
  name: "Operator: Watch streams reports of both sides, WaitReplicated waits for a durable copy and no less",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(workshop.settings("primary", 0));
      await untilState(primary, "active");
      const admin = dialAdmin(`127.0.0.1:${primary.ports.admin}`);
      const metadata = { name: "p", namespace: "argocd" };
      const written = await primary.core.store.write({
        op: "put",
        object: { apiVersion: "argoproj.io/v1alpha1", kind: "AppProject", metadata, spec: {} },
      });
      const versions = [{
        key: "AppProject/argocd/p",
        resourceVersion: written.object?.metadata.resourceVersion ?? "",
      }];
      const wait = (timeoutMs: number) =>
        call(admin, operatorService.WaitReplicated, { versions, timeoutMs }, 20_000);
      assertEquals((await wait(100)).replicated, [false], "there is no replica");
      const waiting = wait(15_000);
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc));
      assertEquals((await waiting).replicated, [true]);
      assertEquals(replica.core.index.size, 1);
      const stream = openServerStream(admin, operatorService.Watch, { intervalMs: 50 });
      stream.on("error", () => {});
      const reports: {
        replicas?: { identity?: string; standing?: { state?: string } }[];
        resources?: number;
      }[] = [];
      stream.on("data", (report) => reports.push(report));
      await until(() => reports.length >= 3, 20_000, () => `${reports.length} reports`);
      stream.cancel();
      assertEquals([reports[2]?.resources, reports[2]?.replicas?.[0]?.identity], [1, "replica"]);
      assert(["syncing", "replicating"].includes(reports[2]?.replicas?.[0]?.standing?.state ?? ""));
      admin.close();
    }),
});

/** The protocol that a client gets which begins at a version, or the word of the server. */
function protocolFrom(minVersion: "TLSv1.2" | "TLSv1.3", port: number, { cert, key }: TlsMaterial) {
  return new Promise<string>((resolve) => {
    const options = { host: "127.0.0.1", port, minVersion, cert, key, ALPNProtocols: ["h2"] };
    const socket = connect({ ...options, rejectUnauthorized: false }, () => {
      resolve(socket.getProtocol() ?? "");
      socket.destroy();
    });
    socket.on("error", (error) => resolve(`refused: ${error.message}`));
  });
}

Deno.test({
  name:
    "the port for agents speaks the versions of TLS that it is given, also after its certificate was exchanged",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const flags = ["--tls-min-version=tls1.2", "--tls-max-version=tls1.2"];
      const running = await workshop.start(workshop.settings("primary", 0, flags));
      const client = await certificateFor(`${workshop.dir}/pki`, "edge-1");
      const protocol = (minVersion: "TLSv1.2" | "TLSv1.3") =>
        protocolFrom(minVersion, running.ports.grpc, client);
      assertEquals(await protocol("TLSv1.2"), "TLSv1.2");
      assertStringIncludes(await protocol("TLSv1.3"), "refused: ");
      for (const part of ["crt", "key"]) {
        Deno.copyFileSync(`${workshop.dir}/pki/replica.${part}`, `${workshop.dir}/pki/primary.${part}`);
      }
      const exchanged = () => workshop.logs.some((line) => line.includes("certificates reloaded"));
      await until(exchanged, 20_000, () => workshop.logs.join("\n"));
      assertEquals(await protocol("TLSv1.2"), "TLSv1.2");
      assertStringIncludes(await protocol("TLSv1.3"), "refused: ");
    }),
});
