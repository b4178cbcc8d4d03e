/** Agents' caches over a way to the agents that a test plays. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { parseJson } from "../../base/json.ts";
import type { AgentEvent } from "../../domain/events/cloudevent.ts";
import type { RedisQuestion } from "../../domain/redis/requests.ts";
import { wholeScope } from "../../domain/resources/scope.ts";
import type { CachePlace } from "../ports/agent_caches.ts";
import { type AgentRequest, type Answering, RequestFailed } from "../ports/requests.ts";
import { AgentRedis } from "./agent_redis.ts";
import { SharedCaches } from "./agent_caches.ts";
import { Counters } from "./counters.ts";

const TREE = "app|resources-tree|edge-1_web|1.8.3.gz";
const CHANNEL = "app|managed-resources|edge-1_web|1.8.3";
const PLACE: CachePlace = { agent: "edge-1", key: TREE, problem: "" };
const WATCHED: CachePlace = { agent: "edge-1", key: CHANNEL, problem: "" };
const VALUE = Uint8Array.of(1, 2, 255);

/** A question that waits for its answer. */
interface Question {
  uuid: string;
  connectionUuid: string;
  body: RedisQuestion;
  signal: AbortSignal | undefined;
  answer(body: Record<string, unknown>): void;
  fail(error: Error): void;
}

/** The agents, played by a test. */
class Agents {
  readonly questions: Question[] = [];
  readonly here = new Set(["edge-1"]);
  #hear: (agent: string, event: AgentEvent) => void = () => {};
  #streams: (agent: string, open: boolean) => void = () => {};

  connected(agent: string): "managed" | undefined {
    return this.here.has(agent) ? "managed" : undefined;
  }

  ask(_: string, { payload }: AgentRequest, { signal }: Answering): Promise<AgentEvent> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason));
      const question = parseJson(new TextDecoder().decode(payload)) as Question;
      this.questions.push({
        ...question,
        signal,
        answer: (body) => resolve(event(question.connectionUuid, body)),
        fail: reject,
      });
    });
  }

  listen(_: string, hear: (agent: string, event: AgentEvent) => void): () => void {
    this.#hear = hear;
    return () => {};
  }

  onStream(hear: (agent: string, open: boolean) => void): () => void {
    this.#streams = hear;
    return () => {};
  }

  /** An agent's stream opens or ends. */
  stream(agent: string, open: boolean): void {
    if (open) this.here.add(agent);
    else this.here.delete(agent);
    this.#streams(agent, open);
  }

  notify(agent: string, connection: string, channel = CHANNEL): void {
    this.#hear(agent, event(connection, { pushFromSubscribe: { channelName: channel } }));
  }

  /** Takes the questions of a kind, at least so many. */
  async take(kind: string, count: number): Promise<Question[]> {
    const found = () => this.questions.filter(({ body }) => kind in body);
    for (let turns = 0; found().length < count && turns < 10_000; turns++) {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    const taken = found();
    assert(taken.length >= count, `${kind}: ${JSON.stringify(this.questions)}`);
    this.questions.splice(0, this.questions.length, ...this.questions.filter(({ body }) => !(kind in body)));
    return taken;
  }

  async one(kind: string): Promise<Question> {
    const [question, ...more] = await this.take(kind, 1);
    assertEquals(more, [], kind);
    return question as Question;
  }
}

function event(connectionUuid: string, body: Record<string, unknown>): AgentEvent {
  const payload = new TextEncoder().encode(JSON.stringify({ uuid: "u", connectionUuid, body }));
  return { type: "redis-response", target: "redis", extensions: {}, payload };
}

const value = (bytes: Uint8Array) => ({ get: { bytes: bytes.toBase64(), cacheHit: true, error: "" } });

