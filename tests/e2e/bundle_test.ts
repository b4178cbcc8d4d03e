/** The executable's content: one file, from an empty folder, with an empty cache and no way out but loopback. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { bundle } from "../../scripts/bundle.ts";

Deno.test({
  name: "the bundled single file runs the demonstration from an empty folder, without cache and network",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const dir = Deno.makeTempDirSync({ prefix: "aaha-bundle-" });
    try {
      for (const folder of ["cache", "empty"]) Deno.mkdirSync(`${dir}/${folder}`);
      await bundle(`${dir}/empty/argocd-agent-ha.js`);
      const run = async (...args: string[]) => {
        const offline = ["--no-remote", "--no-npm", "--cached-only", "--no-config", "--quiet"];
        const permissions = [
          "--allow-net=127.0.0.1,localhost",
          "--allow-read",
          "--allow-write",
          "--allow-env",
          "--allow-sys=hostname,osUptime",
          `--allow-run=${Deno.execPath()}`,
        ];
        const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
          args: ["run", ...offline, ...permissions, "argocd-agent-ha.js", ...args],
          cwd: `${dir}/empty`,
          env: { DENO_DIR: `${dir}/cache`, NO_COLOR: "1" },
          stdin: "null",
        }).output();
        const decoder = new TextDecoder();
        return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
      };
      assertStringIncludes((await run("version")).stdout, "argocd-agent-ha ");
      const demo = await run("demo", "--json");
      assertEquals(demo.code, 0, demo.stderr);
      const { lostAcknowledged, activeAtEnd, replicated, agents, agentsRecreated } = JSON.parse(demo.stdout);
      assertEquals([lostAcknowledged, activeAtEnd, replicated, agents, agentsRecreated], [0, 1, 10, 20, 0]);
      assertEquals([...Deno.readDirSync(`${dir}/empty`)].map((entry) => entry.name), ["argocd-agent-ha.js"]);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
});
