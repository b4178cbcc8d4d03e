/** The planned move between real processes, again and again under load, with agents behind one address. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { until } from "../support/until.ts";
import { openSqlite } from "../../src/adapters/store/sqlite.ts";
import type { Store } from "../../src/principal/ports/store.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { Crowd } from "../../src/simagents/crowd.ts";
import { Front } from "../../src/simagents/front.ts";
import { ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { application } from "../support/agents.ts";
import { KubePair, type SideName } from "../support/kube_pair.ts";
import { Pair, runCli, type Sides } from "../support/processes.ts";
import { Sampler } from "../support/sampler.ts";
import { type Timing, UserLoad } from "../support/user_load.ts";

interface Receipt {
  lost_acknowledged: number;
  digest_active: string;
  digest_replica: string;
  epoch_before: number;
  epoch_after: number;
  agents_before: number;
  agents_back: number;
  phases_ms: Record<string, number>;
}

interface Course {
  sides: Sides;
  open(side: SideName): Promise<Store> | Store;
  moves: number;
  agents: number;
  autonomous: number;
  /** Users at work meanwhile. */
  users?: (managed: readonly SimAgent[]) => UserLoad;
}

/** Plays the moves, each asked for at the other side's admin port, and checks every receipt and the end. */
async function play({ sides, open, moves, agents, autonomous, users }: Course): Promise<void> {
  const backends = [sides.primary.side.ports, sides.replica.side.ports];
  const front = new Front(() => backends);
  const names = (prefix: string, count: number) =>
    Array.from({ length: count }, (_, n) => `${prefix}-${n + 1}`);
  const stores = { primary: await open("primary"), replica: await open("replica") };
  const crowd = await Crowd.make({
    pki: `${sides.dir}/pki`,
    address: () => front.address,
    managed: names("edge", agents - autonomous),
    autonomous: names("auto", autonomous),
  });
  let writing: ReturnType<typeof setInterval> | undefined;
  let sampler: Sampler | undefined;
  const load = users?.(crowd.managed);
  try {
    for (const agent of crowd.managed) {
      await stores.primary.write({ op: "put", object: application(agent.name, "app") });
    }
    crowd.start();
    await until(
      async () => await sides.primary.metric("argocd_principal_connected_agents") === agents,
      30_000,
      () => `${crowd.connected} agents are connected`,
    );
    await load?.start();
    let round = 0;
    writing = setInterval(() => {
      round++;
      for (const agent of crowd.autonomous) {
        agent.apply(
          "Application",
          application("x", `app-${round % 20}`, { spec: { project: "p", destination: {}, round } }),
        );
      }
      const reporting = crowd.managed[round % crowd.managed.length];
      reporting?.report(
        "app",
        (one) => ({ ...one, status: { health: { status: "Healthy", message: `${round}` } } }),
      );
    }, 50);
    sampler = new Sampler([sides.primary, sides.replica]);
    let before = 1;
    let timing: Timing = { totalMs: 1_000, stepMs: 500 };
    for (let move = 0; move < moves; move++) {
      const asked = move % 2 === 0 ? sides.replica : sides.primary;
      const startedAt = performance.now();
      const deleting = load?.duringMove(move, timing);
      const { code, stdout, stderr } = await runCli([
        "ha",
        "switchover",
        "--yes",
        "-o",
        "json",
        "-a",
        asked.admin,
      ]);
      const totalMs = performance.now() - startedAt;
      assertEquals(code, 0, `move ${move}: ${stderr}\n${sides.primary.logEnd()}\n${sides.replica.logEnd()}`);
      const receipt: Receipt = JSON.parse(stdout);
      assertEquals([receipt.lost_acknowledged, receipt.epoch_before, receipt.epoch_after], [
        0,
        before,
        before + 1,
      ]);
      assertEquals(receipt.digest_active, receipt.digest_replica);
      assertMatch(receipt.digest_active, /^[0-9a-f]{32}$/);
      assertEquals([receipt.agents_before, receipt.agents_back], [agents, agents], JSON.stringify(receipt));
      before = receipt.epoch_after;
      const { follow = 0, agents: back = 0 } = receipt.phases_ms;
      timing = { totalMs, stepMs: totalMs - follow - back };
      await deleting;
      await load?.check();
    }
    await sampler.stop();
    clearInterval(writing);
    const active = moves % 2 === 0 ? "primary" : "replica";
    if (load) console.log(await load.finish(active));
    let differing: string[] = [];
    await until(
      async () => {
        if (crowd.all.some((agent) => agent.outbox.pending > 0)) return false;
        differing = crowd.differing(await stores[active].list("Application"));
        return differing.length === 0;
      },
      30_000,
      () => `agents that differ in the end: ${differing}; ${crowd.all.map(({ outbox }) => outbox.pending)}`,
      100,
    );
    assertEquals(sampler.two, 0, `two ACTIVE in ${sampler.two} of ${sampler.samples} samples`);
    if (!load) assertEquals(crowd.all.reduce((sum, { cluster }) => sum + cluster.deleted, 0), 0);
    assertEquals(crowd.recreated, 0);
    const gaps = crowd.all.flatMap(({ seen }) => seen.gapsMs).sort((a, b) => a - b);
    const p99 = Math.round(gaps[Math.floor(gaps.length * 0.99)] ?? NaN);
    console.log(
      `${moves} switchovers, ${agents} agents: agents' gap p50 ${
        Math.round(gaps[gaps.length >> 1] ?? NaN)
      } ms, p99 ${p99} ms; ` +
        `${sampler.samples} samples, none ACTIVE in ${sampler.none}, crossed by a hand-over ${sampler.crossed}`,
    );
    assert(gaps.length >= moves * agents, `${gaps.length} gaps`);
  } finally {
    clearInterval(writing);
    await sampler?.stop();
    await load?.stop();
    await crowd.stop();
    await front.close();
    await Promise.all([stores.primary.close(), stores.replica.close()]);
  }
}

Deno.test({
  name: "switchover: 20 in a row between processes on the embedded store, under load",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const pair = await Pair.open();
    try {
      await pair.start();
      const open = (side: SideName) => openSqlite(pair[side].store, { verify: false });
      await play({ sides: pair, open, moves: 20, agents: 20, autonomous: 4 });
      for (const { admin } of [pair.primary, pair.replica]) {
        assertEquals((await runCli(["ha", "reconcile", "-o", "json", "-a", admin])).stdout.trim(), "[]");
      }
    } finally {
      await pair.close();
    }
  },
});

Deno.test({
  name: "switchover: 50 in a row between processes on real API servers, with 50 agents, under load",
  ...ON_CLUSTER,
  fn: async () => {
    const namespaces = [
      ...Array.from({ length: 45 }, (_, n) => `edge-${n + 1}`),
      ...Array.from({ length: 5 }, (_, n) => `auto-${n + 1}`),
    ];
    // No process ends here: a lock that a slow machine renews late is not what is looked at.
    const flags = ["--ha-lease-duration=30s"];
    const pair = await KubePair.open(definitionSets()[0]![1], { namespaces, flags });
    try {
      await pair.start();
      await play({
        sides: pair,
        open: (side) => pair.clusters[side].whole(),
        moves: 50,
        agents: 50,
        autonomous: 5,
        users: (managed) => new UserLoad(pair, managed),
      });
    } finally {
      await pair.close();
    }
  },
});
