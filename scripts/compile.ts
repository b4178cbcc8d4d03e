/**
 * `deno task compile`: one executable, dist/argocd-agent-ha. Deno puts it on a runtime base (denort), which it downloads,
 * or takes from DENORT_BIN. PLUGINS names the credential plugins that it may start, if not the usual ones. Where neither is available, the script says so and writes nothing.
 */
import { PERMISSIONS, runPermission } from "../src/cli/permissions.ts";
import { LEAN } from "../src/cli/processes.ts";

const root = new URL("../", import.meta.url).pathname;
const out = `${root}dist/argocd-agent-ha`;

const permissions = [...PERMISSIONS, runPermission(Deno.env.get("PLUGINS") ?? "")];
Deno.mkdirSync(`${root}dist`, { recursive: true });
const { success, stderr } = await new Deno.Command(Deno.execPath(), {
  args: ["compile", "--quiet", LEAN, ...permissions, "--output", out, "main.ts"],
  cwd: root,
  stdin: "null",
  stdout: "null",
  stderr: "piped",
}).output();

if (success) console.log(`wrote ${out}, ${(Deno.statSync(out).size / 1e6).toFixed(0)} MB`);
else {
  const lines = new TextDecoder().decode(stderr).split("\n").map((line) => line.trim());
  const reason = lines.find((line) =>
    /lookup|resolve|refused|denied|timed out|No such file/i.test(line)
  )?.slice(0, 200) ??
    "no reason given";
  console.error(
    `cannot compile: Deno's runtime base (denort ${Deno.version.deno}) is not available (${reason}). ` +
      "Set DENORT_BIN to its path, or use `deno task bundle`: one JavaScript file with the same content.",
  );
  Deno.exit(1);
}
