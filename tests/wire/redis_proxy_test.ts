/** Argo CD's servers read agents' Redis through the proxy: with a real Redis behind it and a real client before it. */
import { Buffer } from "node:buffer";
import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { createClient } from "@redis/client";
import { freePorts } from "../../src/cli/processes.ts";
import type { Settings } from "../../src/config/settings.ts";
import type { Running } from "../../src/serve.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState, type Workshop } from "../support/principals.ts";
import {
  client2,
  command,
  dial,
  RawRedis,
  REDIS,
  redisSettings,
  type RespVersion,
  startRedis,
  untilAnswers,
} from "../support/redis.ts";

const BOUND_MS = 60_000;
const TREE = "app|resources-tree|edge-1_web|1.8.3.gz";
const CHANNEL = "app|managed-resources|edge-1_web|1.8.3";
const OWN_TREE = "app|resources-tree|web|1.8.3.gz";
const OWN_CHANNEL = "app|managed-resources|web|1.8.3";
/** Bytes that no text has. */
const VALUE = Uint8Array.of(31, 139, 13, 10, 0, 255, 43);

const test = (name: string, run: (workshop: Workshop) => Promise<void>) =>
  Deno.test({ name, ignore: REDIS === undefined, ...LOOSE, fn: () => inWorkshop(run) });

interface Scene {
  running: Running;
  redisPort: number;
  stopRedis: () => Promise<void>;
}

async function scene(workshop: Workshop, flags: string[] = []): Promise<Scene> {
  const [redisPort = 0] = freePorts(1);
  const stopRedis = startRedis(workshop, redisPort);
  const running = await workshop.start(redisSettings(workshop, redisPort, flags));
  await untilState(running, "active");
  await untilAnswers(redisPort);
  return { running, redisPort, stopRedis };
}

/** A client like the viewer of a page: it subscribes once more whenever its connection has broken. */
async function viewer(workshop: Workshop, port: number, RESP: RespVersion, channel = CHANNEL) {
  const client = createClient({
    url: `redis://:pw@127.0.0.1:${port}`,
    RESP,
    socket: { reconnectStrategy: () => 50 },
  }).on("error", () => {});
  workshop.onClose(() => client.destroy());
  await client.connect();
  const view = { heard: 0, client };
  await client.subscribe(channel, (message) => {
    assertEquals(message, "");
    view.heard++;
  });
  return view;
}

/** Waits until a viewer has heard more than so many messages. */
const hears = (view: { heard: number }, than: number, why: string) =>
  until(() => view.heard > than, BOUND_MS, () => `${why}: no message after ${than}`, 5);

/** Waits until a viewer hears what is published at the agent. */
function hearsAgent(view: { heard: number }, agent: SimAgent, why: string): Promise<void> {
  const { heard } = view;
  return until(
    () => {
      agent.redis.publish(OWN_CHANNEL);
      return view.heard > heard + 1;
    },
    BOUND_MS,
    () => `${why}: ${view.heard - heard} messages`,
    50,
  );
}

async function agentAt(workshop: Workshop, running: Running, name = "edge-1"): Promise<SimAgent> {
  const agent = await startAgent(workshop, running, { name });
  await untilServed(running, agent);
  return agent;
}

