/**
 * The files of the embedded store are its owner's alone (0600, in a folder of 0700 that this program made): they hold every credential
 * that replicates. A file that others may read or write is tightened before it is used, or refused where that cannot be done. SQLite
 * gives its -wal and -shm the permissions of the database.
 */
import { reasonOf } from "../../base/reason.ts";
import { StoreError } from "../../principal/ports/store.ts";

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;
/** Everything that the group or others may do. */
const OTHERS = 0o077;
/** Writing into a folder is replacing its files, but for the sticky bit. */
const MAY_REPLACE = 0o022;
const STICKY = 0o1000;
const SUFFIXES = ["", "-wal", "-shm", "-journal", ".lock"];

/**
 * Tightens the files of a database that is ours; the sentences say what was changed, and what an operator had better change.
 * @throws StoreError where a file stays open to others
 */
export function makePrivate(path: string): string[] {
  const folder = path.replace(/[^/]*$/, "") || ".";
  return [...SUFFIXES.flatMap((suffix) => tightened(`${path}${suffix}`)), ...folderRemark(folder)];
}

/** Makes a file that is not there, for its owner alone: before another program makes it for everybody. */
export function createPrivate(path: string): void {
  Deno.openSync(path, { write: true, create: true, mode: FILE_MODE }).close();
}

/** Makes a folder that is not there, for its owner alone. */
export function makeFolder(path: string): void {
  try {
    Deno.mkdirSync(path, { recursive: true, mode: FOLDER_MODE });
  } catch (error) {
    throw new StoreError("unavailable", `cannot make the folder "${path}": ${reasonOf(error)}`);
  }
}

function tightened(path: string): string[] {
  const mode = modeOf(path);
  if (mode === undefined || (mode & OTHERS) === 0) return [];
  try {
    Deno.chmodSync(path, FILE_MODE);
  } catch (error) {
    throw new StoreError(
      "unavailable",
      `cannot open store: "${path}" has mode ${
        octal(mode)
      }, and others could read its credentials; chmod 600 it ` +
        `(${reasonOf(error)})`,
    );
  }
  return [`"${path}" had mode ${octal(mode)}; it has ${octal(FILE_MODE)} now`];
}

/** A folder that was there before may have other uses, so it is not changed. */
function folderRemark(folder: string): string[] {
  const mode = modeOf(folder);
  if (mode === undefined || (mode & MAY_REPLACE) === 0 || (mode & STICKY) !== 0) return [];
  return [`others may replace the store's files: folder "${folder}" has mode ${octal(mode)}; chmod 700 it`];
}

function modeOf(path: string): number | undefined {
  try {
    return Deno.statSync(path).mode ?? undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new StoreError("unavailable", `cannot open store: "${path}": ${reasonOf(error)}`);
  }
}

function octal(mode: number): string {
  return `0${(mode & 0o7777).toString(8)}`;
}
