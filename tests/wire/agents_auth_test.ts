/** Admission of agents, and the boundary between agents. */
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async/delay";
import grpc from "@grpc/grpc-js";
import bcrypt from "bcryptjs";
import { call, dialPeer } from "../../src/adapters/grpc/dial.ts";
import { readUsers } from "../../src/adapters/grpc/methods.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { VERSION } from "../../src/base/version.ts";
import { namesOf } from "../../src/adapters/grpc/auth.ts";
import { readRoster, rosterKey } from "../../src/domain/resources/roster.ts";
import { secretText } from "../../src/domain/resources/object.ts";
import { clusterOf } from "../../src/principal/active/cluster_secrets.ts";
import type { Running } from "../../src/serve.ts";
import { parseSettings } from "../../src/config/settings.ts";
import { SimAgent } from "../../src/simagents/agent.ts";
import {
  application,
  certificateFor,
  project,
  serving,
  startAgent,
  untilHolds,
  untilServed,
} from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState, type Workshop } from "../support/principals.ts";

/** A principal without HA, and without what HA needs. */
async function simple(workshop: Workshop, flags: string[]): Promise<Running> {
  const { settings } = parseSettings([
    "--namespace=argocd",
    "--allowed-namespaces=*",
    `--store=sqlite:${workshop.dir}/simple.db`,
    "--listen-host=127.0.0.1",
    "--insecure-jwt-generate",
    ...flags,
  ], () => undefined);
  const running = await workshop.start({ ...settings, listenPort: 0, metricsPort: 0, healthzPort: 0 });
  await untilState(running, "active");
  return running;
}

const UNAUTHENTICATED = 16;
const UNAVAILABLE = 14;

function untilEnded(agent: SimAgent, text: string): Promise<void> {
  return until(
    () => agent.seen.ends.some((end) => end.includes(text)),
    20_000,
    () => `no end with "${text}": ${agent.seen.ends}`,
    5,
  );
}

Deno.test(
  "the blocklist cuts an open stream at once, and later calls with older tokens (33)",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, agent);
      const material = await certificateFor(`${workshop.dir}/pki`, "edge-2");
      const other = await startAgent(workshop, running, { name: "edge-2", material });
      await untilServed(running, other);
      const { accessToken = "", refreshToken = "" } = other.connection ?? {};
      assert(accessToken !== "");
      const pem = material.cert.toString().split("-----")[2] ?? "";
      const { fingerprint } = namesOf(Buffer.from(pem, "base64"));
      await running.core.store.write({
        op: "put",
        object: {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "argocd-agent-tls-blocklist", namespace: "argocd" },
          data: { [fingerprint]: "stolen" },
        },
      });
      await untilEnded(other, `${UNAUTHENTICATED} the certificate is on the blocklist`);
      await until(
        () => other.seen.ends.filter((end) => end.includes("the certificate is on the blocklist")).length > 1,
        20_000,
        () => `not refused when it came back: ${other.seen.ends}`,
      );
      await other.stop();
      const client = dialPeer(`127.0.0.1:${running.ports.grpc}`, material, 1 << 20);
      const refused = await call(client, services.authenticationService.RefreshToken, { refreshToken }, 5_000)
        .then(() => "", (error) => error.details);
      assertEquals(refused, "the certificate is on the blocklist");
      client.close();
      assert(agent.connected, "the other agent is not touched");
    }),
);

Deno.test(
  "a token is good only with the certificate that it was issued for, and never for the principal's own name",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const victim = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, victim);
      const material = await certificateFor(`${workshop.dir}/pki`, "edge-2");
      const client = dialPeer(`127.0.0.1:${running.ports.grpc}`, material, 1 << 20);
      const { refreshToken = "" } = victim.connection ?? {};
      const refused = await call(client, services.authenticationService.RefreshToken, { refreshToken }, 5_000)
        .then(() => "", (error) => error.details);
      assertEquals(refused, "authentication failed");
      client.close();
      const impostor = await startAgent(workshop, running, { name: "argocd" });
      await untilEnded(impostor, `${UNAUTHENTICATED} invalid authentication data`);
    }),
);

