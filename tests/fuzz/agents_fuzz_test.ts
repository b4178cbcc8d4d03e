/**
 * 20,000 seeded events of hostile agents that have proved who they are: of every type and target, with payloads that are right, nearly
 * right, and nothing at all. Nothing outside their own resources may change, and another agent must be served all the while.
 */
import { assert, assertEquals } from "@std/assert";
import type { AgentEvent } from "../../src/domain/events/cloudevent.ts";
import { type AgentConnection, connectAgent } from "../../src/adapters/grpc/agent_client.ts";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";
import type { Mode } from "../../src/domain/resources/roster.ts";
import type { Running } from "../../src/serve.ts";
import {
  application,
  certificateFor,
  project,
  repository,
  serving,
  startAgent,
  untilHolds,
} from "../support/agents.ts";
import { inWorkshop, LOOSE, until } from "../support/principals.ts";
import { type Random, seeded } from "../support/random.ts";

/** More are sent, since what is on the way when a hostile agent cuts its stream is lost. */
const SENT = 26_000;
const EVENTS = 20_000;
const TYPES = [
  "create",
  "spec-update",
  "status-update",
  "delete",
  "set-operation",
  "terminate-operation",
  "error",
  "processed",
  "ping",
  "request-update",
  "request-synced-resource-list",
  "response-synced-resource",
  "request-resource-resync",
  "cluster-cache-info-update",
  "GET",
  "",
  "../../x",
];
const TARGETS = [
  "application",
  "application",
  "appproject",
  "repository",
  "gpgkey",
  "resource",
  "redis",
  "resourceResync",
  "eventProcessed",
  "clusterCacheInfoUpdate",
  "heartbeat",
  "terminal",
  "",
  "__proto__",
];
const NAMES = [
  "mine",
  "own-1",
  "own-2",
  "shop",
  "default",
  "a/b",
  "..",
  "UPPER",
  "x".repeat(300),
  "",
  "__proto__",
];
const NAMESPACES = ["victim", "argocd", "hostile", "hostile-auto", "kube-system", "", "../x"];
const KINDS = [
  "Application",
  "AppProject",
  "Repository",
  "GPGKey",
  "ApplicationSet",
  "ClusterSecret",
  "Secret",
  "",
];

function garbage(random: Random, depth = 0): unknown {
  const pick = random.int(depth > 3 ? 5 : 8);
  if (pick === 0) return null;
  if (pick === 1) return random.int(1e9) - 5e8;
  if (pick === 2) return random.chance(0.5);
  if (pick === 3) {
    return String.fromCharCode(...Array.from({ length: random.int(20) }, () => random.int(0xffff)));
  }
  if (pick === 4) return random.pick(NAMES);
  if (pick === 5) return Array.from({ length: random.int(4) }, () => garbage(random, depth + 1));
  return Object.fromEntries(
    Array.from({ length: random.int(5) }, () => [
      random.pick([
        "metadata",
        "spec",
        "status",
        "operation",
        "name",
        "destination",
        "roles",
        "project",
        "labels",
      ]),
      garbage(random, depth + 1),
    ]),
  );
}

function payload(random: Random): unknown {
  if (random.chance(0.15)) return garbage(random);
  const value: Record<string, unknown> = {
    name: random.pick(NAMES),
    namespace: random.pick(NAMESPACES),
    kind: random.pick(KINDS),
    uid: random.chance(0.5) ? "u" : "",
    checksum: random.chance(0.5) ? null : "x",
    resourceName: random.pick(NAMES),
    message: "m".repeat(random.int(10_000)),
    metadata: {
      name: random.pick(NAMES),
      namespace: random.pick(NAMESPACES),
      uid: `u${random.int(3)}`,
      resourceVersion: String(random.int(100)),
      ...(random.chance(0.3) ? { annotations: { "argocd.argoproj.io/refresh": "hard" } } : {}),
      ...(random.chance(0.1) ? { finalizers: ["never.example.com"] } : {}),
      ...(random.chance(0.1) ? { deletionTimestamp: "2026-01-01T00:00:00Z" } : {}),
      ...(random.chance(0.1) ? { ownerReferences: garbage(random) } : {}),
    },
    spec: random.chance(0.5)
      ? { project: random.pick(NAMES), destination: { name: "victim" } }
      : garbage(random),
    status: garbage(random),
    ...(random.chance(0.2) ? { operation: garbage(random) } : {}),
  };
  if (random.chance(0.2)) value[random.pick(Object.keys(value))] = garbage(random);
  return value;
}

