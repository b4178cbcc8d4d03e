/** Writes the files of an installation into a folder of their own. */
import { dirname } from "node:path";
import { reasonOf } from "../../base/reason.ts";
import { CommandError } from "../output.ts";
import type { File } from "./answers.ts";

/** @throws CommandError where the folder has something in it already, or cannot be written */
export function writeFiles(dir: string, files: readonly File[]): void {
  if (!isEmpty(dir)) {
    throw new CommandError(
      `cannot write an installation to "${dir}": it is not empty, and certificates that are in use are never replaced; name a new folder`,
    );
  }
  try {
    for (const { path, text, secret = false } of files) {
      const at = `${dir}/${path}`;
      Deno.mkdirSync(dirname(at), { recursive: true, mode: 0o700 });
      Deno.writeTextFileSync(at, text, { mode: secret ? 0o600 : 0o644, createNew: true });
    }
  } catch (error) {
    throw new CommandError(`cannot write an installation to "${dir}": ${reasonOf(error)}`);
  }
}

function isEmpty(dir: string): boolean {
  try {
    return Deno.readDirSync(dir)[Symbol.iterator]().next().done === true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    throw new CommandError(`cannot write an installation to "${dir}": ${reasonOf(error)}`);
  }
}
