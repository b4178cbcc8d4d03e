/**
 * The simulator: `deno task sim [--seeds N] [--first N] [--steps N] [--about KIND,…]`, one story with `--seed S --trace`,
 * or `--failpoints`: either side killed at every await of every operation. A seed that fails is
 * shrunk and told. The clock of this process is simulated; only what is measured about the simulator itself is real.
 */
import { parseArgs } from "@std/cli/parse-args";
import { type Outcome, play } from "../tests/sim/story.ts";
import { shrink } from "../tests/sim/shrink.ts";
import { everyPoint, OPERATIONS } from "../tests/sim/failpoints.ts";
import { REAL } from "../tests/sim/clock.ts";

const TRACE_LINES = 60;

const options = parseArgs(Deno.args, {
  string: ["seeds", "first", "steps", "seed", "about"],
  boolean: ["trace", "json", "no-shrink", "failpoints"],
  default: { seeds: "100", first: "1", steps: "2000", seed: "", about: "" },
});
const steps = Number(options["steps"]);
const about = String(options["about"]).split(",").filter(Boolean);
const one = String(options["seed"]);
if (one !== "") {
  const outcome = await play({ seed: Number(one), steps, about });
  if (options["trace"]) console.log(outcome.trace.join("\n"));
  console.log(summary(outcome));
  Deno.exit(outcome.violation ? 1 : 0);
}

if (options["failpoints"]) await killEverywhere();

const first = Number(options["first"]);
const startedAt = REAL.now();
const looked: Record<string, number> = {};
let events = 0;
let simulatedMs = 0;
let failed: Outcome | undefined;
let seeds = 0;
for (let seed = first; seed < first + Number(options["seeds"]) && !failed; seed++) {
  const outcome = await play({ seed, steps, about });
  seeds++;
  events += outcome.steps;
  simulatedMs += outcome.simulatedMs;
  for (const [name, times] of Object.entries(outcome.looked)) looked[name] = (looked[name] ?? 0) + times;
  if (outcome.violation) failed = outcome;
}
const seconds = (REAL.now() - startedAt) / 1_000;
const invariant = failed?.violation?.invariant ?? "";
if (options["json"]) {
  console.log(
    JSON.stringify({ seeds, events, simulatedMs, seconds, looked, invariant, seed: failed?.seed ?? 0 }),
  );
} else {
  if (failed) await tell(failed);
  console.log(
    `${seeds} seeds, ${events.toLocaleString("en-US")} events, ${
      (simulatedMs / 3_600_000).toFixed(1)
    } simulated hours in ${seconds.toFixed(1)} s; looked at ${
      Object.entries(looked).sort().map(([name, n]) => `${name} ${n.toLocaleString("en-US")}`).join(", ")
    }`,
  );
}
Deno.exit(failed ? 1 : 0);

/** Kills either side at every point of every operation. */
async function killEverywhere(): Promise<never> {
  let broken = false;
  for (const operation of Object.keys(OPERATIONS)) {
    for (const victim of ["a", "b"] as const) {
      const { points, failed } = await everyPoint(operation, victim);
      console.log(
        `${operation}: ${victim} killed at ${points} points: ${failed?.violation?.message ?? "ok"}`,
      );
      if (!failed) continue;
      broken = true;
      console.log(failed.trace.slice(-TRACE_LINES).join("\n"));
    }
  }
  Deno.exit(broken ? 1 : 0);
}

async function tell(outcome: Outcome): Promise<void> {
  console.log(summary(outcome));
  if (options["no-shrink"]) return;
  const small = await shrink(outcome, { steps });
  console.log(`shrunk to ${small.actions.length} of ${outcome.actions.length} actions; how it went:`);
  console.log(small.trace.slice(-TRACE_LINES).join("\n"));
  console.log(`again, whole: deno task sim --seed ${outcome.seed} --steps ${steps} --trace`);
}

function summary({ seed, steps, simulatedMs, fingerprint, violation }: Outcome): string {
  return `seed ${seed}: ${steps} events, ${(simulatedMs / 1_000).toFixed(1)} simulated s, fingerprint ${
    fingerprint.toString(16)
  }: ${violation ? `VIOLATION ${violation.message}` : "ok"}`;
}
