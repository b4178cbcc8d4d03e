/**
 * Two processes on one store: one acts, the other answers 503, says for whom it waits, and takes over when that one has ended. Never do
 * both answer 200, and a process that was stopped acts no more when it wakes.
 */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { initPki } from "../../src/cli/pki.ts";
import { freePorts, freeSidePorts, PrincipalProcess, type Side } from "../../src/cli/processes.ts";
import { until } from "../support/until.ts";
import { Cluster, ON_CLUSTER } from "../kube/cluster.ts";
import { definitionSets } from "../kube/crds.ts";
import { Proxy } from "../support/principals.ts";
import { runCli } from "../support/processes.ts";
import { Sampler } from "../support/sampler.ts";

/** The least that is allowed: the tests wait for it. */
const LEASE_MS = 5_000;
/** A side without a peer waits for nobody else. */
const ALONE = ["--ha-peer-address="];

/** Two processes of one side, in one folder and on one store. */
async function two(
  run: (first: PrincipalProcess, second: PrincipalProcess) => Promise<void>,
  stores: { first?: string[]; second?: string[] } = {},
): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "aaha-two-" });
  await initPki(`${dir}/pki`, { sans: [], agents: 1, days: 1 });
  const process = (store: string[] | undefined): PrincipalProcess => {
    const [peerPort = 0] = freePorts(1);
    const side: Side = { name: "primary", dir, ports: freeSidePorts(), peerPort };
    return new PrincipalProcess(store ? { ...side, store } : side);
  };
  const [first, second] = [process(stores.first), process(stores.second)];
  try {
    await run(first, second);
  } finally {
    await Promise.all([first, second].map((one) => one.kill("SIGKILL")));
    Deno.removeSync(dir, { recursive: true });
  }
}

async function ha(at: PrincipalProcess, ...args: string[]): Promise<string> {
  const { stdout, stderr } = await runCli(["ha", ...args, "-a", at.admin]);
  return stdout + stderr;
}

/** A process that waits does nothing else, and says for whom. */
async function waits(one: PrincipalProcess, holder: PrincipalProcess): Promise<void> {
  await until(
    async () => (await one.healthz("/readyz")).body.includes(`process ${holder.pid} on`),
    20_000,
    () => `it does not say for whom it waits\n${one.logEnd()}`,
  );
  assertEquals(await one.healthz(), {
    code: 503,
    state: "recovering",
    body: "HA state: recovering - not accepting traffic\n",
  });
  const who = `process ${holder.pid} on "${Deno.hostname()}" acts for this side`;
  assertStringIncludes(await ha(one, "status"), who);
  const explained = await ha(one, "explain");
  assertStringIncludes(explained, who);
  assertStringIncludes(explained, "acts for this side: ask that one; if it hangs, end it");
  const refused = await ha(one, "promote", "--yes", "--force");
  assertMatch(refused, /cannot promote: process \d+ on "[^"]+" acts for this side; run ha promote there/);
  assertStringIncludes(await ha(one, "preflight"), who);
}

Deno.test({
  name:
    "two processes on one SQLite file: the second waits, `store` commands write beside both, kill -9 of the first hands over",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: () =>
    two(async (first, second) => {
      first.start(ALONE);
      await first.untilState("active");
      second.start(ALONE);
      await waits(second, first);
      const project = `${first.side.dir}/project.yaml`;
      Deno.writeTextFileSync(
        project,
        "apiVersion: argoproj.io/v1alpha1\nkind: AppProject\nmetadata: {name: default, namespace: argocd}\nspec: {}\n",
      );
      const applied = await runCli(["store", "apply", "-f", project, `--store=sqlite:${first.store}`]);
      assertEquals(applied.code, 0, applied.stderr);
      const sampler = new Sampler([first, second]);
      await first.kill("SIGKILL");
      await second.untilState("active", 20_000);
      await sampler.stop();
      assertEquals(sampler.two, 0);
      assertEquals(await second.metric("argocd_agent_ha_resources"), 1, "it does not have what was applied");
      first.start(ALONE);
      await waits(first, second);
      assertEquals(await second.kill("SIGTERM"), 0);
      await first.untilState("active", 20_000);
    }),
});

const flags = async (cluster: Cluster, port?: number) => [
  `--kubeconfig=${await cluster.kubeconfigFile("admin", port)}`,
  `--ha-lease-duration=${LEASE_MS}ms`,
  "--insecure-jwt-generate",
];

Deno.test({
  ...ON_CLUSTER,
  name:
    "two processes on one cluster: killed, stopped or cut off, the first answers 503 before the second answers 200, and stays so when it wakes",
  fn: async () => {
    const cluster = await Cluster.start(definitionSets()[0]![1], { audit: true });
    await cluster.namespace("argocd");
    const link = new Proxy(Number(new URL(cluster.server).port));
    try {
      await two(async (first, second) => {
        first.start(ALONE);
        await first.untilState("active");
        second.start(ALONE);
        await waits(second, first);
        const sampler = new Sampler([first, second]);

        link.mode = "swallow";
        await second.untilState("active", 2 * LEASE_MS + 20_000);
        link.mode = "pass";
        link.cut();
        await waits(first, second);

        await second.kill("SIGKILL");
        await first.untilState("active", 2 * LEASE_MS + 20_000);
        second.start(ALONE);
        await waits(second, first);
        await sampler.stop();
        assertEquals([sampler.two, sampler.crossed], [0, 0]);

        first.signal("SIGSTOP");
        await second.untilState("active", 2 * LEASE_MS + 20_000);
        first.signal("SIGCONT");
        let served = 0;
        const watched = Date.now() + 2_000;
        while (Date.now() < watched) if ((await first.healthz()).code === 200) served++;
        assertEquals(served, 0, "it served when it woke");
        await waits(first, second);
        assertEquals(await second.kill("SIGTERM"), 0);
        await first.untilState("active", 20_000);
      }, { first: await flags(cluster, link.port), second: await flags(cluster) });
    } finally {
      link.close();
      await cluster.stop();
    }
  },
});

Deno.test({
  ...ON_CLUSTER,
  name: "a principal without the right to the Lease does not act, and says which right it lacks",
  fn: async () => {
    const cluster = await Cluster.start(definitionSets()[0]![1]);
    await cluster.namespace("argocd");
    const kubeconfig = await cluster.kubeconfigFile({ name: "stranger", groups: "nobody" });
    try {
      await two(async (first) => {
        first.start(ALONE);
        await until(
          async () => (await first.healthz("/readyz")).body.includes('cannot get resource "leases"'),
          20_000,
          () => first.logEnd(),
        );
        assertEquals((await first.healthz()).code, 503);
        assert((await ha(first, "explain")).includes("make the lock on this side's store available"));
      }, { first: [`--kubeconfig=${kubeconfig}`, "--insecure-jwt-generate"] });
    } finally {
      await cluster.stop();
    }
  },
});
