/** Argo CD's UI is shown agents' states: through a real Redis. */
import { Buffer } from "node:buffer";
import { gunzipSync } from "node:zlib";
import { assert, assertEquals } from "@std/assert";
import { createClient, RESP_TYPES } from "@redis/client";
import { freePorts } from "../../src/cli/processes.ts";
import { ClusterSecrets } from "../../src/principal/active/cluster_secrets.ts";
import { NO_CLUSTER_INFO } from "../../src/principal/ports/cluster_info.ts";
import { application, startAgent, untilHolds } from "../support/agents.ts";
import { inWorkshop, until, untilState } from "../support/principals.ts";
import { REDIS, startRedis } from "../support/redis.ts";

const SERVER = "https://argocd-agent-resource-proxy:9090?agentName=edge-1";
const KEY = `cluster|info|${SERVER}|1.8.3.gz`;

/** The value of the agent's key; undefined where there is none. */
async function shown(port: number): Promise<{ value: Record<string, unknown>; ttl: number } | undefined> {
  const client = createClient({ url: `redis://:pw@127.0.0.1:${port}` }).on("error", () => {});
  await client.connect();
  try {
    const zipped = await client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer }).get(KEY);
    if (!zipped) return undefined;
    return {
      value: JSON.parse(gunzipSync(zipped).toString()),
      ttl: await client.ttl(KEY),
    };
  } finally {
    client.destroy();
  }
}

Deno.test({
  name:
    "agents' states are in Redis as Argo CD reads them; a Redis that is away stops nothing and is written again",
  ignore: REDIS === undefined,
  sanitizeOps: false,
  sanitizeResources: false,
  fn: () =>
    inWorkshop(async (workshop) => {
      const [port = 0] = freePorts(1);
      let stop = startRedis(workshop, port);
      const running = await workshop.start(workshop.settings("primary", 0, [
        "--insecure-jwt-generate",
        `--redis-server-address=127.0.0.1:${port}`,
        "--redis-password=pw",
      ]));
      await untilState(running, "active");
      const { store } = running.core;
      const labels = {
        "argocd.argoproj.io/secret-type": "cluster",
        "argocd-agent.argoproj-labs.io/agent-name": "edge-1",
      };
      const data = { name: btoa("edge-1"), server: btoa(SERVER) };
      const metadata = { name: "cluster-edge-1", namespace: "argocd", labels };
      await store.write({ op: "put", object: { apiVersion: "v1", kind: "Secret", metadata, data } });
      await until(() => running.core.clusters.of("edge-1") !== undefined, 20_000, () =>
        "the cluster is not known", 5);
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      const id = crypto.randomUUID();
      agent.send({
        type: "cluster-cache-info-update",
        target: "clusterCacheInfoUpdate",
        extensions: { resourceid: id, eventid: id },
        payload: new TextEncoder().encode('{"applicationsCount":3,"apisCount":4,"resourcesCount":5}'),
      });
      const state = async () => {
        const found = await shown(port).catch(() =>
          undefined
        );
        return `${(found?.value["connectionState"] as { message: string } | undefined)?.message} ${
          found?.value["applicationsCount"]
        }`;
      };
      const untilShown = async (text: string) => {
        let last = "";
        await until(
          async () =>
            (last = await state()) === text,
          15_000,
          () => `it shows "${last}"`,
          20,
        );
      };
      await untilShown("Agent: 'edge-1' is connected with principal 3");
      const { value, ttl } = await shown(port) as { value: Record<string, unknown>; ttl: number };
      assert(ttl > 590 && ttl <= 600, `TTL ${ttl}`);
      const { lastCacheSyncTime: _, ...cacheInfo } = value["cacheInfo"] as Record<string, unknown>;
      assertEquals([value["server"], cacheInfo], [SERVER, { apisCount: 4, resourcesCount: 5 }]);

      await stop();
      await store.write({ op: "put", object: application("edge-1", "a") });
      await untilHolds(agent, "Application", ["a"]);
      await until(() => agent.outbox.pending === 0, 20_000, () => "events wait for Redis", 5);
      await until(
        () => workshop.logs.some((line) => line.includes("Redis cannot be written")),
        20_000,
        () => "it is not said that Redis is away",
      );
      stop = startRedis(workshop, port);
      await untilShown("Agent: 'edge-1' is connected with principal 3");
      await agent.stop();
      await untilShown("Agent: 'edge-1' is disconnected with principal 0");
      const left = (await shown(port))?.value;
      assertEquals(left?.["cacheInfo"], { apisCount: 0, resourcesCount: 0 });
      assert(workshop.logs.filter((line) => line.includes("Redis cannot be written")).length <= 3);
    }),
});

Deno.test("without an address nothing of Redis is loaded or said", () => {
  NO_CLUSTER_INFO.connected("edge-1", true);
  assertEquals(new ClusterSecrets().of("edge-1"), undefined);
});