Deno.test(
  "userpass and header let in by password and by a proxy's header",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const file = `${workshop.dir}/users`;
      const hash = bcrypt.hashSync("right", 4);
      Deno.writeTextFileSync(
        file,
        `# users\n// more\nnonsense\nedge-1:${bcrypt.hashSync("old", 4)}\nedge-1:${hash}\n`,
      );
      assertEquals([...readUsers(file).keys()], ["edge-1"]);
      const certificates = ["cert", "key"].map((what) =>
        `--tls-${what}=${workshop.dir}/pki/primary.${what === "cert" ? "crt" : "key"}`
      );
      const running = await simple(workshop, [
        `--auth=userpass:${file}`,
        `--root-ca-path=${workshop.dir}/pki/ca.crt`,
        ...certificates,
      ]);
      await running.core.store.write({ op: "put", object: application("edge-1", "a") });
      const by = (password: string) => ({
        name: "edge-1",
        method: "userpass",
        credentials: { clientid: "edge-1", clientsecret: password },
      });
      const agent = await startAgent(workshop, running, by("right"));
      await untilHolds(agent, "Application", ["a"]);
      const wrong = await startAgent(workshop, running, by("wrong"));
      await untilEnded(wrong, `${UNAUTHENTICATED} authentication failed`);
      await running.stop();

      const plain = await simple(workshop, ["--auth=header:X-Agent:^id=(.*)$", "--insecure-plaintext"]);
      const proxied = await startAgent(workshop, plain, {
        name: "edge-1",
        material: undefined,
        method: "header",
        headers: { "x-agent": "id=edge-1" },
      });
      await untilHolds(proxied, "Application", ["a"]);
      const nobody = await startAgent(workshop, plain, {
        name: "edge-1",
        material: undefined,
        method: "header",
      });
      await untilEnded(nobody, `${UNAUTHENTICATED} authentication failed`);
    }),
);

Deno.test(
  "an agent of another release is refused where the policy says so, at a pace that does no harm",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop, ["--agent-version-policy=exact"]);
      const agent = await startAgent(workshop, running, { name: "edge-1", version: "9.9.9" });
      await untilEnded(agent, "9 version mismatch");
      const same = await startAgent(workshop, running, { name: "edge-2", version: VERSION });
      await untilServed(running, same);
      assert(agent.seen.ends.length < 5, `${agent.seen.ends.length} attempts`);
    }),
);

Deno.test(
  "of two streams of one agent the newer one counts; a passive principal sends agents away with UNAVAILABLE",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const first = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, first);
      const second = await startAgent(workshop, running, { name: "edge-1" });
      await untilEnded(first, `${UNAVAILABLE} another stream of this agent has taken its place`);
      await first.stop();
      await untilServed(running, second);
      await running.operations.command("demote", true, "");
      await untilEnded(second, `${UNAVAILABLE} `);
      await untilEnded(second, "not accepting connections in state syncing");
      assertEquals(running.core.fleet.connected, 0);
    }),
);

Deno.test(
  "an agent cannot touch what is not its own, whatever it claims",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const { store } = running.core;
      await store.write({ op: "put", object: application("edge-1", "mine") });
      await store.write({ op: "put", object: project("b-c", "*") });
      const agent = await startAgent(workshop, running, { name: "edge-2", mode: "autonomous" });
      const colliding = await startAgent(workshop, running, { name: "b", mode: "autonomous" });
      const claims = {
        metadata: { name: "mine", namespace: "edge-1", uid: "u" },
        spec: { project: "x", destination: {} },
      };
      const event = (type: string, target: string, payload: unknown) => ({
        type,
        target,
        extensions: { resourceid: crypto.randomUUID(), eventid: crypto.randomUUID() },
        payload: new TextEncoder().encode(JSON.stringify(payload)),
      });
      agent.send(event("spec-update", "application", claims));
      agent.send(event("delete", "application", claims));
      agent.send(event("status-update", "application", claims));
      agent.send(event("create", "application", { metadata: { name: "../../x", namespace: "edge-1" } }));
      agent.send(event("create", "repository", { metadata: { name: "r", namespace: "argocd" } }));
      agent.send(
        event("request-update", "resourceResync", { kind: "Application", name: "mine", namespace: "edge-1" }),
      );
      agent.send(event("create", "__proto__", {}));
      colliding.send(event("spec-update", "appproject", { metadata: { name: "c", uid: "u" }, spec: {} }));
      colliding.send(event("delete", "appproject", { metadata: { name: "c", uid: "u" } }));
      await until(
        () => agent.outbox.pending + colliding.outbox.pending === 0,
        20_000,
        () => "not everything is acknowledged",
        5,
      );
      const kept = await store.get("Application/edge-1/mine");
      assertEquals(kept?.["spec"], application("edge-1", "mine")["spec"]);
      assertEquals((await store.get("AppProject/argocd/b-c"))?.["spec"], project("b-c", "*")["spec"]);
      const keys = (await store.list()).map(({ kind, metadata }) =>
        `${kind}/${metadata.namespace}/${metadata.name}`
      );
      assertEquals(keys.filter((key) => !key.startsWith("ConfigMap/")), [
        "AppProject/argocd/b-c",
        "Application/edge-1/mine",
      ]);
      assert(
        running.core.counters.rows("agentErrors").some(([{ resource_type }]) =>
          resource_type === "application"
        ),
      );
    }),
);

