/** Admission by certificate, and the answers to everyone else. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import { delay } from "@std/async/delay";
import { call, dialPeer, openStream } from "../../src/adapters/grpc/dial.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { codeOf } from "../../src/adapters/grpc/status.ts";
import { snapshotOf } from "../../src/domain/replication/go_leader.ts";
import { readRoster, rosterKey } from "../../src/domain/resources/roster.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { Authority, type LeafOptions } from "../../src/adapters/tls/pki.ts";
import { inWorkshop, LOOSE, material, until, untilState, type Workshop } from "../support/principals.ts";

const text = (path: string) => Deno.readTextFileSync(path);
const authority = (workshop: Workshop) =>
  Authority.load({ cert: text(`${workshop.dir}/pki/ca.crt`), key: text(`${workshop.dir}/pki/ca.key`) }, 1);

async function issued(
  workshop: Workshop,
  options: Partial<LeafOptions>,
  by?: Authority,
): Promise<TlsMaterial> {
  const leaf = await (by ?? await authority(workshop)).issue({
    commonName: "x",
    sans: [],
    server: false,
    ...options,
  });
  return { ...material(workshop, "primary"), cert: Buffer.from(leaf.cert), key: Buffer.from(leaf.key) };
}

/** The code and text of a call's failure; 0 for success. */
async function outcome<Q, S>(
  port: number,
  tls: TlsMaterial,
  method: grpc.MethodDefinition<Q, S>,
  request: Q,
): Promise<{ code: number; details: string }> {
  const client = dialPeer(`127.0.0.1:${port}`, tls, 1 << 20);
  try {
    await call(client, method, request, 5_000);
    return { code: 0, details: "" };
  } catch (error) {
    return { code: codeOf(error) ?? -1, details: (error as { details: string }).details };
  } finally {
    client.close();
  }
}

const status = services.replicationService.Status;
const ask = services.linkService.Ask;

Deno.test({
  name: "replication is for allowed identities only; agents' certificates are denied on every method",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(workshop.settings("primary", 0));
      await untilState(primary, "active");
      const { grpc: port } = primary.ports;
      const agent = material(workshop, "agent-1");
      assertEquals((await outcome(port, material(workshop, "replica"), status, {})).code, 0);
      const denied = {
        code: grpc.status.PERMISSION_DENIED,
        details: 'identity "agent-1" not in allowed replication clients',
      };
      const { replicationService, linkService } = services;
      const methods = [replicationService, linkService].flatMap((service) =>
        Object.values(service)
      ) as unknown as grpc.MethodDefinition<object, object>[];
      for (const method of methods.filter(({ responseStream }) => !responseStream)) {
        assertEquals(await outcome(port, agent, method, {}), denied, method.path);
      }
      const client = dialPeer(`127.0.0.1:${port}`, agent, 1 << 20);
      for (const method of methods.filter(({ requestStream }) => requestStream)) {
        const stream = openStream(client, method);
        const received: unknown[] = [];
        stream.on("data", (message) => received.push(message));
        const error = await new Promise((resolve) => stream.on("error", resolve));
        assertEquals([codeOf(error), received], [grpc.status.PERMISSION_DENIED, []]);
      }
      client.close();
    }),
});

Deno.test({
  name: "certificates: none, another CA's, expired, without an identity, blocklisted",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(workshop.settings("primary", 0));
      await untilState(primary, "active");
      const { grpc: port } = primary.ports;
      const day = 86_400_000;
      const strangers = await Authority.create(1);
      const expired = { notBefore: new Date(Date.now() - 3 * day), notAfter: new Date(Date.now() - day) };
      const cases: [string, TlsMaterial, number, RegExp][] = [
        [
          "another CA",
          await issued(workshop, { commonName: "replica" }, strangers),
          14,
          /alert|closed|UnknownCA|issuer|Failed to connect/i,
        ],
        [
          "expired",
          await issued(workshop, { commonName: "replica", ...expired }),
          14,
          /alert|closed|expired|Failed to connect/i,
        ],
        [
          "no identity",
          await issued(workshop, { commonName: "No Label" }),
          16,
          /replication auth failed: "No Label" is not/,
        ],
      ];
      for (const [name, tls, code, words] of cases) {
        const got = await outcome(port, tls, status, {});
        assertEquals(got.code, code, `${name}: ${got.details}`);
        assertMatch(got.details, words, name);
      }
      const anonymous = new grpc.Client(
        `localhost:${port}`,
        grpc.credentials.createSsl(material(workshop, "replica").ca),
      );
      const failure = await call(anonymous, status, {}, 5_000).then(() => undefined, (error) => error);
      assertStringIncludes(failure?.details, "CertificateRequired");
      anonymous.close();
      const replica = material(workshop, "replica");
      const der = new Uint8Array(await crypto.subtle.digest("SHA-256", pemToDer(replica.cert.toString())));
      const data = { [der.toHex().toUpperCase()]: "stolen" };
      const metadata = { name: "argocd-agent-tls-blocklist", namespace: "argocd" };
      await primary.core.store.write({
        op: "put",
        object: { apiVersion: "v1", kind: "ConfigMap", metadata, data },
      });
      await until(() => primary.core.index.size === 1, 20_000, () => "the blocklist is not read");
      const blocked = await outcome(port, replica, status, {});
      assertEquals(blocked.code, grpc.status.UNAUTHENTICATED);
      assertStringIncludes(blocked.details, "is on the blocklist");
    }),
});