function event(random: Random): AgentEvent {
  const bytes = random.chance(0.05)
    ? random.bytes(random.int(200))
    : new TextEncoder().encode(JSON.stringify(payload(random)) ?? "");
  const id = random.chance(0.5) ? "same" : String(random.int(1e9));
  return {
    type: random.pick(TYPES),
    target: random.pick(TARGETS),
    extensions: random.chance(0.95) ? { eventid: id, resourceid: id } : {},
    ...(random.chance(0.95) ? { payload: bytes } : {}),
  };
}

/** Sends `count` events as fast as they are taken. */
async function attack(
  running: Running,
  material: TlsMaterial,
  { name, mode, seed, count }: { name: string; mode: Mode; seed: number; count: number },
): Promise<void> {
  const random = seeded(seed);
  let connection: AgentConnection | undefined;
  const request = { method: "mtls", credentials: {}, mode, version: "1", agentNamespace: "argocd" };
  for (let n = 0; n < count; n++) {
    connection ??= await connectAgent({ address: `127.0.0.1:${running.ports.grpc}`, material, request }, {
      received: (received) => {
        if (received.target !== "eventProcessed" && random.chance(0.3)) {
          connection?.send({ type: "processed", target: "eventProcessed", extensions: received.extensions });
        }
      },
      ended: () => connection = undefined,
    });
    if (!connection.send(event(random))) await connection.drained();
    if (random.chance(0.001)) {
      await connection?.drained();
      connection?.close();
      connection = undefined;
    }
  }
  await connection?.drained();
  const waiting = () => running.core.fleet.agent(name)?.inbox.waiting ?? 0;
  await until(() => waiting() === 0, 30_000, () => `${waiting()} events of ${name} wait`, 20);
  connection?.close();
}

Deno.test(
  "20,000 events of hostile agents change nothing that is not theirs, and others are served meanwhile",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const running = await serving(workshop);
      const { store } = running.core;
      const objects = [
        project("shop", "victim"),
        project("default", "*"),
        repository("mine", "shop"),
        application("victim", "mine"),
        application("hostile", "mine"),
        application("kube-system", "mine"),
      ];
      for (const object of objects) await store.write({ op: "put", object });
      const victim = await startAgent(workshop, running, { name: "victim" });
      await untilHolds(victim, "Application", ["mine"]);
      const theirs = (key: string) =>
        key.startsWith("Application/hostile") || key.startsWith("AppProject/argocd/hostile-auto-") ||
        key.startsWith("ConfigMap/");
      const rest = () =>
        [...running.core.index.live()].filter(({ key }) =>
          !theirs(key) && !key.startsWith("Application/victim")
        )
          .map(({ key, digest }) => `${key} ${digest}`).sort();
      const before = rest();
      const pki = `${workshop.dir}/pki`;
      const attacks = [
        attack(running, await certificateFor(pki, "hostile"), {
          name: "hostile",
          mode: "managed",
          seed: 1,
          count: SENT / 2,
        }),
        attack(running, await certificateFor(pki, "hostile-auto"), {
          name: "hostile-auto",
          mode: "autonomous",
          seed: 2,
          count: SENT / 2,
        }),
      ];
      let over = false;
      const attacked = Promise.all(attacks).finally(() => over = true);
      let n = 0;
      for (; !over || n < 5; n++) {
        await store.write({ op: "put", object: application("victim", `new-${n % 20}`, { round: n }) });
        const key = `new-${n % 20}`;
        await until(
          () => victim.cluster.get("Application", key)?.["round"] === n,
          20_000,
          () => `the other agent is not served in round ${n}`,
          2,
        );
      }
      await attacked;
      assertEquals(rest(), before);
      const hostile = running.core.counters.total("agentEventsReceived") - victim.sent;
      assert(hostile >= EVENTS, `${hostile} events of hostile agents`);
      for (const { name, pending } of running.core.fleet.agents) {
        assert(pending <= 10_100, `${pending} keys wait for ${name}`);
      }
      assertEquals(running.core.model().state, "active");
      assertEquals(victim.cluster.recreated, 0);
      assert(victim.seen.ends.length === 0, victim.seen.ends.join());
      assert(n >= 5);
    }),
);
