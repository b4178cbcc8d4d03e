/** Every lock on a store keeps the same promises: real files, a real API server, and processes that are killed and stopped. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { until } from "../support/until.ts";
import { Cluster, ON_CLUSTER } from "../kube/cluster.ts";

const HOLDER = new URL("../support/lock_holder.ts", import.meta.url).href;
const LEASE_MS = 5_000;
/** A machine that is busy with other tests is this slow at most. */
const BOUND_MS = 20_000;

/** A process of tests/support/lock_holder.ts. */
class Contender {
  readonly lines: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<void>;

  constructor(args: string[]) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-check", "-A", HOLDER, ...args],
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reading = this.#read();
  }

  get pid(): number {
    return this.#child.pid;
  }

  get writes(): number[] {
    return this.lines.filter((line) => line.startsWith("writes ")).map((line) => Number(line.slice(7)));
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  async kill(signal: Deno.Signal = "SIGKILL"): Promise<void> {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended already.
    }
    await this.#child.status;
    await this.#reading;
  }

  says(pattern: RegExp, timeoutMs = 15_000): Promise<void> {
    return until(
      () => this.lines.some((line) => pattern.test(line)),
      timeoutMs,
      () => `${this.pid} has not said ${pattern}: ${this.lines.slice(-5).join("; ")}`,
    );
  }

  async #read(): Promise<void> {
    let rest = "";
    for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      this.lines.push(...lines);
    }
  }
}

async function contend(args: string[], run: (start: () => Contender) => Promise<void>): Promise<void> {
  const all: Contender[] = [];
  try {
    await run(() => {
      const one = new Contender(args);
      all.push(one);
      return one;
    });
  } finally {
    for (const one of all) await one.kill();
  }
}

/** The promises that both keep; `withinMs` is how soon a lock is taken whose holder was killed. */
function promises(name: string, options: object, withinMs: number, prepare: () => Promise<string[]>): void {
  Deno.test({
    ...options,
    name:
      `${name}: one process of two acts, the other says for whom it waits, and acts when the first has ended`,
    fn: async () =>
      await contend(await prepare(), async (start) => {
        const first = start();
        await first.says(/^acts$/);
        const second = start();
        await second.says(new RegExp(`^waits ${first.pid} ${RegExp.escape(Deno.hostname())} $`));
        assert(!second.lines.includes("acts"));
        await first.kill("SIGTERM");
        assertEquals(first.lines.at(-1), "ends SIGTERM");
        await second.says(/^acts$/, BOUND_MS);
        assert((first.writes.at(-1) ?? 0) <= (second.writes[0] ?? Infinity));
      }),
  });

  Deno.test({
    ...options,
    name: `${name}: the lock of a process that is killed (-9) is another's, within a bound`,
    fn: async () =>
      await contend(await prepare(), async (start) => {
        const first = start();
        await first.says(/^acts$/);
        const second = start();
        await second.says(/^waits/);
        await first.kill();
        await second.says(/^writes/, withinMs);
      }),
  });
}

const folder = () => Promise.resolve(["sqlite", `${Deno.makeTempDirSync({ prefix: "aaha-lock-" })}/p.db`]);
promises("file lock", {}, BOUND_MS, folder);

Deno.test("file lock: a process that is stopped keeps it, since it can still write", async () =>
  await contend(await folder(), async (start) => {
    const first = start();
    await first.says(/^acts$/);
    first.signal("SIGSTOP");
    const second = start();
    await second.says(/^waits/);
    first.signal("SIGCONT");
    const before = first.writes.length;
    await until(() => first.writes.length > before, BOUND_MS, () => "the first does not go on");
    assert(!second.lines.includes("acts"));
  }));

let shared: Promise<Cluster> | undefined;
const cluster = () => shared ??= Cluster.start([]);
let count = 0;

Deno.test.afterAll(async () => {
  await (await shared)?.stop();
});

async function lease(): Promise<string[]> {
  const at = await cluster();
  const namespace = await at.namespace(`lock-${++count}`);
  return ["kubernetes", await at.kubeconfigFile(), namespace, String(LEASE_MS)];
}

promises("Lease", ON_CLUSTER, LEASE_MS + BOUND_MS, lease);

Deno.test({
  ...ON_CLUSTER,
  name: "Lease: a process that was stopped for longer than it lasts neither acts nor writes after it wakes",
  fn: async () =>
    await contend(await lease(), async (start) => {
      const first = start();
      await first.says(/^acts$/);
      const second = start();
      await second.says(/^waits/);
      first.signal("SIGSTOP");
      const stoppedAt = Date.now();
      await second.says(/^acts$/, LEASE_MS + BOUND_MS);
      first.signal("SIGCONT");
      await first.says(/^ends the lock on the store could not be renewed in time/);
      await first.says(new RegExp(`^waits ${second.pid} `));
      assertEquals(first.writes.filter((at) => at > stoppedAt + 100), [], "it wrote after it woke");
      assertEquals(first.lines.filter((line) => line === "acts").length, 1);
    }),
});

Deno.test({
  ...ON_CLUSTER,
  name:
    "Lease: it names its holder as kubectl shows it, is empty once released, and outlives a person who deletes it",
  fn: async () => {
    const args = await lease();
    const path = `/apis/coordination.k8s.io/v1/namespaces/${args[2]}/leases/argocd-agent-ha-lock`;
    const spec = async () =>
      (await (await cluster()).request("GET", path)).body["spec"] as Record<string, unknown>;
    await contend(args, async (start) => {
      const first = start();
      await first.says(/^acts$/);
      assertMatch(String((await spec())["holderIdentity"]), new RegExp(`^${Deno.hostname()}_${first.pid}_`));
      assertEquals((await spec())["leaseDurationSeconds"], LEASE_MS / 1_000);
      const second = start();
      await second.says(/^waits/);
      await (await cluster()).request("DELETE", path);
      await until(async () => await spec() !== undefined, 20_000, () => "the Lease is not there again");
      assert(!second.lines.includes("acts"), "both act");
      await second.kill("SIGTERM");
      await first.kill("SIGTERM");
      assertEquals((await spec())["holderIdentity"], "");
    });
  },
});