for (const version of [2, 3] as const) {
  test(`RESP${version}: agents' keys are read at agents, all others at Redis, replies in the order of commands`, async (workshop) => {
    const { running, redisPort } = await scene(workshop);
    const agent = await agentAt(workshop, running);
    const client = await dial(running.ports.redisProxy, version);
    workshop.onClose(() => client.destroy());
    await client.set("mfst|x", "local");
    const direct = await client2(redisPort);
    workshop.onClose(() => direct.destroy());
    assertEquals(String(await direct.get("mfst|x")), "local");

    assertEquals(await client.get(TREE), null, "a miss is nil, not an error");
    agent.redis.values.set(OWN_TREE, VALUE);
    assertEquals(new Uint8Array(await client.get(TREE) as Buffer), VALUE);
    const big = crypto.getRandomValues(new Uint8Array(60_000));
    agent.redis.values.set("app|managed-resources|big|1.8.3.gz", big);
    const [local, tree, large, miss, pong] = await Promise.all([
      client.get("mfst|x"),
      client.get(TREE),
      client.get("app|managed-resources|edge-1_big|1.8.3.gz"),
      client.get("app|resources-tree|edge-1_none|1.8.3.gz"),
      client.ping(),
    ]);
    assertEquals(String(local), "local");
    assertEquals(new Uint8Array(tree as Buffer), VALUE);
    assertEquals(new Uint8Array(large as Buffer), big);
    assertEquals(miss, null);
    assertEquals(String(pong), "PONG");

    // An Application of Argo CD's own namespace, and one of a namespace that is no agent's, are the principal's.
    for (const key of ["app|resources-tree|web|1.8.3.gz", "app|resources-tree|team_web|1.8.3.gz"]) {
      await client.set(key, "here");
      assertEquals(String(await client.get(key)), "here");
    }
    agent.redis.broken = "no route\r\n+OK to Redis";
    const broken = await assertRejects(() => client.get("app|resources-tree|edge-1_other|1.8.3.gz"));
    assertEquals((broken as Error).message, "ERR no route\\r\\n+OK to Redis");
    const pieces = await assertRejects(() => client.get("app|resources-tree|edge-1_web|1|1.8.3.gz"));
    assertStringIncludes((pieces as Error).message, "cannot read a resource tree in pieces");
    await agent.stop();
    await until(
      () => !running.core.fleet.agent("edge-1")?.stream,
      BOUND_MS,
      () => "the agent is still here",
      5,
    );
    const gone = await assertRejects(() => client.get("app|resources-tree|edge-1_gone|1.8.3.gz"));
    assertEquals((gone as Error).message, 'ERR agent "edge-1" is not connected');
    assertEquals(String(await client.get("mfst|x")), "local", "the connection goes on");
    const { counters } = running.core;
    assertEquals(counters.rows("redisProxyErrors"), [[{ agent_name: "edge-1", command: "get" }, 3]]);
  });

  test(`RESP${version}: pages share a subscription, which outlives restarts of agent, principal and Redis`, async (workshop) => {
    const [redisPort = 0] = freePorts(1);
    const stopRedis = startRedis(workshop, redisPort);
    const chosen = redisSettings(workshop, redisPort);
    let running = await workshop.start(chosen);
    await untilState(running, "active");
    const port = running.ports.redisProxy;
    await untilAnswers(port);
    const agent = await startAgent(workshop, () => `127.0.0.1:${running.ports.grpc}`, { name: "edge-1" });
    await untilServed(running, agent);
    const view = await viewer(workshop, port, version);
    await hears(view, 0, "subscribed at the agent");
    const other = await viewer(workshop, port, version);
    await until(() => agent.redis.publish(OWN_CHANNEL) === 1, BOUND_MS, () => "not one subscription", 20);
    await hears(other, 0, "shared");
    assertEquals(agent.redis.asked.subscribe, 1);
    assertEquals(String(await other.client.ping()).toUpperCase(), "PONG");

    await other.client.unsubscribe(CHANNEL);
    const [before, rest] = [view.heard, other.heard];
    agent.redis.publish(OWN_CHANNEL);
    await hears(view, before, "published");
    assertEquals(other.heard, rest);
    assertEquals(await other.client.get("nothing"), null, "it is an ordinary connection once more");

    let { heard } = view;
    await agent.restart();
    await hears(view, heard, "the agent restarted");
    await hearsAgent(view, agent, "after the agent's restart");

    heard = view.heard;
    await running.stop();
    running = await workshop.start(chosen);
    await hears(view, heard, "the principal restarted");
    await hearsAgent(view, agent, "after the principal's restart");

    await stopRedis();
    startRedis(workshop, redisPort);
    await hearsAgent(view, agent, "after Redis' restart");
  });
}

