/**
 * Runs every test, or with TEST_FILTER those whose name contains that text, and ends with `N passed, N failed`. Tests may
 * start processes; the network beyond loopback is closed to them. First it makes the real API server of
 * `deno task kube:build` (3 to 6 minutes on two cores, once), the Redis of `deno task redis:install` and the promtool of
 * `deno task promtool:install`. Where one cannot be made, its tests are skipped with the reason; with CI=true that is a failure.
 */
import { stripAnsiCode } from "@std/fmt/colors";
import { sysPermissions } from "../src/cli/permissions.ts";
import { buildKube, whyNot } from "./kube_build.ts";
import { installPromtool, whyNoPromtool } from "./promtool_install.ts";
import { installRedis, whyNoRedis } from "./redis_install.ts";

const assets = Deno.env.get("KUBEBUILDER_ASSETS");
const COMPONENTS = ["etcd", "kube-apiserver", "kube-controller-manager"];
const redis = await ofDebian("REDIS_BINARY", installRedis, whyNoRedis);
const promtool = await ofDebian("PROMTOOL_BINARY", installPromtool, whyNoPromtool);
const kube: Server = assets ? { binaries: COMPONENTS.map((name) => `${assets}/${name}`) } : await built();
const permissions = [
  "--allow-net=127.0.0.1,127.0.0.2,localhost",
  "--allow-read",
  "--allow-write",
  "--allow-env",
  ...sysPermissions("uid"),
  `--allow-run=${
    [Deno.execPath(), "sh", ...kube.binaries, ...redis.binaries, ...promtool.binaries].join(",")
  }`,
];

/** The binaries of a real server, or of another's tool, that tests may run, or why there are none. */
interface Server {
  binaries: string[];
  missing?: string;
}

async function ofDebian(
  variable: string,
  install: () => Promise<string>,
  why: (error: unknown) => string,
): Promise<Server> {
  try {
    return { binaries: [Deno.env.get(variable) ?? await install()] };
  } catch (error) {
    return { binaries: [], missing: why(error) };
  }
}

async function built(): Promise<Server> {
  try {
    return { binaries: [await buildKube()] };
  } catch (error) {
    return { binaries: [], missing: whyNot(error) };
  }
}

const filter = Deno.env.get("TEST_FILTER");
const args = ["test", "--parallel", ...permissions, ...(filter ? ["--filter", filter] : []), "src", "tests"];
const env: Record<string, string> = {
  ...(assets || !kube.binaries[0] ? {} : { KUBE_BINARY: kube.binaries[0] }),
  ...(redis.binaries[0] ? { REDIS_BINARY: redis.binaries[0] } : {}),
  ...(promtool.binaries[0] ? { PROMTOOL_BINARY: promtool.binaries[0] } : {}),
};
const child = new Deno.Command(Deno.execPath(), { args, env, stdout: "piped", stderr: "inherit" }).spawn();

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
const needed = { "on a real API server": kube, "on a real Redis server": redis, "with promtool": promtool };
for (const [what, { missing }] of Object.entries(needed)) {
  if (!missing) continue;
  console.log(`tests ${what} were skipped: ${missing}`);
  if (Deno.env.get("CI") === "true") failed++;
}
console.log(`${passed} passed, ${failed} failed${ignored > 0 ? `, ${ignored} skipped` : ""}`);
Deno.exit(code === 0 && passed > 0 && failed === 0 ? 0 : 1);
