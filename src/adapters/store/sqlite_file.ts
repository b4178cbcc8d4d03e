/**
 * Opening the embedded store's file without ever harming one that is not ours: before anything is written, the
 * file is absent or empty (then it becomes a store), or it carries our application id and passes SQLite's own
 * check and our checksums. Everything else is an error that says so.
 */
import { DatabaseSync } from "node:sqlite";
import { OutOfBounds } from "../../base/json.ts";
import { reasonOf } from "../../base/reason.ts";
import { StoreError } from "../../principal/ports/store.ts";
import { createPrivate, makePrivate } from "./private_files.ts";

/** "AAHA" in SQLite's header: this file is a store of argocd-agent-ha. */
export const APPLICATION_ID = 0x41414841;
const SCHEMA_VERSION = 1;
const IN_MEMORY = ":memory:";

const SCHEMA = `
CREATE TABLE objects (
  kind TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL,
  revision INTEGER NOT NULL UNIQUE, deleted INTEGER NOT NULL DEFAULT 0,
  body TEXT NOT NULL, sum TEXT NOT NULL,
  PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID;
CREATE INDEX tombstones ON objects (revision) WHERE deleted = 1;
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('revision', 0), ('floor', 0);
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${SCHEMA_VERSION};
`;

/** How a store file is opened. */
export interface OpenOptions {
  /** Create the file where it does not exist. */
  create: boolean;
  /** Read the whole file once and check it; a principal does, a command that reads one object need not. */
  verify: boolean;
  /** The file may not grow beyond this; for tests of a full disk. */
  maxBytes?: number;
  /** Hears of permissions that were tightened, or had better be. */
  note?: (sentence: string) => void;
}

/** Opens the file. @throws StoreError `corrupt`, `notFound` or `unavailable`, with the file unchanged */
export function openFile(path: string, options: OpenOptions): DatabaseSync {
  const size = sizeOf(path);
  if (size === undefined && !options.create) {
    throw new StoreError(
      "notFound",
      `no store at "${path}"; name the principal's file with --store sqlite:FILE`,
    );
  }
  let database: DatabaseSync | undefined;
  try {
    const inFile = path !== IN_MEMORY;
    if (inFile && size === undefined) createPrivate(path);
    database = new DatabaseSync(path);
    database.exec("PRAGMA busy_timeout = 5000");
    if (size) checkOurs(database, path);
    for (const sentence of inFile ? makePrivate(path) : []) options.note?.(sentence);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    if (options.maxBytes) {
      const page = database.prepare("PRAGMA page_size").get()?.["page_size"] as number;
      database.exec(`PRAGMA max_page_count = ${Math.ceil(options.maxBytes / page)}`);
    }
    if (!size) initialize(database);
    if (size && options.verify) checkWhole(database, path);
    return database;
  } catch (error) {
    database?.close();
    throw translate(error, `open store "${path}"`, path);
  }
}

/** A store error of what SQLite threw; `action` completes "cannot …". */
export function translate(error: unknown, action: string, path: string): StoreError {
  if (error instanceof StoreError) return error;
  if (error instanceof OutOfBounds) return new StoreError("invalid", `cannot ${action}: ${error.message}`);
  const message = reasonOf(error);
  const errcode = (error as { errcode?: number }).errcode ?? 0;
  const remedy =
    "the file is left as it is: move it away and let the peer fill a new one, or restore a backup";
  switch (errcode & 0xff) {
    case 13:
      return new StoreError(
        "full",
        `cannot ${action}: the disk is full; free space, nothing written before is lost`,
        {
          cause: error,
        },
      );
    case 11:
      return new StoreError("corrupt", `cannot ${action}: "${path}" is damaged (${message}); ${remedy}`);
    case 26:
      return new StoreError(
        "corrupt",
        `cannot ${action}: "${path}" is not a store of argocd-agent-ha; it is untouched`,
      );
    default:
      return new StoreError("unavailable", `cannot ${action}: ${message}`, { cause: error });
  }
}

function sizeOf(path: string): number | undefined {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new StoreError("unavailable", `cannot open store "${path}": ${reasonOf(error)}`);
  }
}

function checkOurs(database: DatabaseSync, path: string): void {
  const id = database.prepare("PRAGMA application_id").get()?.["application_id"];
  const version = database.prepare("PRAGMA user_version").get()?.["user_version"] as number;
  if (id !== APPLICATION_ID) {
    const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"];
    if (id === 0 && tables === 0) {
      initialize(database);
      return;
    }
    throw new StoreError("corrupt", `"${path}" is a SQLite file of another program; it is untouched`);
  }
  if (version > SCHEMA_VERSION) {
    throw new StoreError(
      "corrupt",
      `"${path}" was written by a newer release (format ${version}, this one knows ${SCHEMA_VERSION}); ` +
        "run that release; the file is untouched",
    );
  }
}

function initialize(database: DatabaseSync): void {
  database.exec("BEGIN IMMEDIATE");
  try {
    const tables = database.prepare("SELECT count(*) AS n FROM sqlite_schema").get()?.["n"];
    if (tables === 0) database.exec(SCHEMA);
    database.exec("COMMIT");
  } catch (error) {
    database.exec("ROLLBACK");
    throw error;
  }
}

function checkWhole(database: DatabaseSync, path: string): void {
  const result = database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"];
  if (result !== "ok") {
    throw new StoreError(
      "corrupt",
      `"${path}" is damaged (${String(result).slice(0, 200)}); the file is left as it is: ` +
        "move it away and let the peer fill a new one, or restore a backup",
    );
  }
}
