/** The simulator in a process of its own, whose clock is not this one's. */

/** The project's root. */
export const ROOT = new URL("../../", import.meta.url).pathname;

/** Runs `scripts/sim.ts` of the tree in `folder`. */
export async function simulate(
  args: readonly string[],
  folder = ROOT,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const permissions = ["--allow-read", "--allow-env", "--allow-sys=hostname"];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "--no-check", ...permissions, "scripts/sim.ts", ...args],
    cwd: folder,
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
