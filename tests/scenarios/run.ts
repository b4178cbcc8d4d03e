/**
 * Plays a scenario file against real processes and returns it with what really came out.
 *
 * Lines: `# text` is prose; `> action` is something that happens to the pair; `$ command` is what the operator
 * types, followed by the whole output (stdout, then stderr) and `[exit N]` unless N is 0; `$ echo TEXT | command`
 * types TEXT. Ports, times and temporary names are written as names, so a transcript is the same on every run.
 */
import { reasonOf } from "../../src/base/reason.ts";
import { selfCommand } from "../../src/cli/processes.ts";
import { exampleObjects, generatedApplication } from "../../src/cli/examples.ts";
import { initPki } from "../../src/cli/pki.ts";
import { principalPair, type PrincipalProcess } from "../../src/cli/processes.ts";
import { until } from "../support/until.ts";
import { kindOf } from "../../src/domain/resources/kinds.ts";
import { wholeScope } from "../../src/domain/resources/scope.ts";
import { openSqlite } from "../../src/adapters/store/sqlite.ts";
import { parseManifests } from "../../src/cli/manifests.ts";
import type { ApiObject } from "../../src/domain/resources/object.ts";
import { Proxy } from "../support/principals.ts";

type Name = "primary" | "replica";

/** Of the transcript so many lines are shown where an action fails. */
const LAST_LINES = 15;

/** Plays a file's text. */
export async function play(text: string): Promise<{ transcript: string; rows: Set<string> }> {
  const stage = await Stage.open();
  try {
    const out: string[] = [];
    for (const line of text.split("\n")) {
      if (line.startsWith("# ") || line === "#") out.push(line);
      else if (line.startsWith("> ")) {
        await stage.act(line.slice(2).trim()).catch((error) => {
          throw new Error(`${line}: ${reasonOf(error)}\nafter:\n${out.slice(-LAST_LINES).join("\n")}`);
        });
        out.push("", line);
      } else if (line.startsWith("$ ")) out.push("", line, ...await stage.type(line.slice(2)));
    }
    return { transcript: out.join("\n").replace(/\n{3,}/g, "\n\n").trim() + "\n", rows: stage.rows() };
  } finally {
    await stage.close();
  }
}

function tagged(count: number, tag: string): ApiObject[] {
  return Array.from({ length: count }, (_, n) => {
    const object = generatedApplication(n);
    object.metadata.labels = { tag };
    return object;
  });
}

function manifests(name: string): ApiObject[] {
  const file = new URL(`${name}.yaml`, import.meta.url);
  return parseManifests(Deno.readTextFileSync(file), `${name}.yaml`, "argocd");
}

class Stage {
  readonly #sides: Record<Name, PrincipalProcess>;
  readonly #proxies: Record<Name, Proxy>;

