/** Programs from Debian's packages for tests: downloaded and unpacked into the cache folder, never installed. */
import { isFile } from "./server_binary.ts";

/** How a program is had. */
export interface Unpacking {
  packages: readonly string[];
  /** The program, in a folder of its own in the cache. */
  binary: string;
  /** Makes the program from what was unpacked into `folder`, which then becomes `kept`. */
  finish(folder: string, kept: string): void;
}

/** Unpacks a program unless it is there; its path. @throws Error where there are no Debian packages */
export async function unpacked({ packages, binary, finish }: Unpacking): Promise<string> {
  const folder = binary.replace(/\/[^/]*$/, "");
  if (isFile(binary)) return binary;
  const unfinished = `${folder}.${Deno.pid}`;
  Deno.mkdirSync(unfinished, { recursive: true });
  try {
    await run("apt-get", ["download", ...packages], unfinished).catch(async () => {
      await run("apt-get", ["update"], unfinished);
      await run("apt-get", ["download", ...packages], unfinished);
    });
    for (const { name } of [...Deno.readDirSync(unfinished)]) {
      if (name.endsWith(".deb")) await run("dpkg", ["-x", name, "."], unfinished);
    }
    finish(unfinished, folder);
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
