/** The embedded store's files hold every credential that replicates: they are their owner's alone. */
import { assertEquals, assertStringIncludes } from "@std/assert";
import { openSqlite } from "../../src/adapters/store/sqlite.ts";
import { initPki } from "../../src/cli/pki.ts";
import { runCli } from "../support/processes.ts";
import { inWorkshop, LOOSE, untilState } from "../support/principals.ts";

function modes(folder: string): Record<string, string> {
  const mode = (path: string) => ((Deno.statSync(path).mode ?? 0) & 0o777).toString(8);
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
  return { ".": mode(folder), ...Object.fromEntries(names.map((name) => [name, mode(`${folder}/${name}`)])) };
}

Deno.test(
  "a principal's files are 0600 in a folder of 0700, and not what the usual mask gives",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const folder = `${workshop.dir}/data`;
      const running = await workshop.start(
        workshop.settings("primary", 0, [`--store=sqlite:${folder}/p.db`]),
      );
      await untilState(running, "active");
      const expected = {
        ".": "700",
        "p.db": "600",
        "p.db-shm": "600",
        "p.db-wal": "600",
        "p.db.lock": "600",
      };
      assertEquals(modes(folder), expected);
    }),
);

Deno.test(
  "files that others may read are tightened at the start, and the log names them; a file of another program is left alone",
  LOOSE,
  () =>
    inWorkshop(async (workshop) => {
      const folder = `${workshop.dir}/data`;
      Deno.mkdirSync(folder, { mode: 0o700 });
      await openSqlite(`${folder}/p.db`).close();
      Deno.writeTextFileSync(`${folder}/p.db.lock`, "");
      for (const name of ["p.db", "p.db.lock"]) Deno.chmodSync(`${folder}/${name}`, 0o644);
      Deno.chmodSync(folder, 0o777);
      const running = await workshop.start(
        workshop.settings("primary", 0, [`--store=sqlite:${folder}/p.db`]),
      );
      await untilState(running, "active");
      const found = modes(folder);
      assertEquals([found["p.db"], found["p.db-wal"], found["p.db-shm"], found["p.db.lock"]], [
        "600",
        "600",
        "600",
        "600",
      ]);
      const logs = workshop.logs.join("\n");
      assertStringIncludes(logs, `p.db\\" had mode 0644; it has 0600 now`.replaceAll("\\", ""));
      assertStringIncludes(logs, "others may replace the store's files: folder");

      const foreign = `${workshop.dir}/notes.txt`;
      Deno.writeTextFileSync(foreign, "not a database, and long enough to be looked at\n".repeat(20));
      Deno.chmodSync(foreign, 0o644);
      const refused = await runCli(["store", "get", `--store=sqlite:${foreign}`]);
      assertEquals(refused.code, 1);
      assertEquals((Deno.statSync(foreign).mode ?? 0) & 0o777, 0o644);
    }),
);

Deno.test("store apply makes private files too, and pki init private keys in a private folder", async () => {
  const dir = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(
      `${dir}/a.yaml`,
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: argocd-gpg-keys-cm}\n",
    );
    const args = ["store", "apply", "-f", `${dir}/a.yaml`, `--store=sqlite:${dir}/made/s.db`];
    const { code, stderr } = await runCli(args);
    assertEquals(code, 0, stderr);
    const { ".": folder, "s.db": file } = modes(`${dir}/made`);
    assertEquals([folder, file], ["700", "600"]);
    await initPki(`${dir}/pki`, { sans: [], agents: 1, days: 1 });
    const made = modes(`${dir}/pki`);
    assertEquals(made["."], "700");
    for (const name of ["ca", "primary", "replica", "agent-1"]) {
      assertEquals(made[`${name}.key`], "600", name);
    }
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
});