  private constructor(readonly dir: string) {
    // Each side reaches the other through a proxy, so that the link between them can be cut.
    const proxies = { primary: new Proxy(0), replica: new Proxy(0) };
    this.#proxies = proxies;
    this.#sides = principalPair(dir, (side, port) => {
      proxies[side].targetPort = port;
      return proxies[side].port;
    });
  }

  static async open(): Promise<Stage> {
    const dir = Deno.makeTempDirSync({ prefix: "aaha-scenario-" });
    await initPki(`${dir}/pki`, { sans: [], agents: 1, days: 1 });
    return new Stage(dir);
  }

  async act(action: string): Promise<void> {
    const [verb, name, ...rest] = action.split(" ");
    const side = this.#sides[name as Name];
    switch (verb) {
      case "start":
        return side.start([
          "--log-level=debug",
          "--ha-peer-check-timeout=1s",
          ...rest.map((flag) => flag.replace("DIR", this.dir)),
        ]);
      case "kill":
        return void await side.kill("SIGKILL");
      case "stop":
        if (await side.kill("SIGTERM") !== 0) {
          throw new Error(`${name} did not exit with 0:\n${side.logEnd()}`);
        }
        return;
      case "wait":
        await side.untilState(rest[0] ?? "");
        if (rest[0] === "replicating") await this.#untilEqual(name === "primary" ? "replica" : "primary");
        return;
      case "wait-status":
        return await until(
          async () => (await this.type(`ha status -a ${name}:8405`)).join("\n").includes(rest.join(" ")),
          20_000,
          () => `ha status of ${name} does not say "${rest.join(" ")}"`,
        );
      case "wait-log":
        return await until(
          () => side.logEnd(10_000).includes(rest.join(" ")),
          20_000,
          () => `the log of ${name} does not say "${rest.join(" ")}":\n${side.logEnd(40)}`,
        );
      case "cut":
      case "heal":
        for (const proxy of Object.values(this.#proxies)) {
          proxy.mode = verb === "cut" ? "refuse" : "pass";
          if (verb === "cut") proxy.cut();
        }
        return;
      case "write":
        return await this.#write(side, rest[0] ?? "", rest[1] ?? "");
      case "erase":
        return Deno.removeSync(side.store);
      case "backup":
        return Deno.copyFileSync(side.store, `${side.store}.backup`);
      case "restore":
        for (const log of ["wal", "shm"]) Deno.removeSync(`${side.store}-${log}`);
        return Deno.copyFileSync(`${side.store}.backup`, side.store);
      case "copied":
        return await this.#untilCopied();
      case "current":
        return await until(
          async () => await side.metric("argocd_agent_ha_replication_lag_seconds") === 0,
          20_000,
          () => `${name} lags:\n${side.logEnd(40)}`,
        );
      default:
        throw new Error(`unknown action "${action}"`);
    }
  }

  /** Until the ACTIVE's replica has proved that it is equal. */
  async #untilEqual(active: Name): Promise<void> {
    const { metrics } = this.#sides[active].side.ports;
    const proved = /^argocd_agent_ha_replica_equal_age_seconds [0-9.]+(e-\d+)?$/m;
    await until(
      async () => proved.test(await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text()),
      20_000,
      () => `the replica of ${active} is not proved equal`,
    );
  }

  /** `write SIDE N TAG`: N Applications with this tag; `write SIDE examples`: the examples; `write SIDE NAME`: those of NAME.yaml here. */
  async #write(side: PrincipalProcess, what: string, tag: string): Promise<void> {
    const store = openSqlite(side.store, { verify: false });
    const objects = what === "examples"
      ? exampleObjects()
      : /^\d+$/.test(what)
      ? tagged(Number(what), tag)
      : manifests(what);
    await Promise.all(objects.map((object) => store.write({ op: "put", object })));
    await store.close();
  }

  async #untilCopied(): Promise<void> {
    const content = async (side: PrincipalProcess) => {
      const store = openSqlite(side.store, { verify: false });
      const objects = (await store.list()).filter((object) =>
        object.kind !== "ConfigMap" && kindOf(object, wholeScope("argocd"))
      );
      await store.close();
      return JSON.stringify(
        objects.map(({ kind, metadata, spec }) => [kind, metadata.name, metadata.labels ?? {}, spec]),
      );
    };
    await until(
      async () => await content(this.#sides.primary) === await content(this.#sides.replica),
      20_000,
      () => `the stores differ:\n${this.#sides.primary.logEnd()}\n---\n${this.#sides.replica.logEnd()}`,
    );
  }

  async type(line: string): Promise<string[]> {
    const [, typed, command] = /^(?:echo (\S*) \| )?(.*)$/.exec(line) ?? [];
    const words = this.#fill(command ?? "").split(" ").map((word) => word.replace(/^'(.*)'$/, "$1"));
    if (words[0] === "curl") return await this.#curl(words.at(-1) ?? "");
    const { path, args } = selfCommand(words);
    const child = new Deno.Command(path, {
      args,
      cwd: this.dir,
      env: { NO_COLOR: "1", ARGOCD_AGENT_HA_SIDES: this.#sidesFile() },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    if (typed) await writer.write(new TextEncoder().encode(`${typed}\n`));
    await writer.close().catch(() => {});
    const { code, stdout, stderr } = await child.output();
    const text = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    const lines = this.#mask(text).trimEnd().split("\n").map((one) => one.trimEnd());
    return [...lines, ...(code === 0 ? [] : [`[exit ${code}]`])];
  }

  /** The file of sides, in which both have the names that they have here. */
  #sidesFile(): string {
    const path = `${this.dir}/sides.yaml`;
    const sides = Object.entries(this.#sides).map(([name, { admin }]) => [name, { address: admin }]);
    Deno.writeTextFileSync(path, JSON.stringify({ sides: Object.fromEntries(sides) }));
    return path;
  }

  async #curl(url: string): Promise<string[]> {
    const response = await fetch(`http://${url}`);
    const state = response.headers.get("X-HA-State");
    const body = (await response.text()).trimEnd();
    return [
      `HTTP ${response.status}`,
      ...(state ? [`X-HA-State: ${state}`] : []),
      ...(body ? this.#mask(body).split("\n") : []),
    ];
  }

  /** `primary:8405` in a command stands for the real address. */
  #fill(text: string): string {
    return text.replace(/\b(primary|replica):(8405|8003|8000|8443)\b/g, (_, name: Name, port: string) => {
      const ports = this.#sides[name].side.ports;
      const field =
        ({ 8405: "admin", 8003: "healthz", 8000: "metrics", 8443: "grpc" } as const)[port as "8405"];
      return `127.0.0.1:${ports[field]}`;
    });
  }

  #mask(text: string): string {
    let masked = text;
    for (const name of ["primary", "replica"] as const) {
      const { grpc, admin, healthz, metrics } = this.#sides[name].side.ports;
      const known = {
        8443: [grpc, this.#proxies[name].port],
        8405: [admin],
        8003: [healthz],
        8000: [metrics],
      };
      for (const [shown, ports] of Object.entries(known)) {
        for (const port of ports) masked = masked.replaceAll(`127.0.0.1:${port}`, `${name}:${shown}`);
      }
    }
    return masked.replaceAll(this.dir, "DIR")
      .replace(/\d{4}-\d\d-\d\dT\d\d[:-]\d\d[:-]\d\d(\.\d+)?Z/g, "TIME")
      .replace(/\b\d+( ?s|m) ago/g, "N$1 ago").replace(/, for \d+s/g, ", for Ns").replace(/\b\d+s$/gm, "Ns")
      .replace(/(digests?(?: are)? +)[0-9a-f]{16,32}/g, "$1DIGEST").replace(/\b[\d,]+ ms\b/g, "N ms")
      .replace(/^ +\d+\.\d{3}s/gm, "       Ns").replace(/\b\w+@[\w.-]+ \(admin listener\)/g, "SOMEBODY")
      .replace(/\b(TIME +\w+ +\d+ +\w+ +)\w+@[\w.-]+/g, "$1SOMEBODY").replace(
        /^(?:WHEN|TIME) .*$/gm,
        (line) => line.replace(/ {2,}/g, "  "),
      )
      .replace(/revision \d+/g, "revision N").replace(/\b(last) \d+ s\b/g, "$1 N s")
      .replace(/\d+ days left/g, "N days left").replace(/\d+ s before this start/g, "N s before this start")
      .replace(/last equal (N ?s ago|not known)/g, "last equal N")
      .replace(/\b\d+ events,/g, "N events,").replace(/(Writes not made: +)\d+/, "$1N")
      .replace(/"last_event_timestamp": \d+/, '"last_event_timestamp": N')
      .replace(/lasteventtimestamp: [1-9]\d*/, "lasteventtimestamp: N")
      .replace(/\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}\b/g, "UID").replace(
        /resourceVersion: "\d+"/g,
        'resourceVersion: "N"',
      )
      .replace(/ \d+ +Ns$/gm, " N  Ns").replace(/process \d+ on "[^"]*"/g, 'process N on "HOST"')
      .replace(/Last Sequence: +\d+/, "Last Sequence:     N")
      .replace(/"last_sequence_num": \d+/, '"last_sequence_num": N')
      .replace(/lastsequencenum: [1-9]\d*/, "lastsequencenum: N");
  }

  /** The rows of the state table that both sides took. */
  rows(): Set<string> {
    const found = Object.values(this.#sides).flatMap((side) =>
      [...side.logEnd(1_000_000).matchAll(/DEBUG step row=(?:"([^"]*)"|(\S+))/g)].map((match) =>
        match[1] ?? match[2] ?? ""
      )
    );
    return new Set(found);
  }

  async close(): Promise<void> {
    await Promise.all(Object.values(this.#sides).map((side) => side.kill("SIGKILL")));
    for (const proxy of Object.values(this.#proxies)) proxy.close();
    Deno.removeSync(this.dir, { recursive: true });
  }
}
