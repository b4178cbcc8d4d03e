/**
 * The embedded store: one SQLite file in WAL mode, shared by a principal and the `store` commands. Every write takes the next
 * revision of one counter and deletions stay as tombstones, so the changes since a revision are one indexed query. Concurrent
 * writes share a commit (one fsync), and no promise resolves before its commit. Polling `data_version` finds other processes'
 * changes. Every object carries a checksum that each read verifies: a flipped bit is an error, never data.
 */
import { onAbort } from "../../base/abort.ts";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { boundsProblem } from "../../base/bounds.ts";
import { canonicalJson, sameJson } from "../../base/json.ts";
import type { ApiObject, StoredObject } from "../../domain/resources/object.ts";
import { schemaProblem } from "../../domain/resources/schema.ts";
import { byKey, type Key, keyOf } from "../../domain/resources/keys.ts";
import {
  type Store,
  StoreError,
  type StoreEvent,
  type StoreStatus,
  UnfitObject,
  type Write,
  type Written,
} from "../../principal/ports/store.ts";
import { checkExpected, partsOf } from "./preconditions.ts";
import { openFile, type OpenOptions, translate } from "./sqlite_file.ts";
import { checkForm, checksum, deletion, objectOf, type Row } from "./sqlite_rows.ts";

/** How soon another process's change is noticed, in ms. */
const POLL_MS = 20;
const MAX_BATCH_WRITES = 1_000;
const WATCH_BATCH = 1_000;
/** Objects are read by so many characters at a time: parsed they take several times as much. */
const WATCH_LENGTH = 4 * 1024 * 1024;
/** The characters that one transaction reads and writes: the process answers nobody meanwhile. */
const FLUSH_LENGTH = 8 * 1024 * 1024;
/** Deletions that are remembered; a watcher further behind is given a full listing. */
const MAX_TOMBSTONES = 10_000;

/** A row that is not deleted, whose body is canonical JSON, and its object. */
interface Current {
  row: Row;
  object: StoredObject;
}

interface Queued {
  write: Write;
  resolve(written: Written): void;
  reject(error: unknown): void;
}

/** Opens the embedded store at `path`. @throws StoreError */
export function openSqlite(path: string, options: Partial<OpenOptions> = {}): SqliteStore {
  return new SqliteStore(
    openFile(path, { create: true, verify: true, ...options }),
    path,
    options.verify ?? true,
  );
}

export class SqliteStore implements Store {
  #queue: Queued[] = [];
  #flushing = false;
  #closed = false;
  readonly #wakers = new Set<() => void>();
  readonly #poll: ReturnType<typeof setInterval>;
  readonly #sql: Record<
    "get" | "since" | "put" | "next" | "counter" | "dataVersion" | "prune" | "floor",
    StatementSync
  >;
  #dataVersion: unknown;
  #writes = 0;
  /** Characters of objects that the transaction has read and written. */
  #touched = 0;

  constructor(private readonly database: DatabaseSync, private readonly path: string, verify: boolean) {
    const columns = "kind, namespace, name, revision, deleted, body, sum";
    this.#sql = {
      get: database.prepare(`SELECT ${columns} FROM objects WHERE kind = ? AND namespace = ? AND name = ?`),
      since: database.prepare(`SELECT ${columns} FROM objects WHERE revision > ? ORDER BY revision LIMIT ?`),
      put: database.prepare(`INSERT OR REPLACE INTO objects (${columns}) VALUES (?, ?, ?, ?, ?, ?, ?)`),
      next: database.prepare("UPDATE counters SET value = value + 1 WHERE name = 'revision' RETURNING value"),
      counter: database.prepare("SELECT value FROM counters WHERE name = ?"),
      dataVersion: database.prepare("PRAGMA data_version"),
      prune: database.prepare("DELETE FROM objects WHERE deleted = 1 AND revision <= ?"),
      floor: database.prepare("UPDATE counters SET value = ? WHERE name = 'floor'"),
    };
    if (verify) this.#readAll(() => {});
    this.#dataVersion = this.#sql.dataVersion.get()?.["data_version"];
    this.#poll = setInterval(() => this.#pollOthers(), POLL_MS);
    Deno.unrefTimer(this.#poll as unknown as number);
  }

