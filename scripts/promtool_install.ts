/**
 * `deno task promtool:install`: Prometheus' promtool for the tests of alerts, from Debian's package, unpacked into a cache folder
 * outside the work tree; nothing is installed. The last line printed is the path to start it with.
 */
import { unpacked } from "./debian_packages.ts";
import { cacheFolder, reasonOrAbsent } from "./server_binary.ts";

/** Unpacks it unless it is there. @throws Error where there are no Debian packages */
export function installPromtool(): Promise<string> {
  return unpacked({
    packages: ["prometheus"],
    binary: `${cacheFolder()}/promtool/promtool`,
    finish: keepOnlyPromtool,
  });
}

/** The server beside it is not needed. */
function keepOnlyPromtool(folder: string): void {
  Deno.renameSync(`${folder}/usr/bin/promtool`, `${folder}/promtool`);
  for (const { name } of [...Deno.readDirSync(folder)]) {
    if (name !== "promtool") Deno.removeSync(`${folder}/${name}`, { recursive: true });
  }
}

/** Why there is none, and the remedy. */
export function whyNoPromtool(error: unknown): string {
  const reason = reasonOrAbsent(error, "this machine has no Debian packages");
  return `${reason}; set PROMTOOL_BINARY to a promtool`;
}

if (import.meta.main) {
  try {
    console.log(await installPromtool());
  } catch (error) {
    console.error(`cannot install promtool: ${whyNoPromtool(error)}`);
    Deno.exit(1);
  }
}