Deno.test({
  name: "a replica says what is wrong with certificates: the primary's name, its CA, our own",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const pki = `${workshop.dir}/pki`;
      const other = await Authority.create(1);
      const wrongName = await (await authority(workshop)).issue({
        commonName: "primary",
        sans: ["elsewhere.example"],
        server: true,
      });
      const wrongCa = await other.issue({ commonName: "primary", sans: ["127.0.0.1"], server: true });
      const cases: [string, { cert: string; key: string }, string][] = [
        ["name", wrongName, "does not match certificate's altnames"],
        ["ca", wrongCa, "its certificate is not of our CA (--root-ca-path)"],
      ];
      for (const [name, { cert, key }, words] of cases) {
        Deno.writeTextFileSync(`${pki}/${name}.crt`, cert);
        Deno.writeTextFileSync(`${pki}/${name}.key`, key);
        const settings = workshop.settings("primary", 0);
        const tls = { cert: `${pki}/${name}.crt`, key: `${pki}/${name}.key`, ca: `${pki}/ca.crt` };
        const primary = await workshop.start({
          ...settings,
          tls,
          store: { type: "sqlite", path: `${workshop.dir}/${name}.db` },
        });
        const replicaSettings = workshop.settings("replica", primary.ports.grpc);
        const replica = await workshop.start({
          ...replicaSettings,
          store: { type: "sqlite", path: `${workshop.dir}/r-${name}.db` },
        });
        await until(
          () => replica.core.model().explanation.includes(words),
          20_000,
          () => `${name}: it says: ${replica.core.model().explanation}`,
        );
        assertEquals(replica.core.model().state, "syncing");
      }
    }),
});

Deno.test({
  name: "replication is UNIMPLEMENTED where HA is off, and TLS 1.2 is refused by default",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const off = await workshop.start({ ...workshop.settings("primary", 0), haEnabled: false });
      const got = await outcome(off.ports.grpc, material(workshop, "replica"), status, {});
      assertEquals(got, { code: grpc.status.UNIMPLEMENTED, details: "replication not enabled" });
      const { connect } = await import("node:tls");
      const { ca, cert, key } = material(workshop, "replica");
      const spoken = (maxVersion: "TLSv1.2" | "TLSv1.3") =>
        new Promise<string>((resolve) => {
          const options = {
            host: "127.0.0.1",
            port: off.ports.grpc,
            ca,
            cert,
            key,
            maxVersion,
            ALPNProtocols: ["h2"],
          };
          const socket = connect(options, () => {
            resolve(socket.getProtocol() ?? "");
            socket.destroy();
          });
          socket.on("error", (error: Error) => resolve(error.message));
        });
      assertMatch(await spoken("TLSv1.2"), /ProtocolVersion|alert/);
      assertEquals(await spoken("TLSv1.3"), "TLSv1.3");
    }),
});

Deno.test({
  name:
    "rotated certificates are used for new connections while open streams go on; a broken rotation changes nothing",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(workshop.settings("primary", 0));
      const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc));
      await untilState(replica, "replicating");
      const [session] = primary.core.replicas;
      const pki = `${workshop.dir}/pki`;
      const next = await (await authority(workshop)).issue({
        commonName: "primary",
        sans: ["127.0.0.1"],
        server: true,
      });
      const shown = () => peerCertificate(primary.ports.grpc, material(workshop, "replica"));
      const before = await shown();
      Deno.writeTextFileSync(`${pki}/primary.crt`, next.cert);
      await until(
        () => workshop.logs.some((line) => line.includes("keeping the last good ones")),
        20_000,
        () => "a certificate without its key is not reported",
      );
      assertEquals(await shown(), before);
      Deno.writeTextFileSync(`${pki}/primary.key`, next.key);
      await until(async () => await shown() !== before, 20_000, () => "the new certificate is not served");
      assertEquals([...primary.core.replicas], [session], "the stream was dropped");
      const metadata = { name: "p", namespace: "argocd" };
      await primary.core.store.write({
        op: "put",
        object: { apiVersion: "argoproj.io/v1alpha1", kind: "AppProject", metadata, spec: {} },
      });
      await until(() => replica.core.index.size === 1, 20_000, () =>
        "the stream does not carry changes any more");
    }),
});