test("nothing of an agent is told before Redis has accepted the client, nor to one that Redis refuses it", async (workshop) => {
  const { running } = await scene(workshop);
  const agent = await agentAt(workshop, running);
  agent.redis.values.set(OWN_TREE, VALUE);
  const raw = await RawRedis.open(running.ports.redisProxy);
  workshop.onClose(() => raw.close());
  const answers = async (sent: string, expected: string) => {
    await raw.send(sent);
    await until(() => raw.received.length >= expected.length, BOUND_MS, () => `"${raw.received}"`, 5);
    assertEquals(raw.take(), expected);
  };
  const unknown = "-NOAUTH Authentication required.\r\n";
  await answers(command("GET", TREE), unknown);
  await answers(
    command("get", TREE) + command("RESET") + command("get", TREE),
    `${unknown}+RESET\r\n${unknown}`,
  );
  await answers(command("subscribe", CHANNEL), unknown);
  await answers(command("unsubscribe") + command("get", TREE), unknown + unknown);
  await answers("*0\r\n*-1\r\n" + command("RESET") + command("get", TREE), `+RESET\r\n${unknown}`);
  await raw.send(command("AUTH", "wrong") + command("get", TREE));
  await until(() => raw.received.split("\r\n").length > 2, BOUND_MS, () => raw.received, 5);
  assertMatch(raw.take(), /^-WRONGPASS [^\r]*\r\n-NOAUTH [^\r]*\r\n$/);
  assertEquals(agent.redis.asked, { get: 0, subscribe: 0, ping: 0 });

  const rule = ["ACL", "SETUSER", "few", "on", ">few", "+@all", "~mfst*", "resetchannels", "&other*"];
  await answers(command("AUTH", "pw") + command(...rule), "+OK\r\n+OK\r\n");
  await answers(command("AUTH", "few", "few"), "+OK\r\n");
  await raw.send(command("get", TREE) + command("subscribe", CHANNEL));
  await until(() => raw.received.split("\r\n").length > 2, BOUND_MS, () => raw.received, 5);
  assertMatch(raw.take(), /^-NOPERM [^\r]*\r\n-NOPERM [^\r]*\r\n$/);
  assertEquals(agent.redis.asked, { get: 0, subscribe: 0, ping: 0 });

  await answers(command("AUTH", "pw"), "+OK\r\n");
  const value = `$${VALUE.length}\r\n${new TextDecoder().decode(VALUE)}\r\n`;
  await answers(command("GET", TREE), value);
  // A transaction is Redis' own, and so is whatever comes in another form than the one that is looked at.
  await answers(
    command("MULTI") + command("GET", TREE) + command("EXEC"),
    "+OK\r\n+QUEUED\r\n*1\r\n$-1\r\n",
  );
  await answers(command("mget", TREE) + command("get", TREE), `*1\r\n$-1\r\n${value}`);
  await answers("PING\r\n" + command("get", TREE), "+PONG\r\n$-1\r\n");
  await answers(command("quit"), "+OK\r\n");
  await until(() => raw.closed, BOUND_MS, () => "the connection is still open", 5);
});

