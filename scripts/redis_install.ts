/**
 * `deno task redis:install`: a real Redis server for tests, from Debian's packages, unpacked into a cache folder
 * outside the work tree; nothing is installed. The last line printed is the path to start it with.
 */
import { unpacked } from "./debian_packages.ts";
import { cacheFolder, reasonOrAbsent } from "./server_binary.ts";

const PACKAGES = ["redis-tools", "redis-server", "libjemalloc2", "liblzf1", "libatomic1"];

/** Unpacks the server unless it is there. @throws Error where there are no Debian packages */
export function installRedis(): Promise<string> {
  return unpacked({ packages: PACKAGES, binary: `${cacheFolder()}/redis/redis-server`, finish: addStart });
}

/** The server finds the libraries beside it. */
function addStart(folder: string, kept: string): void {
  const libraries = [...Deno.readDirSync(`${folder}/usr/lib`)].filter(({ name }) => name.includes("-linux-"))
    .map(({ name }) => `${kept}/usr/lib/${name}`).join(":");
  const script = `#!/bin/sh\nLD_LIBRARY_PATH='${libraries}' exec '${kept}/usr/bin/redis-server' "$@"\n`;
  Deno.writeTextFileSync(`${folder}/redis-server`, script, { mode: 0o755 });
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