Deno.test({
  name: "Authenticate by mtls issues RS512 tokens and answers in the peer's codes",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(workshop.settings("primary", 0, ["--insecure-jwt-generate"]));
      await untilState(primary, "active");
      const agent = material(workshop, "agent-1");
      const client = dialPeer(`127.0.0.1:${primary.ports.grpc}`, agent, 1 << 20);
      const { Authenticate, RefreshToken } = services.authenticationService;
      const request = { method: "mtls", mode: "managed", version: "1.0.0", agentNamespace: "argocd" };
      const answer = await call(client, Authenticate, request, 5_000);
      assertEquals(answer.principalNamespace, "argocd");
      const claims = JSON.parse(
        atob((answer.accessToken ?? "").split(".")[1]?.replaceAll("-", "+").replaceAll("_", "/") ?? ""),
      );
      assertEquals([claims.iss, claims.aud, claims.exp - claims.iat], ["argocd-agent-server", [
        "argocd-agent-server-access",
      ], 300]);
      assertEquals(JSON.parse(claims.sub), { clientID: "agent-1", mode: "managed" });
      const remembered = () => primary.core.store.get(rosterKey("argocd")).then(readRoster);
      await until(async () => (await remembered()).size === 1, 20_000, () =>
        "the agent's mode is not remembered");
      assertEquals((await remembered()).get("agent-1"), { mode: "managed", connected: false });
      const { agents = [] } = snapshotOf(primary.core.index, primary.settings.scope).snapshot;
      assertEquals(agents.map(({ name, mode }) => [name, mode]), [["agent-1", "managed"]]);
      const refreshed = await call(client, RefreshToken, { refreshToken: answer.refreshToken ?? "" }, 5_000);
      assertEquals([refreshed.refreshToken, (refreshed.accessToken ?? "") !== ""], ["", true]);
      const cases: [object, number, string][] = [
        [{ ...request, mode: "x" }, grpc.status.UNKNOWN, "unknown or missing operation mode: 'x'"],
        [{ ...request, method: "userpass" }, grpc.status.UNAUTHENTICATED, "authentication failed"],
        [{ ...request, version: "" }, grpc.status.INVALID_ARGUMENT, "agent version is required"],
      ];
      for (const [bad, code, details] of cases) {
        assertEquals(await outcome(primary.ports.grpc, agent, Authenticate, bad), { code, details });
      }
      assertEquals(
        await outcome(primary.ports.grpc, agent, RefreshToken, { refreshToken: answer.accessToken ?? "" }),
        { code: grpc.status.UNAUTHENTICATED, details: "authentication failed" },
      );
      const stream = openStream(client, services.eventStreamService.Subscribe);
      const since = Date.now();
      const error = await new Promise((resolve) =>
        stream.on("error", resolve)
      );
      assertEquals(codeOf(error), grpc.status.UNAUTHENTICATED, "there is no token");
      assert(Date.now() - since > 800, "the refusal is not paced");
      const { version } = await call(client, services.versionService.Version, {}, 5_000);
      assertMatch(version ?? "", /^argocd-agent-\d+\.\d+\.\d+$/);
      client.close();
    }),
});

Deno.test({
  name: "a principal that is not ACTIVE answers no snapshot and no confirmation, in either contract",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const replica = await workshop.start(workshop.settings("replica", 1));
      const tls = material(workshop, "primary");
      const { grpc: port } = replica.ports;
      const { replicationService: r, linkService: l } = services;
      for (
        const method of [r.GetSnapshot, r.ConfirmMissingResources, r.Status] as grpc.MethodDefinition<
          object,
          object
        >[]
      ) {
        const got = await outcome(port, tls, method, {});
        assertEquals(got.code, grpc.status.UNAVAILABLE);
        assertStringIncludes(got.details, "not ACTIVE (state syncing, epoch 0)");
      }
      const client = dialPeer(`127.0.0.1:${port}`, tls, 1 << 20);
      const stream = openStream(client, l.Follow);
      stream.write({ hello: {} });
      const error = await new Promise((resolve) => stream.on("error", resolve));
      assertEquals(codeOf(error), grpc.status.FAILED_PRECONDITION);
      const { standing } = await call(client, ask, {}, 5_000);
      assertEquals([standing?.state, standing?.namespace], ["syncing", "argocd"]);
      client.close();
    }),
});

Deno.test({
  name: "a replica that never acknowledges is ended after its time, in the plain contract",
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const primary = await workshop.start(
        workshop.settings("primary", 0, ["--ha-replication-initial-ack-timeout=300ms"]),
      );
      await untilState(primary, "active");
      const client = dialPeer(`127.0.0.1:${primary.ports.grpc}`, material(workshop, "replica"), 1 << 20);
      const stream = openStream(client, services.replicationService.Subscribe);
      const error = await new Promise<unknown>((resolve) => stream.on("error", resolve)) as {
        details: string;
      };
      assertEquals(codeOf(error), grpc.status.DEADLINE_EXCEEDED);
      assertEquals(error.details, "waiting for initial ACK: timed out after 0.3s");
      client.close();
      await delay(0);
      assertEquals(primary.core.replicas.size, 0);
    }),
});

function pemToDer(pem: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(pem.replace(/-----[^-]+-----|\s/g, ""));
}

async function peerCertificate(port: number, { ca, cert, key }: TlsMaterial): Promise<string> {
  const { connect } = await import("node:tls");
  return await new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca, cert, key, ALPNProtocols: ["h2"] }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}
