/** Services behind Argo CD's UI that do not work: named on both sides, with the command that mends it, until they work. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { freePorts } from "../../src/cli/processes.ts";
import type { Running } from "../../src/serve.ts";
import { runCli } from "../support/processes.ts";
import { inWorkshop, LOOSE, Proxy, until, untilState, type Workshop } from "../support/principals.ts";
import { proxyFlags } from "../support/proxy.ts";
import { REDIS, startRedis } from "../support/redis.ts";

const BOUND_MS = 60_000;
const SECRET = "argocd-agent-resource-proxy-tls";
const ha = async (side: Running, ...args: string[]) =>
  (await runCli(["ha", ...args, "-a", `127.0.0.1:${side.ports.admin}`])).stdout;
const needs = (side: Running) => side.core.readiness.condition(false).then(({ concerns }) => concerns.ui);
const untilNeeds = (side: Running, count: number) => {
  let last: unknown;
  return until(
    async () => {
      const found = await needs(side);
      last = found?.examples;
      return found?.count === count;
    },
    BOUND_MS,
    () => `it needs ${JSON.stringify(last)}`,
    20,
  );
};

/** A principal whose resource proxy takes its certificate from a Secret. */
function waiting(workshop: Workshop, name: "primary" | "replica", peerPort: number, flags: string[]) {
  const all = ["--insecure-jwt-generate", ...proxyFlags(workshop, name), ...flags];
  const settings = workshop.settings(name, peerPort, all);
  const { resourceProxy } = settings;
  assert(resourceProxy);
  return {
    ...settings,
    resourceProxy: { ...resourceProxy, tls: { ...resourceProxy.tls, cert: "", key: "" } },
  };
}

Deno.test(
  "a replica's proxy that waits and its Redis that is away stand in preflight and status of both sides",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const [redisPort = 0] = freePorts(1);
      const toReplica = new Proxy(0);
      workshop.onClose(() => toReplica.close());
      const plain = workshop.settings("primary", toReplica.port, ["--insecure-jwt-generate"]);
      const primary = await workshop.served(plain);
      await untilState(primary, "active");
      const flags = [`--redis-server-address=127.0.0.1:${redisPort}`, "--redis-password=pw"];
      const replica = await workshop.start(waiting(workshop, "replica", primary.ports.grpc, flags));
      toReplica.targetPort = replica.ports.grpc;
      await untilState(replica, "replicating");
      await untilNeeds(replica, 2);
      const proxy = new RegExp(
        `resource proxy: Secret argocd/${SECRET} \\(tls.crt\\) does not exist; create it \\(argocd-agentctl pki issue resource-proxy`,
      );
      const redis = new RegExp(`Redis: "127.0.0.1:${redisPort}" cannot be written: .*--redis-server-address`);
      for (const [side, row] of [[replica, /ok +UI here/], [primary, /ok +UI peer/]] as const) {
        await until(
          async () => row.test(await ha(side, "preflight")),
          BOUND_MS,
          () => "preflight does not say it",
          50,
        );
        const found = await ha(side, "preflight");
        for (const part of [proxy, redis]) assertMatch(found, part);
        assertMatch(await ha(side, "status"), /2 services behind Argo CD's UI do not work/);
      }
      assertEquals((await needs(primary))?.count, 0);
      assert(workshop.logs.some((line) => /the resource proxy waits.*pki issue resource-proxy/.test(line)));
    }),
);

Deno.test({
  name: "both are taken back as soon as the Secret and Redis are there",
  ignore: REDIS === undefined,
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const [redisPort = 0] = freePorts(1);
      const flags = [`--redis-server-address=127.0.0.1:${redisPort}`, "--redis-password=pw"];
      const running = await workshop.start(waiting(workshop, "primary", 0, flags));
      await untilState(running, "active");
      await untilNeeds(running, 2);
      const read = (file: string) => btoa(Deno.readTextFileSync(`${workshop.dir}/pki/${file}`));
      const data = { "tls.crt": read("primary.crt"), "tls.key": read("primary.key") };
      const metadata = { name: SECRET, namespace: "argocd" };
      const object = { apiVersion: "v1", kind: "Secret", metadata, data };
      await running.core.store.write({ op: "put", object });
      await untilNeeds(running, 1);
      const stop = startRedis(workshop, redisPort);
      await untilNeeds(running, 0);
      await stop();
      await untilNeeds(running, 1);
    }),
});
