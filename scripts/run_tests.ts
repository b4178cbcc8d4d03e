/**
 * Runs every test and closes with `N passed, N failed`. TEST_FILTER narrows it to tests whose name contains that
 * text. Tests that play whole processes are given the permissions for it; nothing may reach beyond loopback.
 */
import { stripAnsiCode } from "@std/fmt/colors";

const PERMISSIONS = [
  "--allow-net=127.0.0.1,localhost",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  "--allow-sys=hostname,uid",
  `--allow-run=${Deno.execPath()}`,
];

const filter = Deno.env.get("TEST_FILTER");
const args = [
  "test",
  "--parallel",
  ...PERMISSIONS,
  ...(filter ? ["--filter", filter] : []),
  "src",
  "tests",
  "scripts",
];
const child = new Deno.Command(Deno.execPath(), { args, stdout: "piped", stderr: "inherit" }).spawn();

let passed = 0;
let failed = 0;
let ignored = 0;
let rest = "";
const decoder = new TextDecoder();
for await (const chunk of child.stdout) {
  await Deno.stdout.write(chunk);
  const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines.map(stripAnsiCode)) {
    const summary = /^(?:ok|FAILED) \| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed/.exec(line);
    if (!summary) continue;
    passed += Number(summary[1]);
    failed += Number(summary[2]);
    ignored += Number(/\| (\d+) ignored/.exec(line)?.[1] ?? 0);
  }
}
const { code } = await child.status;
if (code !== 0 && failed === 0) failed = 1;
console.log(`${passed} passed, ${failed} failed${ignored > 0 ? `, ${ignored} skipped` : ""}`);
Deno.exit(code === 0 && passed > 0 && failed === 0 ? 0 : 1);
