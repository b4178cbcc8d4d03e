/** The executable's content: one file, from an empty folder, with an empty cache and no way out but loopback. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import bcrypt from "bcryptjs";
import { call, dialAdmin } from "../../src/adapters/grpc/dial.ts";
import { authenticationService } from "../../src/adapters/grpc/services.ts";
import { webSocketCalls } from "../../src/adapters/grpc/websocket_call.ts";
import { freePorts } from "../../src/cli/processes.ts";
import { FakeCollector } from "../support/collector.ts";
import { until } from "../support/until.ts";
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
      const offline = ["--no-remote", "--no-npm", "--cached-only", "--no-config", "--quiet"];
      const permissions = [
        "--allow-net=127.0.0.1,localhost",
        "--allow-read",
        "--allow-write",
        "--allow-env",
        "--allow-sys=hostname,osUptime",
        `--allow-run=${Deno.execPath()}`,
      ];
      const run = async (...args: string[]) => {
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
      const { lostAcknowledged, activeAtEnd, replicated, agents, agentsRecreated, page } = JSON.parse(
        demo.stdout,
      );
      assertEquals([lostAcknowledged, activeAtEnd, replicated, agents, agentsRecreated], [0, 1, 10, 20, 0]);
      for (const part of ["tree", "manifest", "log"]) {
        const { count, interruptedMs } = page[part];
        assert(count > 1 && interruptedMs > 0, JSON.stringify(page));
      }
      assertEquals(page.log.missing, 0);
      await checksPasswords(`${dir}/empty`, `${dir}/users`, [
        ...offline,
        ...permissions,
        "argocd-agent-ha.js",
      ]);
      assertEquals([...Deno.readDirSync(`${dir}/empty`)].map((entry) => entry.name), ["argocd-agent-ha.js"]);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
});

/** The single file is its own worker for passwords, serves WebSockets, and has OpenTelemetry's SDK and the profilers in it. */
async function checksPasswords(cwd: string, users: string, program: string[]): Promise<void> {
  const collector = new FakeCollector();
  await collector.start();
  Deno.writeTextFileSync(users, `edge-1:${bcrypt.hashSync("right", 4)}\n`);
  const [grpc = 0, healthz = 0, pprof = 0] = freePorts(3);
  const flags = [
    "--namespace=argocd",
    `--store=sqlite:${users}.db`,
    `--auth=userpass:${users}`,
    "--insecure-plaintext",
    "--enable-websocket",
    "--insecure-jwt-generate",
    "--listen-host=127.0.0.1",
    `--listen-port=${grpc}`,
    `--healthz-port=${healthz}`,
    "--metrics-port=0",
    `--pprof-port=${pprof}`,
    `--otlp-address=${collector.address}`,
    "--otlp-insecure",
  ];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", ...program, "principal", ...flags],
    cwd,
    env: { OTEL_BSP_SCHEDULE_DELAY: "50" },
    stdin: "null",
    stdout: "null",
    stderr: "null",
  }).spawn();
  const address = `127.0.0.1:${grpc}`;
  const client = dialAdmin(address);
  const overWebSocket = dialAdmin(address, [webSocketCalls(address, undefined)]);
  try {
    const healthy = () => fetch(`http://127.0.0.1:${healthz}/healthz`).then(({ ok }) => ok, () => false);
    await until(healthy, 20_000, () => "the principal does not serve", 50);
    const ask = (clientsecret: string, by = client) =>
      call(by, authenticationService.Authenticate, {
        method: "userpass",
        mode: "managed",
        version: "0",
        credentials: { clientid: "edge-1", clientsecret },
      }, 10_000).then(() => "let in", ({ details }) => details);
    assertEquals([await ask("wrong"), await ask("right")], ["authentication failed", "let in"]);
    assertEquals(await ask("right", overWebSocket), "let in");
    await collector.find("the call's", ({ name }) => name === "authapi.Authentication/Authenticate");
    const memory = await (await fetch(`http://127.0.0.1:${pprof}/debug/pprof/memory`)).json();
    assert(memory.heap.used_heap_size > 0);
  } finally {
    for (const one of [client, overWebSocket]) one.close();
    child.kill("SIGTERM");
    await child.status;
    collector.stop();
  }
}
