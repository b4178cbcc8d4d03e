/** Plants a mutant into a copy of the source and lets the simulator look for it. */
import type { Mutant } from "./mutant.ts";
import { ROOT, simulate } from "./run.ts";

/** The parts of the tree that the simulator needs. */
const PARTS = [
  "src",
  "proto",
  "types",
  "examples",
  "tests/sim",
  "tests/support",
  "scripts",
  "deno.json",
  "deno.lock",
];

/** The outcome of a mutant. */
export interface Hunt {
  /** The invariant that it broke; empty: it was not found. */
  invariant: string;
  /** How many seeds were played. */
  seeds: number;
  /** The simulator's output when it gave no answer. */
  problem: string;
}

/** Runs the simulator over a copy with the mutant in it, until a seed fails or so many have been played. */
export async function hunt(
  mutant: Mutant,
  options: { seeds: number; steps: number },
): Promise<Hunt> {
  const dir = Deno.makeTempDirSync({ prefix: "aaha-mutant-" });
  try {
    for (const part of PARTS) copy(`${ROOT}${part}`, `${dir}/${part}`);
    for (const edit of mutant.edits) apply(`${dir}/${edit.file}`, edit);
    const { stdout, stderr } = await simulate([
      `--about=${(mutant.about ?? []).join(",")}`,
      `--seeds=${options.seeds}`,
      `--steps=${mutant.steps ?? options.steps}`,
      "--json",
    ], dir);
    const last = stdout.trim().split("\n").at(-1) ?? "";
    try {
      const { invariant, seeds } = JSON.parse(last) as { invariant: string; seeds: number };
      return { invariant, seeds, problem: "" };
    } catch {
      return { invariant: "", seeds: 0, problem: stderr.slice(0, 2_000) };
    }
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** @throws Error when the place is not there exactly once: the source has changed, and so must the mutant */
function apply(path: string, { file, from, to }: Mutant["edits"][number]): void {
  const text = Deno.readTextFileSync(path);
  const found = text.split(from).length - 1;
  if (found !== 1) throw new Error(`${file} has this ${found} times, not once:\n${from}`);
  Deno.writeTextFileSync(path, text.replace(from, () => to));
}

function copy(from: string, to: string): void {
  if (Deno.statSync(from).isFile) {
    Deno.mkdirSync(to.replace(/\/[^/]*$/, ""), { recursive: true });
    return Deno.copyFileSync(from, to);
  }
  for (const { name } of Deno.readDirSync(from)) copy(`${from}/${name}`, `${to}/${name}`);
}
