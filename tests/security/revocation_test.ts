/** Streams and calls that a certificate or a password opened end with it, at once, in every service. */
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertMatch } from "@std/assert";
import bcrypt from "bcryptjs";
import grpc from "@grpc/grpc-js";
import { namesOf } from "../../src/adapters/grpc/auth.ts";
import { call, dialPeer, openServerStream, openStream } from "../../src/adapters/grpc/dial.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { Authority } from "../../src/adapters/tls/pki.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import { VERSION } from "../../src/base/version.ts";
import type { Running } from "../../src/serve.ts";
import { parseSettings } from "../../src/config/settings.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { application, startAgent, untilHolds, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, material, until, untilState, type Workshop } from "../support/principals.ts";

const { UNAUTHENTICATED } = grpc.status;
const MESSAGE_BYTES = 1 << 20;

interface Ended {
  code: number;
  details: string;
}

/** A call that stays open. */
interface Open {
  service: string;
  ended: Promise<Ended>;
  client: grpc.Client;
}

interface Ending {
  on(event: "error", listener: (error: Ended) => void): unknown;
  on(event: "end" | "data", listener: () => void): unknown;
}

function endOf(stream: Ending): Promise<Ended> {
  return new Promise((resolve) => {
    stream.on("data", () => {});
    stream.on("end", () => setTimeout(() => resolve({ code: 0, details: "ended" }), 100));
    stream.on("error", ({ code, details }) => resolve({ code, details }));
  });
}

/** One call of each service that stays open, over a connection of its own. */
async function openAll(
  { ports }: Running,
  certificates: Certificates,
): Promise<Open[]> {
  const dialled = (name: keyof Certificates, port: number) =>
    dialPeer(`127.0.0.1:${port}`, certificates[name], MESSAGE_BYTES);
  const open: Open[] = [];
  const add = (service: string, client: grpc.Client, ended: Promise<Ended>) =>
    open.push({ service, client, ended });

  const asking = dialled("agent", ports.grpc);
  const { accessToken = "" } = await call(asking, services.authenticationService.Authenticate, {
    method: "mtls",
    mode: "managed",
    version: VERSION,
  }, 5_000);
  asking.close();
  const authorization = new grpc.Metadata();
  authorization.set("authorization", accessToken);
  const { Subscribe, Push } = services.eventStreamService;

  const pushing = dialled("agent", ports.grpc);
  const push = new Promise<Ended>((resolve) => {
    const { path, requestSerialize, responseDeserialize } = Push;
    const answered = (error: grpc.ServiceError | null) =>
      resolve(error ? { code: error.code, details: error.details } : { code: 0, details: "answered" });
    pushing.makeClientStreamRequest(path, requestSerialize, responseDeserialize, authorization, answered);
  });
  add("EventStream/Push", pushing, push);

  const subscribing = dialled("agent", ports.grpc);
  const { path, requestSerialize, responseDeserialize } = Subscribe;
  const events = subscribing.makeBidiStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    authorization,
  );
  add("EventStream/Subscribe", subscribing, endOf(events));

  for (
    const [service, method] of [
      ["Link/Follow", services.linkService.Follow],
      ["Replication/Subscribe", services.replicationService.Subscribe],
    ] as const
  ) {
    const client = dialled("replica", ports.grpc);
    add(service, client, endOf(openStream(client, method as typeof services.linkService.Follow)));
  }
  const watching = dialled("reader", ports.adminTls);
  const watch = openServerStream(watching, services.operatorService.Watch, { intervalMs: 50 });
  add("Operator/Watch", watching, endOf(watch));
  const waiting = dialled("reader", ports.adminTls);
  const versions = [{ key: "Application/edge-1/never", resourceVersion: "9" }];
  const wait = call(
    waiting,
    services.operatorService.WaitReplicated,
    { versions, timeoutMs: 60_000 },
    60_000,
  );
  const waited = wait.then(() => ({ code: 0, details: "answered" }), ({ code, details }) => ({
    code,
    details,
  }));
  add("Operator/WaitReplicated", waiting, waited);
  return open;
}

/** A principal with an admin listener, ACTIVE. */
async function served(workshop: Workshop): Promise<Running> {
  const running = await workshop.start(workshop.settings("primary", 0, [
    "--insecure-jwt-generate",
    "--ha-admin-listen=127.0.0.1:0",
    "--ha-admin-readers=reader",
  ]));
  await untilState(running, "active");
  return running;
}

