/** A pair of real processes in a temporary folder. */
import { DatabaseSync } from "node:sqlite";
import { initPki } from "../../src/cli/pki.ts";
import { generatedApplication } from "../../src/cli/examples.ts";
import { principalPair, type PrincipalProcess, selfCommand, type Side } from "../../src/cli/processes.ts";
import { until } from "./until.ts";
import { openSqlite } from "../../src/adapters/store/sqlite.ts";
import { Proxy } from "./principals.ts";

/** A primary and a replica in one folder. */
export class Sides {
  readonly primary: PrincipalProcess;
  readonly replica: PrincipalProcess;

  constructor(readonly dir: string, { primary, replica }: Record<Side["name"], PrincipalProcess>) {
    this.primary = primary;
    this.replica = replica;
  }

  /** Starts both: the primary is ACTIVE, the replica REPLICATING. */
  async start(): Promise<void> {
    this.primary.start();
    this.replica.start();
    await this.primary.untilState("active");
    await this.replica.untilState("replicating");
  }

  /** Starts the primary alone: once its peer has answered that nobody serves, that is killed. */
  async startAlone(): Promise<void> {
    this.primary.start();
    this.replica.start();
    await this.primary.untilState("active");
    await this.replica.kill("SIGKILL");
  }

  async close(): Promise<void> {
    await Promise.all([this.primary.kill("SIGKILL"), this.replica.kill("SIGKILL")]);
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/** A pair whose replica reaches the primary through a proxy, so that the link can be broken. */
export class LinkedSides extends Sides {
  readonly link: Proxy;

  constructor(dir: string, own?: Partial<Record<Side["name"], Partial<Side>>>) {
    const link = new Proxy(0);
    const through = (side: Side["name"], port: number) => {
      if (side === "replica") return port;
      link.targetPort = port;
      return link.port;
    };
    super(dir, principalPair(dir, through, own));
    this.link = link;
  }

  override async close(): Promise<void> {
    this.link.close();
    await super.close();
  }
}

/** A pair on the embedded store. */
export class Pair extends Sides {
  static async open(): Promise<Pair> {
    const dir = Deno.makeTempDirSync({ prefix: "aaha-e2e-" });
    await initPki(`${dir}/pki`, { sans: [], agents: 1, days: 1 });
    return new Pair(dir, principalPair(dir));
  }

  /** Stops a process (SIGSTOP) at a moment at which it writes nothing: others may write to its store meanwhile. */
  async pause(side: PrincipalProcess): Promise<void> {
    const paused = async () => {
      side.signal("SIGSTOP");
      await until(() => isStopped(side.pid), 20_000, () => `${side.side.name} does not stop`);
      const locked = isLocked(side.store);
      if (locked) side.signal("SIGCONT");
      return !locked;
    };
    await until(paused, 20_000, () => `${side.side.name} holds the lock on its file at every look`);
  }

  /** Writes `count` Applications into a side's store, as another process would. */
  async write(side: PrincipalProcess, count: number, tag: string): Promise<void> {
    const store = openSqlite(side.store, { verify: false });
    await Promise.all(Array.from({ length: count }, (_, n) => {
      const object = generatedApplication(n);
      object.metadata.labels = { tag };
      return store.write({ op: "put", object });
    }));
    await store.close();
  }

  /** The contents of a side's store, comparable across sides. */
  async content(side: PrincipalProcess): Promise<string> {
    const store = openSqlite(side.store, { verify: false });
    const objects = (await store.list("Application")).map((
      { metadata, spec },
    ) => [metadata.name, metadata.labels, spec]);
    await store.close();
    return JSON.stringify(objects);
  }

  /** Waits until both stores hold the same, and it is not nothing. */
  untilEqual(timeoutMs = 20_000): Promise<void> {
    return until(
      async () => {
        const [a, b] = await Promise.all([this.content(this.primary), this.content(this.replica)]);
        return a === b && a !== "[]";
      },
      timeoutMs,
      () => `the stores differ\n${this.primary.logEnd()}\n---\n${this.replica.logEnd()}`,
      50,
    );
  }

  /** How many of the two answer 200 on /healthz. */
  async active(): Promise<number> {
    const answers = await Promise.all([this.primary.healthz(), this.replica.healthz()]);
    return answers.filter(({ code }) => code === 200).length;
  }
}

export async function withPair(run: (pair: Pair) => Promise<void>): Promise<void> {
  const pair = await Pair.open();
  try {
    await run(pair);
  } finally {
    await pair.close();
  }
}

/** Runs this program to its end. */
export async function runCli(
  args: string[],
  cwd?: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const command = selfCommand(args);
  const { code, stdout, stderr } = await new Deno.Command(command.path, {
    args: command.args,
    ...(cwd ? { cwd } : {}),
    env: { NO_COLOR: "1" },
    signal: AbortSignal.timeout(30_000),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  return { code, stdout: new TextDecoder().decode(stdout), stderr: new TextDecoder().decode(stderr) };
}

/** As Linux tells it. */
function isStopped(pid: number): boolean {
  const { stdout } = new Deno.Command("sh", { args: ["-c", `cat /proc/${pid}/stat`] }).outputSync();
  return /\) T /.test(new TextDecoder().decode(stdout));
}

/** Whether a process is in the middle of a write to this file. */
function isLocked(path: string): boolean {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    database.exec("BEGIN IMMEDIATE; ROLLBACK");
    return false;
  } catch {
    return true;
  } finally {
    database.close();
  }
}
