/** A principal that was taken over can start no program, and write nothing that it does not need. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { PERMISSIONS, runPermission, unused } from "../../src/cli/permissions.ts";
import { parseSettings } from "../../src/config/settings.ts";

const root = new URL("../../", import.meta.url);

function settings(...flags: string[]) {
  const common = ["--namespace=argocd", "--auth=mtls:^CN=([^,]+)$"];
  return parseSettings([...common, ...flags], () => undefined).settings;
}

const embedded = () =>
  settings("--store=sqlite:/tmp/a.db", "--tls-cert=c", "--tls-key=k", "--root-ca-path=r");

Deno.test("the executable may start credential plugins by name and itself, and no other program", () => {
  assertMatch(runPermission(""), /^--allow-run=argocd-agent-ha,aws,/);
  assertEquals(runPermission(" my-plugin, "), "--allow-run=argocd-agent-ha,my-plugin");
  for (const permission of [...PERMISSIONS, runPermission("")]) {
    assert(!/^(-A|--allow-all|--allow-run|--allow-ffi.*)$/.test(permission), permission);
  }
  for (const file of ["scripts/compile.ts", "deno.json", "Containerfile", "README.md"]) {
    const text = Deno.readTextFileSync(new URL(file, root));
    assert(!/--allow-run(?!=)/.test(text), `${file} may start any program`);
  }
});

Deno.test("the executable may ask the machine its name and uptime, and take profiles of itself, and nothing else", async () => {
  const kinds = [
    ...[
      "hostname",
      "osRelease",
      "osUptime",
      "loadavg",
      "networkInterfaces",
      "systemMemoryInfo",
      "uid",
      "gid",
    ],
    ...[
      "username",
      "cpus",
      "homedir",
      "getegid",
      "getPriority",
      "setPriority",
      "userInfo",
      "statfs",
      "inspector",
    ],
  ];
  const script = `
    const granted = [];
    for (const kind of ${JSON.stringify(kinds)}) {
      if ((await Deno.permissions.query({ name: "sys", kind })).state === "granted") granted.push(kind);
    }
    console.log(granted.join(","));`;
  const file = Deno.makeTempFileSync({ suffix: ".js" });
  try {
    Deno.writeTextFileSync(file, script);
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", "--no-prompt", "--no-config", ...PERMISSIONS, file],
      stdin: "null",
      stderr: "inherit",
    }).output();
    assertEquals(new TextDecoder().decode(stdout).trim(), "hostname,osUptime,inspector");
  } finally {
    Deno.removeSync(file);
  }
});

Deno.test("a principal gives up starting programs, and on Kubernetes writing files, before it listens", async () => {
  const home = Deno.makeTempDirSync();
  const script = `
    import { giveUp, unused } from "${new URL("src/cli/permissions.ts", root)}";
    const store = JSON.parse(Deno.args[0]);
    await giveUp(unused({ store }));
    const state = async (name) => (await Deno.permissions.query({ name })).state;
    const tried = (act) => { try { act(); return "done"; } catch (error) { return error.name; } };
    console.log(JSON.stringify([
      await state("run"),
      tried(() => new Deno.Command("ls").outputSync()),
      tried(() => Deno.writeTextFileSync(Deno.env.get("HOME") + "/x", "")),
      tried(() => Deno.readTextFileSync("/etc/hostname")),
    ]));`;
  const file = `${home}/script.ts`;
  Deno.writeTextFileSync(file, script);
  try {
    const run = async (store: unknown, env: Record<string, string> = {}) => {
      const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--quiet",
          "--no-prompt",
          `--config=${new URL("deno.json", root).pathname}`,
          ...PERMISSIONS,
          "--allow-run=ls",
          file,
          JSON.stringify(store),
        ],
        env: { HOME: home, KUBECONFIG: "", ...env },
        stdin: "null",
      }).output();
      const text = new TextDecoder().decode(stdout);
      assert(text !== "", new TextDecoder().decode(stderr));
      return JSON.parse(text) as string[];
    };
    const kubernetes = { type: "kubernetes", kubeconfig: "" };
    assertEquals(await run(embedded().store), ["prompt", "NotCapable", "done", "done"]);
    assertEquals(await run(kubernetes), ["prompt", "NotCapable", "NotCapable", "done"]);
    // A kubeconfig may name a plugin.
    assertEquals((await run({ ...kubernetes, kubeconfig: file }))[1], "done");
    assertEquals(unused({ store: embedded().store }).map(({ name }) => name), ["run"]);
  } finally {
    Deno.removeSync(home, { recursive: true });
  }
});
