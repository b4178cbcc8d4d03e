/** `pki init DIR`: a CA, certificates of two principals and of agents, as NAME.crt and NAME.key, and the key of agents' tokens. */
import { Authority, type Issued, signingKey } from "../adapters/tls/pki.ts";
import { reasonOf } from "../base/reason.ts";
import { CommandError, EXIT, print } from "./output.ts";
import type { Arguments } from "./verb.ts";

const DEFAULT_SANS = ["localhost", "127.0.0.1"];

export async function pki(options: Arguments): Promise<number> {
  const [dir = ""] = options.positionals;
  const [agents, days] = [options.number("agents"), options.number("days")];
  const extra = options.string("san").split(",").map((san) => san.trim()).filter(Boolean);
  await initPki(dir, { sans: extra, agents, days });
  Deno.writeTextFileSync(`${dir}/jwt.key`, await signingKey(), { mode: 0o600 });
  print(
    `wrote jwt.key, and ca, primary, replica${
      agents > 0 ? ` and agent-1${agents > 1 ? ` to agent-${agents}` : ""}` : ""
    } ` +
      `(.crt and .key) to ${dir}, valid for ${days} days; keep ca.key away from the principals`,
  );
  return EXIT.ok;
}

/** Writes the files. An existing CA is never replaced. @throws CommandError */
export async function initPki(
  dir: string,
  { sans, agents, days }: { sans: string[]; agents: number; days: number },
): Promise<void> {
  try {
    Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
    if (exists(`${dir}/ca.crt`)) {
      throw new CommandError(
        `"${dir}/ca.crt" exists; give another folder, or remove it if nothing uses it any more`,
      );
    }
    const authority = await Authority.create(days);
    write(dir, "ca", authority.pem);
    for (const commonName of ["primary", "replica"]) {
      write(
        dir,
        commonName,
        await authority.issue({ commonName, sans: [...DEFAULT_SANS, ...sans], server: true }),
      );
    }
    for (let n = 1; n <= agents; n++) {
      const commonName = `agent-${n}`;
      write(dir, commonName, await authority.issue({ commonName, sans: [], server: false }));
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`cannot write certificates to "${dir}": ${reasonOf(error)}`);
  }
}

function write(dir: string, name: string, { cert, key }: Issued): void {
  Deno.writeTextFileSync(`${dir}/${name}.crt`, cert);
  Deno.writeTextFileSync(`${dir}/${name}.key`, key, { mode: 0o600 });
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch {
    return false;
  }
}
