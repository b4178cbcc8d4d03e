/** `--insecure-tls-generate`: a principal for trials, whose certificate is made at each start. */
import { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { connect } from "node:tls";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import bcrypt from "bcryptjs";
import { parseSettings } from "../../src/config/settings.ts";
import { application, startAgent, untilHolds } from "../support/agents.ts";
import { inWorkshop, LOOSE, untilState, type Workshop } from "../support/principals.ts";

const DAY_MS = 86_400_000;

/** The certificate with which a port answers. */
function certificateOf(port: number): Promise<X509Certificate> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    socket.once("secureConnect", () => {
      resolve(new X509Certificate(socket.getPeerCertificate().raw));
      socket.destroy();
    }).once("error", reject);
  });
}

async function started(workshop: Workshop) {
  const { settings } = parseSettings([
    "--namespace=argocd",
    "--allowed-namespaces=*",
    `--store=sqlite:${workshop.dir}/trial.db`,
    "--listen-host=127.0.0.1",
    `--auth=userpass:${workshop.dir}/users`,
    "--insecure-jwt-generate",
    "--insecure-tls-generate",
  ], () => undefined);
  const running = await workshop.start({ ...settings, listenPort: 0, metricsPort: 0, healthzPort: 0 });
  await untilState(running, "active");
  return { running, certificate: await certificateOf(running.ports.grpc) };
}

Deno.test(
  "a certificate is made at each start, for this machine alone, and the log says loudly how little it is worth",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      Deno.writeTextFileSync(`${workshop.dir}/users`, `edge-1:${bcrypt.hashSync("right", 4)}\n`);
      const { running, certificate } = await started(workshop);
      assertEquals(certificate.checkIP("127.0.0.1"), "127.0.0.1");
      assertEquals(certificate.checkHost("a.example"), undefined);
      assert(!certificate.ca, "it vouches for nobody");
      assert(Date.parse(certificate.validTo) > Date.now() + 300 * DAY_MS);
      const told = workshop.logs.filter((line) => line.startsWith("warn INSECURE: "));
      assertEquals(told.length, 1);
      assert(told[0]?.includes(certificate.fingerprint256), told[0]);

      await running.core.store.write({ op: "put", object: application("edge-1", "a") });
      const ca = Buffer.from(certificate.toString());
      const agent = await startAgent(workshop, running, {
        name: "edge-1",
        method: "userpass",
        credentials: { clientid: "edge-1", clientsecret: "right" },
        material: { ca, cert: Buffer.alloc(0), key: Buffer.alloc(0), notAfterMs: 0 },
      });
      await untilHolds(agent, "Application", ["a"]);
      await agent.stop();
      await running.stop();
      assertNotEquals((await started(workshop)).certificate.fingerprint256, certificate.fingerprint256);
    }),
);
