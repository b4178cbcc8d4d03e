/**
 * The lock on an embedded store: `FILE.lock` beside the database, which the operating system releases when its process ends, however that
 * ends. `store` commands write to the database meanwhile and do not take it. The file says who holds it and is never removed.
 */
import { delay } from "@std/async/delay";
import { parseJson } from "../../base/json.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Holder, Waiting } from "../../domain/ha/state.ts";
import { StoreError } from "../../principal/ports/store.ts";
import type { StoreLock, Tenure } from "../../principal/ports/store_lock.ts";

/** How soon the end of the other process is noticed. */
const LOOK_MS = 200;

export class FileLock implements StoreLock {
  readonly #path: string;

  /** @param store the path of the database */
  constructor(store: string) {
    this.#path = `${store}.lock`;
  }

  async acquire(waits: (why: Waiting) => void, signal: AbortSignal): Promise<Tenure> {
    const file = this.#open();
    try {
      while (!await file.tryLock(true)) {
        waits({ holder: this.#holder(), problem: "" });
        await delay(LOOK_MS, { signal });
      }
      signal.throwIfAborted();
      this.#sign(file);
      return new FileTenure(file);
    } catch (error) {
      file.close();
      throw signal.aborted || error instanceof StoreError ? error : this.#failure(error);
    }
  }

  close(): void {}

  #open(): Deno.FsFile {
    try {
      return Deno.openSync(this.#path, { read: true, write: true, create: true, mode: 0o600 });
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): StoreError {
    return new StoreError("unavailable", `cannot lock the store with "${this.#path}": ${reasonOf(error)}`);
  }

  #sign(file: Deno.FsFile): void {
    const holder: Holder = { name: Deno.hostname(), pid: Deno.pid, sinceMs: Date.now() };
    const text = new TextEncoder().encode(`${JSON.stringify(holder)}\n`);
    file.truncateSync(0);
    for (let at = 0; at < text.length;) at += file.writeSync(text.subarray(at));
  }

  /** Its holder may be writing the file at this moment. */
  #holder(): Holder | undefined {
    try {
      const { name, pid, sinceMs } = parseJson(Deno.readTextFileSync(this.#path)) as Partial<Holder>;
      return { name: String(name), pid: Number(pid) || 0, sinceMs: Number(sinceMs) || 0 };
    } catch {
      return { name: "another process", pid: 0, sinceMs: 0 };
    }
  }
}

/** The operating system takes this lock from no process that lives. */
class FileTenure implements Tenure {
  readonly #over = new AbortController();

  constructor(private readonly file: Deno.FsFile) {}

  get ended(): AbortSignal {
    return this.#over.signal;
  }

  holds(): boolean {
    return !this.#over.signal.aborted;
  }

  release(): Promise<void> {
    if (this.holds()) {
      this.#over.abort(new Error("the lock on the store is released"));
      this.file.close();
    }
    return Promise.resolve();
  }
}
