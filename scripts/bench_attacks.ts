/**
 * Other agents while somebody attacks: the round trip of a change, before and during each attack. `deno task bench` prints it, and this
 * script alone the same table, of all attacks or of those that are named.
 */
import type { AgentBench, Attack } from "./bench_agents.ts";
import { roundTrip } from "./bench_agents.ts";

const PASSWORD = "right";
const ATTACKS: [kind: string, title: string, password?: string][] = [
  ["silent", "400 silent connections at a time"],
  ["unfinished", "8 unfinished messages of 120 MB at a time"],
  ["packed", "8 messages at a time that unpack to 40 MB"],
  ["packedEvents", "4 events at a time that unpack to 4 MB"],
  ["streams", "9,900 streams a second on one connection"],
  ["waits", "20 waits for 20,000 versions each"],
  ["passwords", "100 wrong passwords at a time, for one name and for names that do not exist", PASSWORD],
  ["logs", "32 logs that their agent brings in single bytes without end, as fast as they are read"],
  ["deafReaders", "32 readers of endless logs who read nothing, for 2 s at a time"],
  ["deafPages", "20 pages that ask for 50 resource trees of 4 MB each and read none, for 2 s at a time"],
  ["bodies", "50 bodies of 3 MB at a time for an agent that does not answer"],
  ["patterns", "50 AppProjects a second whose patterns backtrack for ever elsewhere"],
];

/** The bound: the 99th percentile during an attack, against that without. */
const MORE_MS = 20;
const MORE_SHARE = 0.1;

const attackBy = (kind: string): Attack => async (bench: AgentBench) => {
  const { grpc, admin, resourceProxy, redisProxy } = bench.primary.side.ports;
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--quiet",
      "--allow-net=127.0.0.1",
      "--allow-read",
      "--allow-write",
      "--allow-env",
      new URL("attack.ts", import.meta.url).pathname,
      kind,
      `${bench.dir}/pki`,
      ...[grpc, admin, resourceProxy, redisProxy].map(String),
      bench.primary.store,
    ],
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  if ((await reader.read()).done) throw new Error(`the attack "${kind}" did not begin`);
  return async () => {
    child.kill("SIGKILL");
    await reader.cancel();
    await child.status;
  };
};

type Section = (title: string, header: string[], rows: string[][]) => void;

export async function benchAttacks(
  section: Section,
  kinds: readonly string[] = [],
  seconds = 10,
): Promise<void> {
  const usual = { agents: 20, rate: 5, seconds };
  const shown = (ms = NaN) => `${ms.toLocaleString("en-US", { maximumFractionDigits: 1 })} ms`;
  const rows: string[][] = [];
  for (const [kind, title, password] of ATTACKS) {
    if (kinds.length > 0 && !kinds.includes(kind)) continue;
    const steady = { ...usual, ...(password === undefined ? {} : { password }) };
    // Right before, so that whatever else the machine does is in both.
    const calm = await roundTrip(steady);
    const during = await roundTrip({ ...steady, attack: attackBy(kind) });
    const [without = NaN, p99 = NaN] = [calm["p99"], during["p99"]];
    const within = p99 <= Math.max(without * (1 + MORE_SHARE), without + MORE_MS) && during["dropped"] === 0;
    rows.push([
      title,
      shown(calm["p50"]),
      shown(without),
      shown(during["p50"]),
      shown(p99),
      within ? "yes" : "no",
    ]);
  }
  section(
    "Other agents while somebody attacks: from a change in the principal's store to the agent",
    ["attack", "p50 before", "p99 before", "p50", "p99", `within ${MORE_SHARE * 100} % or ${MORE_MS} ms`],
    rows,
  );
}

if (import.meta.main) {
  await benchAttacks((title, header, rows) => {
    console.log([title, ...[header, ...rows].map((row) => `| ${row.join(" | ")} |`)].join("\n"));
  }, Deno.args);
}