async function issue(workshop: Workshop, commonName: string, notAfter?: Date): Promise<TlsMaterial> {
  const read = (name: string) => Deno.readTextFileSync(`${workshop.dir}/pki/${name}`);
  const authority = await Authority.load({ cert: read("ca.crt"), key: read("ca.key") }, 1);
  const { cert, key } = await authority.issue({
    commonName,
    sans: [],
    server: false,
    ...(notAfter ? { notAfter } : {}),
  });
  return { cert: Buffer.from(cert), key: Buffer.from(key), ca: Buffer.from(read("ca.crt")), notAfterMs: 0 };
}

function fingerprintOf({ cert }: TlsMaterial): string {
  return namesOf(Buffer.from(cert.toString().split("-----")[2] ?? "", "base64")).fingerprint;
}

async function block(running: Running, certificates: TlsMaterial[]): Promise<void> {
  const data = Object.fromEntries(certificates.map((one) => [fingerprintOf(one), "stolen"]));
  const metadata = { name: "argocd-agent-tls-blocklist", namespace: "argocd" };
  await running.core.store.write({
    op: "put",
    object: { apiVersion: "v1", kind: "ConfigMap", metadata, data },
  });
}

/** All of them have ended with this reason. */
async function assertEnded(open: Open[], reason: RegExp): Promise<void> {
  for (const { service, ended } of open) {
    const { code, details } = await ended;
    assertEquals(code, UNAUTHENTICATED, `${service}: ${details}`);
    assertMatch(details, reason, service);
  }
}

async function stillOpen(open: Open[]): Promise<void> {
  const first = await Promise.race([
    ...open.map(({ service, ended }) => ended.then(({ details }) => `${service} ended: ${details}`)),
    new Promise<string>((resolve) => setTimeout(() => resolve(""), 300)),
  ]);
  assertEquals(first, "");
}

type Certificates = Record<"agent" | "replica" | "reader", TlsMaterial>;

async function certificatesOf(workshop: Workshop, agent: string, notAfter?: Date): Promise<Certificates> {
  return {
    agent: await issue(workshop, agent, notAfter),
    replica: await issue(workshop, "replica", notAfter),
    reader: await issue(workshop, "reader", notAfter),
  };
}

/** The connections are closed by the principal, not by their clients. */
function untilClosed(open: Open[]): Promise<void> {
  const ready = () =>
    open.filter(({ client }) =>
      client.getChannel().getConnectivityState(false) === grpc.connectivityState.READY
    );
  return until(
    () => ready().length === 0,
    5_000,
    () => `connected: ${ready().map(({ service }) => service)}`,
  );
}

Deno.test(
  "a certificate on the blocklist loses every stream, call and connection of every service at once, and no other does",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await served(workshop);
      const stolen = await certificatesOf(workshop, "edge-1");
      const open = await openAll(running, stolen);
      const others = await openAll(running, await certificatesOf(workshop, "edge-2"));
      await stillOpen([...open, ...others]);
      await block(running, Object.values(stolen));
      await assertEnded(open, /^the certificate is on the blocklist$/);
      await untilClosed(open);
      await stillOpen(others);
      const back = dialPeer(`127.0.0.1:${running.ports.grpc}`, stolen.replica, MESSAGE_BYTES);
      const { Status } = services.replicationService;
      const again = await call(back, Status, {}, 5_000).then(() => "", ({ details }) => details);
      assertEquals(again, "the certificate is on the blocklist");
      for (const { client } of [...open, ...others]) client.close();
      back.close();
    }),
);

Deno.test(
  "a certificate that expires ends every stream, call and connection that it opened, at that moment",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await served(workshop);
      const notAfter = new Date(Math.ceil(Date.now() / 1_000) * 1_000 + 4_000);
      const open = await openAll(running, await certificatesOf(workshop, "edge-1", notAfter));
      const others = await openAll(running, await certificatesOf(workshop, "edge-2"));
      await stillOpen([...open, ...others]);
      await assertEnded(open, /^the certificate expired at /);
      assert(Date.now() >= notAfter.getTime(), "before it expired");
      await untilClosed(open);
      await stillOpen(others);
      for (const { client } of [...open, ...others]) client.close();
    }),
);

Deno.test(
  "a replica stops following a server whose certificate is blocked, and does not come back to it",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const leader = await workshop.start(workshop.settings("primary", 0));
      await untilState(leader, "active");
      const replica = await workshop.start(workshop.settings("replica", leader.ports.grpc));
      await untilState(replica, "replicating");
      // Written on the replica: the thief would not pass it on.
      await block(replica, [material(workshop, "primary")]);
      await untilState(replica, "disconnected");
      await until(
        () =>
          workshop.logs.some((line) =>
            line.includes("its certificate does not count: the certificate is on")
          ),
        10_000,
        () => "it has not come back and been refused",
      );
      assertEquals(leader.core.replicas.size, 0);
    }),
);

