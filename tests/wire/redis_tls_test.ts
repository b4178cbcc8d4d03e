/** TLS before and behind the Redis proxy. */
import { Buffer } from "node:buffer";
import { assertEquals } from "@std/assert";
import { createClient, RESP_TYPES } from "@redis/client";
import { freePorts } from "../../src/cli/processes.ts";
import { startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";
import { RawRedis, REDIS, redisSettings, startRedis, untilAnswers } from "../support/redis.ts";

const BOUND_MS = 60_000;
const TREE = "app|resources-tree|edge-1_web|1.8.3.gz";
const OWN_TREE = "app|resources-tree|web|1.8.3.gz";
const VALUE = Uint8Array.of(31, 139, 13, 10, 0, 255, 43);

Deno.test({
  name: "TLS before and behind the Redis proxy, with certificates that are exchanged",
  ignore: REDIS === undefined,
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const pki = `${workshop.dir}/pki`;
      const [port = 0, tlsPort = 0] = freePorts(2);
      startRedis(workshop, port, [
        ...["--tls-port", String(tlsPort), "--tls-cert-file", `${pki}/replica.crt`],
        ...[
          "--tls-key-file",
          `${pki}/replica.key`,
          "--tls-ca-cert-file",
          `${pki}/ca.crt`,
          "--tls-auth-clients",
          "no",
        ],
      ]);
      await untilAnswers(port);
      for (const name of ["crt", "key"]) {
        Deno.copyFileSync(`${pki}/primary.${name}`, `${workshop.dir}/proxy.${name}`);
      }
      const running = await workshop.start(redisSettings(workshop, tlsPort, [
        ...["--redis-tls-enabled", `--redis-ca-path=${pki}/ca.crt`],
        `--redis-proxy-server-tls-cert=${workshop.dir}/proxy.crt`,
        `--redis-proxy-server-tls-key=${workshop.dir}/proxy.key`,
      ]));
      await untilState(running, "active");
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, agent);
      agent.redis.values.set(OWN_TREE, VALUE);
      const ca = Deno.readTextFileSync(`${pki}/ca.crt`);
      let subject = "";
      const read = async () => {
        const client = createClient({
          socket: {
            ...{ host: "127.0.0.1", port: running.ports.redisProxy, tls: true as const, ca },
            checkServerIdentity: (_: string, certificate: { subject: { CN?: unknown } }) => {
              subject = String(certificate.subject.CN);
              return undefined;
            },
            reconnectStrategy: false as const,
          },
          password: "pw",
          RESP: 3,
        }).on("error", () => {});
        try {
          await client.connect();
          return await client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get(TREE);
        } finally {
          client.destroy();
        }
      };
      await until(
        () => read().then(() => true, () => false),
        BOUND_MS,
        () => "the proxy does not answer",
        50,
      );
      assertEquals(new Uint8Array(await read() as Buffer), VALUE);
      assertEquals(subject, "primary");
      for (const name of ["key", "crt"]) {
        Deno.copyFileSync(`${pki}/replica.${name}`, `${workshop.dir}/proxy.${name}`);
      }
      await until(
        async () => {
          await read();
          return subject === "replica";
        },
        BOUND_MS,
        () => `the certificate is still that of ${subject}`,
        100,
      );
      const silent = await RawRedis.open(running.ports.redisProxy);
      workshop.onClose(() => silent.close());
      await running.stop();
      await until(() => silent.closed, BOUND_MS, () =>
        "a connection without a handshake outlives the principal", 5);
    }),
});
