/**
 * `deno task bundle`: everything in one JavaScript file, dist/argocd-agent-ha.js, which runs wherever Deno does:
 * no cache, no network, no other file.
 */
const root = new URL("../", import.meta.url).pathname;

/** Bundles main.ts into `out`. @throws Error with Deno's message */
export async function bundle(out: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform=deno", "--output", out, "main.ts"],
    cwd: root,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`deno bundle failed: ${new TextDecoder().decode(stderr)}`);
}

if (import.meta.main) {
  const out = `${root}dist/argocd-agent-ha.js`;
  Deno.mkdirSync(`${root}dist`, { recursive: true });
  await bundle(out);
  console.log(`wrote ${out}, ${(Deno.statSync(out).size / 1e6).toFixed(1)} MB`);
}