  get(key: Key): Promise<StoredObject | undefined> {
    return this.#attempt(`read ${key}`, () => {
      const row = this.#row(key);
      return row && !row.deleted ? this.#object(row) : undefined;
    });
  }

  list(kind?: string): Promise<StoredObject[]> {
    return this.#attempt("list", () => {
      const found: StoredObject[] = [];
      this.#readAll((object) => (kind === undefined || object.kind === kind) && found.push(object));
      return found.sort(byKey);
    });
  }

  each(visit: (object: StoredObject) => void): Promise<void> {
    return this.#attempt("list", () => this.#readAll(visit));
  }

  write(write: Write): Promise<Written> {
    if (this.#closed) return Promise.reject(this.#closedError());
    return new Promise((resolve, reject) => {
      this.#queue.push({ write, resolve, reject });
      if (this.#flushing) return;
      this.#flushing = true;
      queueMicrotask(() => this.#flush());
    });
  }

  async *watch(signal: AbortSignal): AsyncGenerator<StoreEvent[]> {
    let wake = () => {};
    const waker = () => wake();
    this.#wakers.add(waker);
    const unlisten = onAbort(signal, waker);
    try {
      // Before the first listing: a store without any write has revision 0.
      let seen = -1;
      let listingUpTo: number | undefined;
      while (!signal.aborted && !this.#closed) {
        const sleep = new Promise<void>((resolve) => wake = resolve);
        const events: StoreEvent[] = [];
        const { rows, more } = this.#read(() => {
          if (listingUpTo === undefined && (seen < 0 || seen < this.#counter("floor"))) {
            seen = 0;
            listingUpTo = this.#counter("revision");
            events.push({ type: "reset" });
          }
          return this.#since(seen);
        });
        for (const row of rows) {
          seen = row.revision;
          if (!row.deleted) events.push({ type: "put", object: this.#object(row) });
          else if (listingUpTo === undefined) events.push(deletion(row));
        }
        if (listingUpTo !== undefined && (!more || seen >= listingUpTo)) {
          seen = Math.max(seen, listingUpTo);
          listingUpTo = undefined;
          events.push({ type: "synced" });
        }
        if (events.length > 0) yield events;
        else await sleep;
      }
    } finally {
      this.#wakers.delete(waker);
      unlisten();
    }
  }

  /** A file has no rights, no definitions and no namespaces of its own. */
  examine(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  status(): StoreStatus {
    return { problem: "", writes: this.#writes, lists: 0 };
  }

  close(): Promise<void> {
    if (!this.#closed) {
      if (this.#queue.length > 0) this.#flush();
      this.#closed = true;
      clearInterval(this.#poll);
      this.#wake();
      this.database.close();
    }
    return Promise.resolve();
  }

  #flush(): void {
    const queued = this.#queue.splice(0, MAX_BATCH_WRITES);
    const answers: (() => void)[] = [];
    let taken = 0;
    try {
      if (this.#closed) throw this.#closedError();
      this.database.exec("BEGIN IMMEDIATE");
      this.#touched = 0;
      for (const { write, resolve, reject } of queued) {
        if (this.#touched >= FLUSH_LENGTH) break;
        taken++;
        try {
          const written = this.#apply(write);
          answers.push(() => resolve(written));
        } catch (error) {
          if (!(error instanceof StoreError) || error.code === "corrupt") throw error;
          answers.push(() => reject(error));
        }
      }
      this.#prune();
      this.database.exec("COMMIT");
    } catch (error) {
      if (!this.#closed && this.database.isTransaction) this.database.exec("ROLLBACK");
      if (taken === 0) taken = queued.length;
      const failure = translate(error, `write ${taken} objects`, this.path);
      answers.splice(0, Infinity, ...queued.slice(0, taken).map(({ reject }) => () => reject(failure)));
    }
    this.#queue.unshift(...queued.slice(taken));
    this.#flushing = this.#queue.length > 0;
    if (this.#flushing) setTimeout(() => this.#flush());
    for (const answer of answers) answer();
    this.#wake();
  }

  #apply(write: Write): Written {
    if (write.op === "put") return this.#put(write);
    const current = this.#current(write.key);
    checkExpected(write.key, current?.object, write);
    if (!current) return { changed: false };
    if (write.graceful && current.object.metadata.finalizers?.length) return this.#mark(current);
    return this.#end(current.row);
  }

  #end(row: Row): Written {
    this.#insert({ ...row, revision: this.#nextRevision(), deleted: 1 });
    return { changed: true };
  }

  /** The object waits for its finalizers. */
  #mark(current: Current): Written {
    const { metadata } = current.object;
    const deletionTimestamp = metadata.deletionTimestamp ?? new Date().toISOString();
    return this.#store(current, { ...current.object, metadata: { ...metadata, deletionTimestamp } });
  }

  #put(write: Extract<Write, { op: "put" }>): Written {
    const { object, replace } = write;
    checkForm(object);
    const key = keyOf(object.kind, object.metadata.namespace as string, object.metadata.name);
    const current = this.#current(key);
    const unfit = schemaProblem(object, current?.object);
    if (unfit) throw new UnfitObject(unfit);
    checkExpected(key, current?.object, write);
    if (!current?.object.metadata.deletionTimestamp) return this.#replace(current, object);
    if (replace) {
      this.#end(current.row);
      return this.#replace(undefined, object);
    }
    return object.metadata.finalizers?.length ? this.#replace(current, object) : this.#end(current.row);
  }

  #replace(current: Current | undefined, object: ApiObject): Written {
    const { resourceVersion: _, managedFields: __, deletionTimestamp: ___, ...metadata } = object.metadata;
    const before = current?.object;
    const { generation = 0, deletionTimestamp } = before?.metadata ?? {};
    const sameSpec = before !== undefined && sameJson(before["spec"] ?? null, object["spec"] ?? null);
    metadata.uid = before?.metadata.uid ?? crypto.randomUUID();
    metadata.creationTimestamp = before?.metadata.creationTimestamp ?? new Date().toISOString();
    metadata.generation = sameSpec ? generation : generation + 1;
    if (deletionTimestamp) metadata.deletionTimestamp = deletionTimestamp;
    return this.#store(current, { ...object, metadata });
  }

  #store(current: Current | undefined, object: ApiObject): Written {
    const { kind, metadata: { resourceVersion: _, ...metadata } } = object;
    const body = canonicalJson({ ...object, metadata });
    if (current?.row.body === body) return { object: current.object, changed: false };
    const { name, namespace = "" } = metadata;
    const problem = boundsProblem(body);
    if (problem) throw new UnfitObject(problem);
    const revision = this.#nextRevision();
    const row = { kind, namespace, name, revision, deleted: 0, body, sum: checksum(body) };
    this.#insert(row);
    return { object: objectOf(row), changed: true };
  }

  #insert({ kind, namespace, name, revision, deleted, body, sum }: Row): void {
    this.#writes++;
    this.#touched += body.length;
    this.#sql.put.run(kind, namespace, name, revision, deleted, body, sum);
  }

  #nextRevision(): number {
    return (this.#sql.next.get() as { value: number }).value;
  }

  #counter(name: "revision" | "floor"): number {
    return (this.#sql.counter.get(name) as { value: number }).value;
  }

  #prune(): void {
    const query = "SELECT revision FROM objects WHERE deleted = 1 ORDER BY revision DESC LIMIT 1 OFFSET ?";
    const oldest = this.database.prepare(query).get(MAX_TOMBSTONES)?.["revision"];
    if (typeof oldest !== "number") return;
    this.#sql.prune.run(oldest);
    this.#sql.floor.run(oldest);
  }

  #row(key: Key): Row | undefined {
    const { kind, namespace, name } = partsOf(key);
    return this.#sql.get.get(kind, namespace, name) as unknown as Row | undefined;
  }

  #current(key: Key): Current | undefined {
    const row = this.#row(key);
    this.#touched += row?.body.length ?? 0;
    return row && !row.deleted ? { row, object: this.#object(row) } : undefined;
  }

  /** @throws StoreError where a row is damaged */
  #object(row: Row): StoredObject {
    if (checksum(row.body) !== row.sum) {
      throw new StoreError(
        "corrupt",
        `"${this.path}" is damaged: ${row.kind}/${row.namespace}/${row.name} does not match its checksum; ` +
          "the file is left as it is: move it away and let the peer fill a new one, or restore a backup",
      );
    }
    return objectOf(row);
  }

  /** The next rows after a revision, and whether there may be more. */
  #since(revision: number): { rows: Row[]; more: boolean } {
    const rows: Row[] = [];
    let length = 0;
    for (const row of this.#sql.since.iterate(revision, WATCH_BATCH) as unknown as Iterable<Row>) {
      rows.push(row);
      length += row.body.length;
      if (length >= WATCH_LENGTH) return { rows, more: true };
    }
    return { rows, more: rows.length === WATCH_BATCH };
  }

  #readAll(each: (object: StoredObject) => void): void {
    let seen = 0;
    for (;;) {
      const { rows, more } = this.#since(seen);
      for (const row of rows) if (!row.deleted) each(this.#object(row));
      if (!more) return;
      seen = rows.at(-1)?.revision ?? seen;
    }
  }

  #read<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      throw translate(error, "read the store", this.path);
    }
  }

  #attempt<T>(action: string, read: () => T): Promise<T> {
    try {
      if (this.#closed) throw this.#closedError();
      return Promise.resolve(read());
    } catch (error) {
      return Promise.reject(translate(error, action, this.path));
    }
  }

  #pollOthers(): void {
    let version: unknown;
    try {
      version = this.#sql.dataVersion.get()?.["data_version"];
    } catch {
      // A store that cannot be read fails its watchers, which read it next.
    }
    if (version !== undefined && version === this.#dataVersion) return;
    this.#dataVersion = version;
    this.#wake();
  }

  #wake(): void {
    for (const waker of this.#wakers) waker();
  }

  #closedError(): StoreError {
    return new StoreError("unavailable", `store "${this.path}" is closed`);
  }
}
