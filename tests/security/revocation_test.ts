/** Streams and calls that a certificate or a password opened end with it, at once, in every service. */
import { Buffer } from "node:buffer";
import { assert, assertEquals } from "@std/assert";
import bcrypt from "bcryptjs";
import { namesOf } from "../../src/adapters/grpc/auth.ts";
import { call, dialPeer } from "../../src/adapters/grpc/dial.ts";
import * as services from "../../src/adapters/grpc/services.ts";
import { Authority } from "../../src/adapters/tls/pki.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import type { Running } from "../../src/serve.ts";
import { parseSettings } from "../../src/config/settings.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { application, startAgent, untilHolds, untilServed } from "../support/agents.ts";
import {
  assertEnded,
  certificatesOf,
  issue,
  MESSAGE_BYTES,
  openAll,
  served,
  stillOpen,
  untilClosed,
} from "../support/open_calls.ts";
import { inWorkshop, LOOSE, material, until, untilState, type Workshop } from "../support/principals.ts";

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
  "an authority that is replaced ends every stream, call and connection of its certificates at once, and of no other's",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const file = `${workshop.dir}/pki/ca.crt`;
      const before = Deno.readTextFileSync(file);
      const next = await Authority.create(1);
      const reloads = () => workshop.logs.filter((line) => line.includes("certificates reloaded")).length;
      const trust = async (...bundle: string[]) => {
        const seen = reloads();
        Deno.writeTextFileSync(file, bundle.join(""));
        await until(() => reloads() > seen, 20_000, () => "the bundle is not reread");
      };
      const running = await served(workshop);
      const open = await openAll(running, await certificatesOf(workshop, "edge-1"));
      await trust(before, next.pem.cert);
      const others = await openAll(running, await certificatesOf(workshop, "edge-2", undefined, next));
      await stillOpen([...open, ...others]);
      await trust(next.pem.cert);
      await assertEnded(open, /^the certificate's authority is not trusted here any more$/);
      await untilClosed(open);
      await stillOpen(others);
      for (const { client } of [...open, ...others]) client.close();
    }),
);

Deno.test(
  "a replica stops following a server whose certificate's authority is replaced",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const leader = await workshop.start(workshop.settings("primary", 0));
      await untilState(leader, "active");
      const bundle = `${workshop.dir}/pki/replica-ca.crt`;
      Deno.copyFileSync(`${workshop.dir}/pki/ca.crt`, bundle);
      const replica = await workshop.start(
        workshop.settings("replica", leader.ports.grpc, [`--root-ca-path=${bundle}`]),
      );
      await untilState(replica, "replicating");
      Deno.writeTextFileSync(bundle, (await Authority.create(1)).pem.cert);
      await untilState(replica, "disconnected");
      await until(() => leader.core.replicas.size === 0, 20_000, () => "the leader has a replica still");
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
        20_000,
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
    "--allowed-namespaces=*",
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
    20_000,
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
        20_000,
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
