/**
 * `deno task redis:install`: a real Redis server for tests, from Debian's packages, unpacked into a cache folder
 * outside the work tree; nothing is installed. The last line printed is the path to start it with.
 */
import { cacheFolder, isFile, reasonOrAbsent } from "./server_binary.ts";

const PACKAGES = ["redis-tools", "redis-server", "libjemalloc2", "liblzf1", "libatomic1"];

/** Where the server of these packages is, or will be. */
export function redisBinary(): string {
  return `${cacheFolder()}/redis/redis-server`;
}

/** Unpacks the server unless it is there. @throws Error where there are no Debian packages */
export async function installRedis(): Promise<string> {
  const binary = redisBinary();
  const folder = binary.replace(/\/[^/]*$/, "");
  if (isFile(binary)) return binary;
  const unfinished = `${folder}.${Deno.pid}`;
  Deno.mkdirSync(unfinished, { recursive: true });
  try {
    await run("apt-get", ["download", ...PACKAGES], unfinished).catch(async () => {
      await run("apt-get", ["update"], unfinished);
      await run("apt-get", ["download", ...PACKAGES], unfinished);
    });
    for (const { name } of [...Deno.readDirSync(unfinished)]) {
      if (name.endsWith(".deb")) await run("dpkg", ["-x", name, "."], unfinished);
    }
    const libraries = [...Deno.readDirSync(`${unfinished}/usr/lib`)].filter(({ name }) =>
      name.includes("-linux-")
    )
      .map(({ name }) => `${folder}/usr/lib/${name}`).join(":");
    const script = `#!/bin/sh\nLD_LIBRARY_PATH='${libraries}' exec '${folder}/usr/bin/redis-server' "$@"\n`;
    Deno.writeTextFileSync(`${unfinished}/redis-server`, script, { mode: 0o755 });
    Deno.renameSync(unfinished, folder);
  } catch (error) {
    Deno.removeSync(unfinished, { recursive: true });
    throw error;
  }
  return binary;
}

async function run(command: string, args: string[], cwd: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(command, { args, cwd, stdin: "null", stdout: "null" })
    .output();
  if (!success) {
    const last = new TextDecoder().decode(stderr).trim().split("\n").at(-1);
    throw new Error(`${command} ${args[0]} failed: ${last}`);
  }
}

/** Why there is no server, and the remedy. */
export function whyNoRedis(error: unknown): string {
  const reason = reasonOrAbsent(error, "this machine has no Debian packages");
  return `${reason}; set REDIS_BINARY to a redis-server`;
}

if (import.meta.main) {
  try {
    console.log(await installRedis());
  } catch (error) {
    console.error(`cannot install a Redis server: ${whyNoRedis(error)}`);
    Deno.exit(1);
  }
}