Deno.test(
  "self-registration makes one cluster Secret an agent, keeps it, and leaves people's alone",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const flags = [
        "--enable-self-cluster-registration",
        "--self-registration-client-cert-secret=proxy-client",
      ];
      const running = await serving(workshop, flags);
      const { store } = running.core;
      const early = await startAgent(workshop, running, { name: "edge-1" });
      await untilEnded(early, "authentication failed");
      assertStringIncludes(workshop.logs.join("\n"), "--self-registration-client-cert-secret");
      const data = { "tls.crt": btoa("crt"), "tls.key": btoa("key"), "ca.crt": btoa("ca") };
      const metadata = { name: "proxy-client", namespace: "argocd" };
      await store.write({ op: "put", object: { apiVersion: "v1", kind: "Secret", metadata, data } });
      await untilServed(running, early);
      const secret = await store.get("Secret/argocd/cluster-edge-1");
      assert(secret);
      assertEquals(clusterOf(secret), {
        agent: "edge-1",
        name: "edge-1",
        server: "https://argocd-agent-resource-proxy:9090?agentName=edge-1",
      });
      const config = JSON.parse(secretText(secret, "config"));
      assertEquals(config.tlsClientConfig, {
        insecure: false,
        certData: data["tls.crt"],
        keyData: data["tls.key"],
        caData: data["ca.crt"],
      });
      await early.restart();
      await untilServed(running, early);
      const again = await store.get("Secret/argocd/cluster-edge-1");
      assertEquals(
        again?.metadata.resourceVersion,
        secret.metadata.resourceVersion,
        "nothing is written again",
      );

      const labels = {
        "argocd.argoproj.io/secret-type": "cluster",
        "argocd-agent.argoproj-labs.io/agent-name": "edge-2",
      };
      const manual = { name: "by-hand", namespace: "argocd", labels };
      await store.write({
        op: "put",
        object: { apiVersion: "v1", kind: "Secret", metadata: manual, data: {} },
      });
      const second = await startAgent(workshop, running, { name: "edge-2" });
      await untilServed(running, second);
      assertEquals(await store.get("Secret/argocd/cluster-edge-2"), undefined);
    }),
);

Deno.test(
  "whatever an agent sends, its stream ends with a code that a Go agent survives",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, agent);
      const { accessToken = "" } = agent.connection ?? {};
      await agent.stop();
      const material = await certificateFor(`${workshop.dir}/pki`, "edge-1");
      const client = dialPeer(`127.0.0.1:${running.ports.grpc}`, material, 1 << 20);
      workshop.onClose(() => client.close());
      const metadata = new grpc.Metadata();
      metadata.set("authorization", accessToken);
      const survivable = [0, 1, UNAVAILABLE, UNAUTHENTICATED];
      for (const bytes of [[], [0xff], [0x0a, 0x7f], [0x0a, 0x02, 0x08, 0x01], [0x0a, 0x02, 0x1a, 0x00]]) {
        const stream = client.makeBidiStreamRequest(
          "/eventstreamapi.EventStream/Subscribe",
          (message: Uint8Array) => Buffer.from(message),
          (message) => message,
          metadata,
        );
        stream.on("data", () => {});
        stream.on("error", () => {});
        const status = new Promise<number>((resolve) => stream.on("status", ({ code }) => resolve(code)));
        stream.write(Uint8Array.from(bytes));
        const code = await Promise.race([status, delay(500).then(() => -1)]);
        assert(code === -1 || survivable.includes(code), `${bytes} ends the stream with code ${code}`);
        stream.cancel();
      }
      assertEquals(running.core.model().state, "active");
    }),
);

Deno.test(
  "ha forget-agent: an agent that will not come back leaves the roster on both sides; a connected one stays",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const primary = await serving(workshop);
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc));
      const agent = await startAgent(workshop, primary, { name: "edge-1" });
      await untilServed(primary, agent);
      await primary.core.store.write({ op: "put", object: application("edge-1", "kept") });
      const roster = async (side: Running) => readRoster(await side.core.store.get(rosterKey("argocd")));
      const untilRoster = (side: Running, connected: boolean | undefined) =>
        until(
          async () => (await roster(side)).get("edge-1")?.connected === connected,
          20_000,
          () => `edge-1 is not ${connected} on the roster`,
        );
      await untilRoster(replica, true);
      const forget = (side: Running) =>
        side.operations.forgetAgent("edge-1", "somebody").then(() => "", (error) => error.message);
      assertStringIncludes(await forget(primary), 'agent "edge-1" is connected');
      assertStringIncludes(await forget(replica), "run ha forget-agent on");
      await agent.stop();
      await untilRoster(replica, false);
      assertEquals(await forget(primary), "");
      await untilRoster(replica, undefined);
      assertEquals(primary.core.fleet.agents, []);
      assertEquals(primary.core.chain().at(-1)?.what, "forget-agent edge-1");
      assert(await primary.core.store.get("Application/edge-1/kept"), "its resources stay");
      assertStringIncludes(await forget(primary), "is not on the roster");
      const back = await startAgent(workshop, primary, { name: "edge-1" });
      await untilServed(primary, back);
      await untilRoster(replica, true);
    }),
);
