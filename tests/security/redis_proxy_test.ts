/** Clients of the Redis proxy that mean ill: they get nothing of agents, keep nobody out, and cost a bounded amount. */
import { assert, assertEquals } from "@std/assert";
import { createClient } from "@redis/client";
import { freePorts } from "../../src/cli/processes.ts";
import { startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";
import { command, RawRedis, REDIS, startRedis } from "../support/redis.ts";

const BOUND_MS = 60_000;
const TREE = "app|resources-tree|edge-1_web|1.8.3.gz";
const VALUE_BYTES = 4 * 1024 * 1024;
const ASKED = 200;
/** Far below what they asked for, far above what is kept for them. */
const MAX_GROWTH = 200 * 1024 * 1024;

Deno.test({
  name: "clients of the Redis proxy that send nonsense, or read nothing, cost little and disturb none",
  ignore: REDIS === undefined,
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const [redisPort = 0] = freePorts(1);
      startRedis(workshop, redisPort);
      const running = await workshop.start(workshop.settings("primary", 0, [
        "--insecure-jwt-generate",
        `--redis-server-address=127.0.0.1:${redisPort}`,
      ]));
      await untilState(running, "active");
      const port = running.ports.redisProxy;
      const client = createClient({
        url: `redis://:pw@127.0.0.1:${port}`,
        socket: { reconnectStrategy: () => 50 },
      })
        .on("error", () => {});
      await client.connect();
      workshop.onClose(() => client.destroy());
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, agent);
      agent.redis.values.set("app|resources-tree|web|1.8.3.gz", new Uint8Array(VALUE_BYTES));
      await client.set("mfst|large", "x".repeat(VALUE_BYTES));

      const nonsense = [
        `GET ${TREE}\r\n`,
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        "GET / HTTP/1.1\r\nHost: redis\r\n\r\n",
        "*1000000000\r\n$1000000000\r\nx",
        `*2\r\n$3\r\nget\r\n$${TREE.length + 1}\r\n${TREE}`,
        `*2\r\n*1\r\n$3\r\nget\r\n$${TREE.length}\r\n${TREE}\r\n`,
        `*${"9".repeat(5_000)}`,
        command("client", "reply", "off") + command("get", TREE),
        command("monitor") + command("get", TREE),
        command("sync") + command("get", TREE),
      ];
      for (const text of nonsense) {
        const raw = await RawRedis.open(port);
        workshop.onClose(() => raw.close());
        await raw.send(text);
        await client.ping();
        assert(!/^\$\d{3}/m.test(raw.received), raw.received.slice(0, 200));
      }
      assertEquals(agent.redis.asked.get, 0);

      const before = Deno.memoryUsage().rss;
      const deaf = await Deno.connect({ hostname: "127.0.0.1", port });
      workshop.onClose(() => deaf.close());
      const asks = command("auth", "pw") +
        (command("get", TREE) + command("get", "mfst|large")).repeat(ASKED);
      await deaf.write(new TextEncoder().encode(asks));
      await until(() => agent.redis.asked.get > 0, BOUND_MS, () => "the agent is not asked", 5);
      for (let n = 0; n < ASKED; n++) assertEquals(await client.ping(), "PONG");
      const grown = Deno.memoryUsage().rss - before;
      assert(grown < MAX_GROWTH, `${Math.round(grown / 1024 / 1024)} MiB more`);
      assert(agent.redis.asked.get < ASKED, `${agent.redis.asked.get} requests to the agent`);
    }),
});
