/** The stand-in for a principal's Redis answers a real client, over the Redis proxy, as one that keeps nothing. */
import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { createClient } from "@redis/client";
import { EmptyRedis } from "../../src/simagents/empty_redis.ts";
import { startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";
import { redisSettings } from "../support/redis.ts";

const BOUND_MS = 60_000;
const TREE = "app|resources-tree|edge-1_web|1.8.3.gz";
const CHANNEL = "app|managed-resources|edge-1_web|1.8.3";

for (const RESP of [2, 3] as const) {
  Deno.test(
    `RESP${RESP}: agents' keys and notices come through the Redis proxy before a Redis that keeps nothing`,
    LOOSE,
    () =>
      inWorkshop(async (workshop) => {
        const redis = new EmptyRedis();
        workshop.onClose(() => redis.close());
        const running = await workshop.start(redisSettings(workshop, redis.port));
        await untilState(running, "active");
        const agent = await startAgent(workshop, running, { name: "edge-1" });
        await untilServed(running, agent);
        agent.redis.values.set("app|resources-tree|web|1.8.3.gz", new TextEncoder().encode("a tree"));
        const dial = async () => {
          const url = `redis://:pw@127.0.0.1:${running.ports.redisProxy}`;
          const client = await createClient({ url, RESP }).on("error", () => {}).connect();
          workshop.onClose(() => client.destroy());
          return client;
        };
        const client = await dial();
        await client.set("mfst|x", "kept by none");
        assertEquals([await client.get("mfst|x"), await client.get(TREE)], [null, "a tree"]);
        const { message } = await assertRejects(() => client.lPush("list", "x")) as Error;
        assertStringIncludes(message, "the stand-in for Redis does not serve this");
        let heard = 0;
        const viewer = await dial();
        await viewer.subscribe(CHANNEL, () => heard++);
        await until(() => heard > 0, BOUND_MS, () => "nothing is heard of the channel", 5);
        assertEquals(String(await viewer.ping()).toUpperCase(), "PONG");
        await viewer.unsubscribe(CHANNEL);
        assertEquals(String(await viewer.get(TREE)), "a tree");
      }),
  );
}