test("a replica reads the ACTIVE's agents; subscriptions that were made there live through a failover", async (workshop) => {
  const [redisPort = 0] = freePorts(1);
  startRedis(workshop, redisPort);
  await untilAnswers(redisPort);
  const flags = ["--insecure-jwt-generate", `--redis-server-address=127.0.0.1:${redisPort}`];
  const primary = await workshop.start(workshop.settings("primary", 0, flags));
  await untilState(primary, "active");
  const replica = await workshop.start(workshop.settings("replica", primary.ports.grpc, flags));
  let active = primary;
  const agent = await startAgent(workshop, () => `127.0.0.1:${active.ports.grpc}`, { name: "edge-1" });
  await untilServed(primary, agent);
  agent.redis.values.set(OWN_TREE, VALUE);
  await untilState(replica, "replicating");
  await until(() => replica.core.roster.modeOf("edge-1") !== undefined, BOUND_MS, () => "no roster here", 20);
  const client = await dial(replica.ports.redisProxy, 3);
  workshop.onClose(() => client.destroy());
  const reads = (key: string, expected: RegExp) => {
    let last = "";
    return until(
      async () => {
        last = await client.get(key).then(
          (found) => found ? (found as Buffer).toString("hex") : "nil",
          String,
        );
        return expected.test(last);
      },
      BOUND_MS,
      () => `"${last}"`,
      20,
    );
  };
  await reads(TREE, new RegExp(VALUE.toHex()));
  const view = await viewer(workshop, replica.ports.redisProxy, 3);
  await hears(view, 0, "subscribed over the link");
  await hearsAgent(view, agent, "while this side follows");

  await primary.stop();
  await untilState(replica, "disconnected");
  await reads(
    "app|resources-tree|edge-1_other|1.8.3.gz",
    /^Error: ERR no agent can be asked: .*; see: argocd-agent-ha ha explain$/,
  );
  assertEquals(await client.get("mfst|x"), null, "the rest is Redis' own");
  const { heard } = view;
  active = replica;
  await replica.operations.command("promote", true, "an operator");
  await untilState(replica, "active");
  await hears(view, heard, "this side serves");
  await hearsAgent(view, agent, "while this side serves");
  await reads(TREE, new RegExp(VALUE.toHex()));
});

test("pages of both sides see changes before and after a switchover, whichever side has the agent", async (workshop) => {
  const [redisPort = 0, primaryPort = 0, replicaPort = 0] = freePorts(3);
  startRedis(workshop, redisPort);
  await untilAnswers(redisPort);
  const flags = ["--insecure-jwt-generate", `--redis-server-address=127.0.0.1:${redisPort}`];
  const side = (name: "primary" | "replica", listenPort: number, peer: number): Settings => ({
    ...workshop.settings(name, peer, flags),
    listenPort,
  });
  const primary = await workshop.served(side("primary", primaryPort, replicaPort));
  await untilState(primary, "active");
  const replica = await workshop.start(side("replica", replicaPort, primaryPort));
  await untilState(replica, "replicating");
  let active = primary;
  const agent = await startAgent(workshop, () => `127.0.0.1:${active.ports.grpc}`, { name: "edge-1" });
  await untilServed(primary, agent);
  await until(() => replica.core.requests.connected("edge-1") !== undefined, BOUND_MS, () => "not known", 20);
  const views = await Promise.all(
    [primary, replica].map(({ ports: { redisProxy } }) => viewer(workshop, redisProxy, 3)),
  );
  for (const [i, view] of views.entries()) await hearsAgent(view, agent, `side ${i} before`);
  active = replica;
  const options = { who: "an operator", dryRun: false, timeoutMs: BOUND_MS };
  await primary.core.switchover.run(options, () => {});
  await untilState(replica, "active");
  await untilState(primary, "replicating");
  for (const [i, view] of views.entries()) await hearsAgent(view, agent, `side ${i} after`);
});

test("an agent that does not answer costs an error and not the connection; a hundred askers cost it one request", async (workshop) => {
  const { running } = await scene(workshop);
  const agent = await agentAt(workshop, running);
  agent.misbehaviour.requests = "unanswered";
  const clients = await Promise.all(Array.from({ length: 20 }, () => dial(running.ports.redisProxy, 3)));
  workshop.onClose(() => clients.forEach((client) => client.destroy()));
  let asked = 0;
  agent.onEvent = ({ target }) => target === "redis" && asked++;
  const answers = await Promise.all(
    clients.flatMap((client) => Array.from({ length: 5 }, () => client.get(TREE).catch(String))),
  );
  for (const answer of answers) {
    assertStringIncludes(String(answer), `no answer of agent "edge-1" within 4 s`);
  }
  assert(asked < 50, `${asked} requests`);
  delete agent.misbehaviour.requests;
  agent.redis.values.set(OWN_TREE, VALUE);
  for (const client of clients) assertEquals(new Uint8Array(await client.get(TREE) as Buffer), VALUE);
  assert(agent.redis.asked.get <= clients.length, `${agent.redis.asked.get} requests`);
});