function scene({ destinationMapping = false, pingMs = 1_000_000 } = {}) {
  const agents = new Agents();
  const applications: Record<string, unknown> = {
    "Application/argocd/web": { spec: { destination: { name: "edge-1" } } },
    "Application/argocd/here": { spec: { destination: { name: "in-cluster" } } },
    "Application/team/web": { spec: { destination: { name: "edge-2" } } },
    "Application/edge-3/web": {
      metadata: { annotations: { "argocd-agent.argoproj-labs.io/ha-owner": "edge-3" } },
      spec: { destination: { name: "in-cluster" } },
    },
  };
  const counters = new Counters();
  const caches = new SharedCaches({
    settings: { scope: { ...wholeScope("argocd"), destinationMapping }, redisKeyPrefix: "hub:" },
    index: {
      present: (key) => {
        const application = applications[key];
        const whole = { metadata: { name: "" }, ...(application as object) };
        return application ? { payload: JSON.stringify(whole) } as never : undefined;
      },
    },
    roster: { modeOf: (agent) => agent === "edge-2" ? "managed" : undefined },
    clusters: {
      of: (agent) => agent === "edge-3" ? { agent, name: agent, server: "" } : undefined,
    },
    redis: new AgentRedis(agents),
    counters,
  }, { pingMs, retry: { firstMs: 1, maxMs: 1, factor: 1 } });
  return { agents, caches, counters };
}

Deno.test("place(): the agent of a key, by namespace and by destination", () => {
  const cases: [key: string, byNamespace: string, byDestination: string][] = [
    [TREE, `edge-1 ${TREE}`, "-"],
    [`hub:${TREE}`, `edge-1 ${TREE}`, "-"],
    ["app|resources-tree|web|1.8.3", "-", "edge-1 app|resources-tree|web|1.8.3"],
    ["app|resources-tree|here|1.8.3", "-", "-"],
    ["app|resources-tree|team_web|1.8.3", "-", "edge-2 app|resources-tree|team_web|1.8.3"],
    ["app|resources-tree|team_web|2|1.8.3", "-", "edge-2 app|resources-tree|team_web|2|1.8.3"],
    ["app|resources-tree|edge-2_web|1.8.3", "edge-2 app|resources-tree|edge-2_web|1.8.3", "-"],
    [
      "app|resources-tree|edge-3_web|1.8.3",
      "edge-3 app|resources-tree|edge-3_web|1.8.3",
      "edge-3 app|resources-tree|edge-3_web|1.8.3",
    ],
    ["app|resources-tree|edge-1_web|2|1.8.3", "edge-1 cannot", "-"],
    ["mfst|x", "-", "-"],
  ];
  const shown = (place: CachePlace | undefined) =>
    place ? `${place.agent} ${place.problem ? "cannot" : place.key}` : "-";
  const [near, far] = [scene(), scene({ destinationMapping: true })];
  for (const [key, byNamespace, byDestination] of cases) {
    assertEquals(
      [shown(near.caches.place(key)), shown(far.caches.place(key))],
      [byNamespace, byDestination],
      key,
    );
  }
});

Deno.test("get(): one request for all who wait, which ends when the last of them has left", async () => {
  const { agents, caches } = scene();
  const leaving = [new AbortController(), new AbortController()];
  const gone = leaving.map(({ signal }) => caches.get(PLACE, signal).catch(() => "left"));
  const staying = caches.get(PLACE, new AbortController().signal);
  const question = await agents.one("get");
  for (const one of leaving) one.abort();
  assertEquals(await Promise.all(gone), ["left", "left"]);
  assertEquals(question.signal?.aborted, false);
  question.answer(value(VALUE));
  assertEquals(await staying, { value: VALUE });
  assertEquals(
    await caches.get(PLACE, new AbortController().signal),
    { value: VALUE },
    "it is kept for a moment",
  );
  assertEquals(agents.questions, []);

  const last = new AbortController();
  const other = { ...PLACE, key: "app|resources-tree|edge-1_other|1.8.3" };
  const left = assertRejects(() => caches.get(other, last.signal));
  const ended = await agents.one("get");
  last.abort(new Error("the client has left"));
  await left;
  assertEquals(ended.signal?.aborted, true);
  const next = caches.get(other, new AbortController().signal);
  (await agents.one("get")).answer({ get: { bytes: null, cacheHit: false, error: "" } });
  assertEquals(await next, "miss");
  caches.close();
});

Deno.test("get(): an answer from before a notice is for those who waited only", async () => {
  const { agents, caches } = scene();
  const signal = new AbortController().signal;
  caches.watch(WATCHED, () => {});
  const subscription = await agents.one("subscribe");
  subscription.answer({ subscribeResponse: { error: "" } });
  const early = caches.get(PLACE, signal);
  const first = await agents.one("get");
  agents.notify("edge-1", subscription.connectionUuid);
  const late = caches.get(PLACE, signal);
  const second = await agents.one("get");
  first.answer(value(Uint8Array.of(1)));
  assertEquals(await early, { value: Uint8Array.of(1) });
  second.answer(value(Uint8Array.of(2)));
  assertEquals(await late, { value: Uint8Array.of(2) });
  assertEquals(await caches.get(PLACE, signal), { value: Uint8Array.of(2) });
  agents.notify("edge-1", subscription.connectionUuid);
  const after = caches.get(PLACE, signal);
  (await agents.one("get")).answer(value(Uint8Array.of(3)));
  assertEquals(await after, { value: Uint8Array.of(3) });
  caches.close();
});

