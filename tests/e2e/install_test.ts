/** The walk-throughs of `install`, as they are written: on one machine, and on two hosts with systemd's part played. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { freePorts, selfCommand } from "../../src/cli/processes.ts";
import { runCli } from "../support/processes.ts";
import { until } from "../support/until.ts";

const LOOSE = { sanitizeOps: false, sanitizeResources: false };

/** A shell with this program in its PATH, in a folder of its own. */
class Shell {
  readonly #children: Deno.ChildProcess[] = [];

  private constructor(readonly dir: string) {
    const { path, args } = selfCommand([]);
    Deno.mkdirSync(`${dir}/bin`);
    const words = [path, ...args].map((word) => `'${word}'`).join(" ");
    Deno.writeTextFileSync(`${dir}/bin/argocd-agent-ha`, `#!/bin/sh\nexec ${words} "$@"\n`, { mode: 0o755 });
  }

  static async with(run: (shell: Shell) => Promise<void>): Promise<void> {
    const shell = new Shell(Deno.makeTempDirSync({ prefix: "aaha-install-" }));
    try {
      await run(shell);
    } finally {
      for (const child of shell.#children) child.kill("SIGKILL");
      await Promise.all(shell.#children.map((child) => child.status));
      Deno.removeSync(shell.dir, { recursive: true });
    }
  }

  /** Runs a line to its end. */
  async run(line: string): Promise<string> {
    const { code, stdout, stderr } = await this.#command(line, "piped").output();
    const text = new TextDecoder().decode(stdout);
    assertEquals(code, 0, `${line}: ${text}${new TextDecoder().decode(stderr)}`);
    return text;
  }

  /** Starts a line whose last command is a principal. */
  start(line: string): void {
    const last = line.lastIndexOf("argocd-agent-ha principal");
    this.#children.push(this.#command(`${line.slice(0, last)}exec ${line.slice(last)}`, "null").spawn());
  }

  #command(line: string, stdout: "piped" | "null"): Deno.Command {
    const env = { PATH: `${this.dir}/bin:${Deno.env.get("PATH") ?? ""}`, NO_COLOR: "1" };
    return new Deno.Command("sh", { args: ["-c", line], env, stdin: "null", stdout, stderr: stdout });
  }
}

/** The lines of a walk-through that are to be typed. */
function commandsIn(text: string): string[] {
  return text.split("\n").filter((line) => line.startsWith("       ")).map((line) => line.trim());
}

/** Ten ports in a row that are free now. */
function firstOfTen(): number {
  for (;;) {
    const [first = 0] = freePorts(1);
    try {
      const all = Array.from(
        { length: 10 },
        (_, n) => Deno.listen({ hostname: "127.0.0.1", port: first + n }),
      );
      for (const listener of all) listener.close();
      return first;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
}

async function untilHealthy(port: number, code: number): Promise<void> {
  const answer = async () => {
    const response = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
    await response?.body?.cancel();
    return response?.status;
  };
  await until(async () => await answer() === code, 60_000, () => `${port} does not answer ${code}`);
}

Deno.test({
  name: "install laptop: the walk-through as it is written, from the certificates to a switchover",
  ...LOOSE,
  fn: () =>
    Shell.with(async (shell) => {
      const first = firstOfTen();
      const folder = `${shell.dir}/trial`;
      const { code, stdout, stderr } = await runCli([
        "install",
        "laptop",
        folder,
        "--first-port",
        `${first}`,
      ]);
      assertEquals(code, 0, stderr);
      const written = Deno.readTextFileSync(`${folder}/NEXT.txt`);
      assertStringIncludes(stdout, written.trim());
      const [primary = "", replica = "", here = "", there = "", switchover = "", ...rest] = commandsIn(
        written,
      );
      assertEquals(rest, []);
      shell.start(primary);
      shell.start(replica);
      await untilHealthy(first + 1, 200);
      assertMatch(await shell.run(here), /active/i);
      await until(
        async () => /replicating/i.test(await shell.run(there)),
        60_000,
        () => "the replica does not replicate",
        500,
      );
      await shell.run(switchover);
      await untilHealthy(first + 6, 200);
      await untilHealthy(first + 1, 503);
    }),
});

/** Reads a unit as far as it says what to start, and with which settings. */
function unitOf(text: string): { start: string; environment: string } {
  const value = (name: string) => new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1] ?? "";
  return { start: value("ExecStart"), environment: value("EnvironmentFile") };
}

Deno.test({
  name: "install hosts: what the units start joins as a pair at the first try",
  ...LOOSE,
  fn: () =>
    Shell.with(async (shell) => {
      const ports = freePorts(8);
      const [grpc = [0, 0], others = []] = [[ports[0] ?? 0, ports[1] ?? 0], ports.slice(2)];
      const folder = `${shell.dir}/files`;
      const made = await runCli([
        "install",
        "hosts",
        folder,
        ...["--primary", `127.0.0.1:${grpc[0]}`, "--replica", `127.0.0.1:${grpc[1]}`],
        ...["--front", "agents.example", "--agents", "edge-1"],
      ]);
      assertEquals(made.code, 0, made.stderr);
      const sides = [["primary", 0], ["replica", 3]] as const;
      for (const [side, at] of sides) {
        const { start, environment } = unitOf(
          Deno.readTextFileSync(`${folder}/${side}/argocd-agent-ha.service`),
        );
        assertEquals(environment, "/etc/argocd-agent-ha/principal.env");
        const env = Deno.readTextFileSync(`${folder}/${side}/principal.env`)
          .replaceAll("/etc/argocd-agent-ha/", `${folder}/${side}/`)
          .replaceAll("/var/lib/argocd-agent-ha/", `${folder}/${side}/`);
        const [healthz, metrics, admin] = others.slice(at, at + 3);
        // Two hosts on one machine: all but the ports of agents would be the same.
        const own =
          `ARGOCD_PRINCIPAL_HEALTH_CHECK_PORT=${healthz}\nARGOCD_PRINCIPAL_METRICS_PORT=${metrics}\n` +
          `ARGOCD_PRINCIPAL_HA_ADMIN_PORT=${admin}\nARGOCD_PRINCIPAL_LISTEN_HOST=127.0.0.1\n`;
        Deno.writeTextFileSync(`${shell.dir}/${side}.env`, env + own);
        assert(start.startsWith("/usr/local/bin/argocd-agent-ha principal"), start);
        const line = start.replace("/usr/local/bin/", "");
        shell.start(`set -a; . ${shell.dir}/${side}.env; set +a; ${line}`);
      }
      await untilHealthy(others[0] ?? 0, 200);
      await until(
        async () =>
          /replicating/i.test(
            (await runCli(["ha", "status", "-a", `127.0.0.1:${others[5]}`])).stdout,
          ),
        60_000,
        () => "the replica does not replicate",
        500,
      );
    }),
});
