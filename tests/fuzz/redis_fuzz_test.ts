/**
 * Pipelines of commands from seeds, cut anywhere, once through the Redis proxy and once straight to a Redis that has the agent's keys
 * itself: the bytes that come back are the same. Nonsense from seeds ends in `MalformedFrame` or in nothing.
 */
import { assert, assertEquals } from "@std/assert";
import { freePorts } from "../../src/cli/processes.ts";
import { FrameReader, MalformedFrame } from "../../src/domain/redis/frames.ts";
import { startAgent, untilServed } from "../support/agents.ts";
import { inWorkshop, LOOSE, until, untilState } from "../support/principals.ts";
import { type Random, seeded } from "../support/random.ts";
import { command, RawRedis, REDIS, startRedis, untilAnswers } from "../support/redis.ts";

const BOUND_MS = 60_000;
const SEED = 20_261_125;
const PIPELINES = 80;
const COMMANDS = 40;
const AGENT_KEYS = ["tree", "tree", "large", "none"].map((name) =>
  `app|resources-tree|edge-1_${name}|1.8.3.gz`
);
const VALUES = new Map([["tree", "v\r\n$3\r\n+OK\r\n"], ["large", "large ".repeat(20_000)]]);
const CHANNELS = ["app|managed-resources|edge-1_tree|1.8.3", "other"];

/** A command that Redis answers the same way every time. */
function anyCommand(random: Random): string {
  const channel = () => random.pick(CHANNELS);
  const key = () => random.pick(["a", "b", "c"]);
  return random.pick([
    () => command(random.pick(["get", "GET"]), random.pick(AGENT_KEYS)),
    () => command("get", random.pick(AGENT_KEYS)),
    () => command("mget", random.pick(AGENT_KEYS), key()),
    () => command("set", key(), "x".repeat(random.int(3_000))),
    () => command("get", key()),
    () => command("hset", "h", key(), "1"),
    () => command("hgetall", "h"),
    () => command("rpush", "l", "message", "subscribe", "1"),
    () => command("lrange", "l", "0", "2"),
    () => command("del", random.pick(["l", "h", "a"])),
    () => command("ping"),
    () => command("ping", "subscribe"),
    () => command("nonsense", key()),
    () => command("get"),
    () => command("hello", random.pick(["2", "3", "9"])),
    () => command("subscribe", channel()),
    () => command("subscribe", channel(), channel()),
    () => command("unsubscribe", channel()),
    () => command("unsubscribe"),
    () => command("psubscribe", "o*"),
    () => command("punsubscribe"),
    () => command("ssubscribe", channel()),
    () => command("sunsubscribe"),
    () => command("spublish", "other", "hello"),
    () => command("publish", "other", "hello"),
    () => command("multi"),
    () => command("exec"),
    () => command("discard"),
    () => command("reset") + command("auth", "pw"),
    () => "*0\r\n",
  ])();
}

/** The reply to `hello` names the connection; the channels of one `unsubscribe` come in any order. */
const unnamed = (text: string) =>
  text.replaceAll(/(\$2\r\nid\r\n:)\d+/g, "$1").replaceAll(/(unsubscribe\r\n)\$\d+\r\n[^\r]*/g, "$1");

/** Where two texts begin to differ. */
function difference(found: string, expected: string): string {
  let at = 0;
  while (found[at] === expected[at]) at++;
  const near = (text: string) => JSON.stringify(text.slice(Math.max(0, at - 150), at + 80));
  return `${near(found)} is not ${near(expected)}`;
}

Deno.test({
  name: "any pipeline of commands is answered through the Redis proxy as by Redis itself",
  ignore: REDIS === undefined,
  ...LOOSE,
  fn: () =>
    inWorkshop(async (workshop) => {
      const [behind = 0, straight = 0] = freePorts(2);
      for (const port of [behind, straight]) startRedis(workshop, port);
      const running = await workshop.start(workshop.settings("primary", 0, [
        "--insecure-jwt-generate",
        `--redis-server-address=127.0.0.1:${behind}`,
      ]));
      await untilState(running, "active");
      for (const port of [behind, straight]) await untilAnswers(port);
      const agent = await startAgent(workshop, running, { name: "edge-1" });
      await untilServed(running, agent);
      const answers = async (raw: RawRedis, pieces: string[], end: string) => {
        for (const piece of pieces) await raw.send(piece);
        await until(() => raw.received.includes(end), BOUND_MS, () =>
          `${end}: "${raw.received.slice(-500)}" ${raw.closed}`, 1);
        return unnamed(raw.take());
      };
      // The Redis behind the proxy has them too, for commands that read them there: a transaction, MGET.
      const sets = [...VALUES].map(([name, value]) => {
        agent.redis.values.set(`app|resources-tree|${name}|1.8.3.gz`, new TextEncoder().encode(value));
        return command("set", `app|resources-tree|edge-1_${name}|1.8.3.gz`, value);
      });
      for (const port of [behind, straight]) {
        const raw = await RawRedis.open(port);
        await answers(raw, [command("auth", "pw"), ...sets, command("ping", "set")], "$3\r\nset\r\n");
        raw.close();
      }
      for (let n = 0; n < PIPELINES; n++) {
        const random = seeded(SEED + n);
        const end = `end-${n}`;
        const commands = [
          command("auth", "pw"),
          ...Array.from({ length: COMMANDS }, () =>
            anyCommand(random)),
          command("reset") + command("auth", "pw") + command("ping", end),
        ].join("");
        const pieces: string[] = [];
        for (let at = 0; at < commands.length;) {
          const length = 1 + random.int(pieces.length < 200 ? random.pick([5, 100]) : 5_000);
          pieces.push(commands.slice(at, at + length));
          at += length;
        }
        const tail = `$${end.length}\r\n${end}\r\n`;
        const texts: string[] = [];
        for (const port of [running.ports.redisProxy, straight]) {
          const raw = await RawRedis.open(port);
          workshop.onClose(() =>
            raw.close()
          );
          texts.push(await answers(raw, pieces, tail));
          raw.close();
        }
        const [found = "", expected = ""] = texts;
        // What an agent notifies comes beside.
        const own = found.replaceAll(/[>*]3\r\n\$7\r\nmessage\r\n\$\d+\r\napp\|[^\r]*\r\n\$0\r\n\r\n/g, "");
        if (own !== expected) assertEquals(difference(own, expected), "", `seed ${SEED + n}`);
      }
      assert(agent.redis.asked.get > 0, "no key was read at the agent");
    }),
});

Deno.test("FrameReader ends nonsense with MalformedFrame, and never runs on", () => {
  const random = seeded(SEED);
  const parts = [
    "*",
    "$",
    ">",
    "%",
    "|",
    "~",
    "+",
    ":",
    "-1",
    "0",
    "3",
    "1000000000",
    "\r\n",
    "\r",
    "\n",
    "get",
  ];
  for (let n = 0; n < 5_000; n++) {
    const reader = new FrameReader(random.chance(0.5) ? "*" : undefined);
    let passed = 0;
    let sent = 0;
    try {
      for (let chunks = random.int(20); chunks >= 0; chunks--) {
        const chunk = random.chance(0.2) ? random.bytes(random.int(50)) : new TextEncoder().encode(
          Array.from({ length: 1 + random.int(9) }, () => random.pick(parts)).join(""),
        );
        sent += chunk.length;
        for (const { bytes } of reader.read(chunk)) passed += bytes.length;
      }
      assertEquals(passed, sent);
    } catch (error) {
      assert(error instanceof MalformedFrame, String(error));
    }
  }
});