Deno.test("get(): the reason why there is no answer, counted by agent", async () => {
  const { agents, caches, counters } = scene();
  const signal = new AbortController().signal;
  const reasons: [Error, string][] = [
    [
      new RequestFailed("not connected", 'agent "edge-1" is not connected', false),
      'agent "edge-1" is not connected',
    ],
    [
      new RequestFailed("not active", "this principal follows no ACTIVE", false),
      "no agent can be asked: this principal follows no ACTIVE; see: argocd-agent-ha ha explain",
    ],
    [new Error("broken"), "broken"],
  ];
  for (const [error, problem] of reasons) {
    const asked = caches.get(PLACE, signal);
    (await agents.one("get")).fail(error);
    assertEquals(await asked, { problem });
  }
  const strange = caches.get(PLACE, signal);
  (await agents.one("get")).answer({ pong: {} });
  assertEquals(await strange, { problem: 'agent "edge-1" has answered something else than a value' });
  assertEquals(await caches.get({ ...PLACE, problem: "no" }, signal), { problem: "no" });
  const labels = { agent_name: "edge-1", command: "get" };
  assertEquals(counters.rows("redisProxyRequests"), [[labels, 5]]);
  assertEquals(counters.rows("redisProxyErrors"), [[labels, 5]]);
});

Deno.test("watch(): one subscription for all, retried, made afresh on every stream, told after each", async () => {
  const { agents, caches, counters } = scene();
  let heard = 0;
  const stops = [1, 2].map(() => caches.watch(WATCHED, () => heard++));
  (await agents.one("subscribe")).answer({ subscribeResponse: { error: "down" } });
  const retried = await agents.one("subscribe");
  assertEquals(counters.rows("redisProxyErrors"), [[{ agent_name: "edge-1", command: "subscribe" }, 1]]);
  const told = async (count: number) => {
    for (let turns = 0; heard < count && turns < 10_000; turns++) {
      await new Promise((one) => setTimeout(one, 1));
    }
    assertEquals(heard, count);
    heard = 0;
  };
  retried.answer({ subscribeResponse: { error: "" } });
  await told(2);
  agents.notify("edge-1", retried.connectionUuid);
  await told(2);
  agents.notify("edge-2", retried.connectionUuid);
  agents.notify("edge-1", retried.connectionUuid, "another");
  agents.notify("edge-1", "unknown");
  await told(0);

  agents.stream("edge-1", false);
  agents.notify("edge-1", retried.connectionUuid);
  await told(0);
  agents.stream("edge-1", true);
  const fresh = await agents.one("subscribe");
  assert(fresh.connectionUuid !== retried.connectionUuid);
  fresh.answer({ subscribeResponse: { error: "" } });
  await told(2);
  for (const stop of stops) stop();
  agents.notify("edge-1", fresh.connectionUuid);
  await told(0);
  const back = caches.watch(WATCHED, () => heard++);
  agents.notify("edge-1", fresh.connectionUuid);
  await told(1);
  back();
  caches.close();
  agents.stream("edge-1", true);
  assertEquals(agents.questions, [], "nothing is watched any more");
});

Deno.test("watch(): a subscription is kept alive while it is watched, and forgotten when it is not", async () => {
  const { agents, caches } = scene({ pingMs: 2 });
  const stop = caches.watch(WATCHED, () => {});
  const subscription = await agents.one("subscribe");
  subscription.answer({ subscribeResponse: { error: "" } });
  for (const ping of await agents.take("ping", 1)) {
    assertEquals(ping.connectionUuid, subscription.connectionUuid);
  }
  stop();
  // Whoever comes before it is forgotten finds it still there.
  let anew: Question | undefined;
  for (let turns = 0; !anew && turns < 10_000; turns++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    caches.watch(WATCHED, () => {})();
    anew = agents.questions.find(({ body }) => "subscribe" in body);
  }
  assert(anew, "the subscription is never forgotten");
  assert(anew.connectionUuid !== subscription.connectionUuid);
  caches.close();
});
