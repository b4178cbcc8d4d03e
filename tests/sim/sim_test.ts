/**
 * The simulator, as a part of the tests: many seeds, one seed twice, either side killed at every await, and every planted mistake found.
 */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { MUTANTS } from "./mutants.ts";
import { hunt } from "./plant.ts";
import { simulate } from "./run.ts";

const SEEDS = 1_000;
const STEPS = 2_000;
/** A mistake that so many stories do not show is not found. */
const HUNT_SEEDS = 1_000;
const WORKERS = 2;
const LOOSE = { sanitizeOps: false, sanitizeResources: false } as const;
/** Everything that is checked; each must have had something to look at. */
const INVARIANTS = "I1 I2 I3 I4 I5 I6 I7 I8 I9 I10 I11 I12 I13 I14 I15 I18 agents exposure manifest".split(
  " ",
);

async function linesOf(...args: string[]): Promise<{ code: number; lines: string[] }> {
  const { code, stdout, stderr } = await simulate(args);
  return { code, lines: (stdout + stderr).trimEnd().split("\n") };
}

Deno.test({
  name: `the simulator: ${SEEDS} seeds of ${STEPS} events keep every invariant, and come to rest`,
  ...LOOSE,
  fn: async () => {
    const { code, lines } = await linesOf(`--seeds=${SEEDS}`, `--steps=${STEPS}`);
    assertEquals(code, 0, lines.slice(-70).join("\n"));
    const summary = lines.at(-1) ?? "";
    assertStringIncludes(summary, `${SEEDS} seeds`);
    for (const name of INVARIANTS) {
      const times = Number(new RegExp(`\\b${name} ([\\d,]+)`).exec(summary)?.[1]?.replaceAll(",", ""));
      assert(times > 100, `${name} was looked at ${times} times: ${summary}`);
    }
  },
});

Deno.test({
  name: "the simulator: one seed is byte for byte one story, in any process",
  ...LOOSE,
  fn: async () => {
    const [one, two, other] = await Promise.all(
      ["4711", "4711", "4712"].map((seed) => linesOf(`--seed=${seed}`, "--steps=3000", "--trace")),
    );
    assertEquals(one?.lines, two?.lines);
    assert((one?.lines.length ?? 0) > 30 && one?.lines.at(-1) !== other?.lines.at(-1));
  },
});

Deno.test({
  name:
    "the simulator: either side killed at every await of promote, demote, switchover, snapshot, apply and acknowledge",
  ...LOOSE,
  fn: async () => {
    const { code, lines } = await linesOf("--failpoints");
    assertEquals(code, 0, lines.slice(-70).join("\n"));
    const points = lines.map((line) => Number(/killed at (\d+) points: ok/.exec(line)?.[1] ?? 0));
    assertEquals(points.filter((n) => n >= 10).length, 12, lines.join("\n"));
  },
});

Deno.test({
  name: `the simulator finds each of ${MUTANTS.length} mistakes, planted one at a time`,
  ...LOOSE,
  fn: async () => {
    const queue = [...MUTANTS];
    const report: string[] = [];
    const missed: string[] = [];
    const work = async () => {
      for (let mutant = queue.shift(); mutant; mutant = queue.shift()) {
        const { invariant, seeds, problem } = await hunt(mutant, { seeds: HUNT_SEEDS, steps: STEPS });
        report.push(
          `${(invariant || "MISSED").padEnd(9)} after ${String(seeds).padStart(3)} seeds: ${mutant.name}`,
        );
        if (invariant === "") missed.push(`${mutant.name} ${problem}`);
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
    console.log(report.sort().join("\n"));
    assertEquals(missed, []);
  },
});