/** A principal whose agents come with a password, and its file of users. */
async function withUsers(workshop: Workshop, users: Record<string, string>) {
  const file = `${workshop.dir}/users`;
  const write = (all: Record<string, string>) =>
    Deno.writeTextFileSync(
      file,
      Object.entries(all).map(([name, password]) => `${name}:${bcrypt.hashSync(password, 4)}\n`).join(""),
    );
  write(users);
  const { settings } = parseSettings([
    "--namespace=argocd",
    `--store=sqlite:${workshop.dir}/simple.db`,
    "--listen-host=127.0.0.1",
    "--insecure-jwt-generate",
    `--auth=userpass:${file}`,
    `--tls-cert=${workshop.dir}/pki/primary.crt`,
    `--tls-key=${workshop.dir}/pki/primary.key`,
    `--root-ca-path=${workshop.dir}/pki/ca.crt`,
  ], () => undefined);
  const running = await workshop.start({ ...settings, listenPort: 0, metricsPort: 0, healthzPort: 0 });
  await untilState(running, "active");
  const agent = (name: string) =>
    startAgent(workshop, running, {
      name,
      method: "userpass",
      credentials: { clientid: name, clientsecret: users[name] ?? "" },
    });
  return { running, write, agent, file };
}

function untilEnded(agent: SimAgent, text: string): Promise<void> {
  return until(
    () => agent.seen.ends.some((end) => end.includes(text)),
    10_000,
    () => `no end with "${text}": ${agent.seen.ends}`,
  );
}

function refreshed({ ports }: Running, material: TlsMaterial, refreshToken: string): Promise<string> {
  const client = dialPeer(`127.0.0.1:${ports.grpc}`, material, MESSAGE_BYTES);
  return call(client, services.authenticationService.RefreshToken, { refreshToken }, 5_000)
    .then(() => "refreshed", ({ details }) => String(details)).finally(() => client.close());
}

Deno.test(
  "a user who is removed, or whose password is changed, loses the stream, access and refresh, and no other user does",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const users = { gone: "a", changed: "b", stays: "c" };
      const { running, write, agent, file } = await withUsers(workshop, users);
      const material = await issue(workshop, "any");
      const agents = {
        gone: await agent("gone"),
        changed: await agent("changed"),
        stays: await agent("stays"),
      };
      for (const one of Object.values(agents)) await untilServed(running, one);
      const tokens = Object.fromEntries(
        Object.entries(agents).map(([name, { connection }]) => [name, connection?.refreshToken ?? ""]),
      );
      const { hash } = Object.fromEntries(
        Deno.readTextFileSync(file).split("\n").filter((line) => line.startsWith("stays:"))
          .map((line) => ["hash", line]),
      );
      Deno.writeTextFileSync(file, `${hash}\nchanged:${bcrypt.hashSync("new", 4)}\n`);
      await untilEnded(agents.gone, "16 the user has been removed");
      await untilEnded(agents.changed, "16 the user's password has been changed");
      assertEquals(agents.stays.seen.ends, []);
      assertEquals(await refreshed(running, material, tokens["gone"] ?? ""), "authentication failed");
      assertEquals(await refreshed(running, material, tokens["changed"] ?? ""), "authentication failed");
      assertEquals(await refreshed(running, material, tokens["stays"] ?? ""), "refreshed");
      // A file that cannot be used lets nobody in who was not, and cuts nobody off.
      Deno.writeTextFileSync(file, "Not A Label:x\n");
      await until(
        () => workshop.logs.some((line) => line.includes("keeping the users of before")),
        5_000,
        () => "the file is not reread",
      );
      assertEquals(await refreshed(running, material, tokens["stays"] ?? ""), "refreshed");
      assertEquals(await refreshed(running, material, tokens["gone"] ?? ""), "authentication failed");
      write({ gone: "again" });
      await untilEnded(agents.stays, "16 the user has been removed");
      const logs = workshop.logs.join("\n");
      assert(!logs.includes("$2"), "a hash is in the log");
    }),
);

Deno.test(
  "a certificate on the blocklist loses what a password opened over it, too",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const { running } = await withUsers(workshop, { "edge-1": "a" });
      const material = await issue(workshop, "edge-1");
      const agent = await startAgent(workshop, running, {
        name: "edge-1",
        material,
        method: "userpass",
        credentials: { clientid: "edge-1", clientsecret: "a" },
      });
      await untilServed(running, agent);
      await running.core.store.write({ op: "put", object: application("edge-1", "a") });
      await untilHolds(agent, "Application", ["a"]);
      await block(running, [material]);
      await untilEnded(agent, "16 the certificate is on the blocklist");
    }),
);
