/**
 * bcrypt beside the event loop: a check takes some 50 ms of a processor, in which nobody else would be served. This file is the worker too;
 * in the single file its address is the whole program's, which then does nothing else (main.ts).
 */
import bcrypt from "bcryptjs";
import { reasonOf } from "../../base/reason.ts";

const NAME = "passwords";

interface Question {
  id: number;
  password: string;
  hash: string;
}

interface Answer {
  id: number;
  same: boolean;
}

interface WorkerScope {
  name?: string;
  onmessage: ((event: { data: Question }) => void) | null;
  postMessage(answer: Answer): void;
}

const scope = globalThis as unknown as WorkerScope;

/** Whether this is the worker. */
function isWorker(): boolean {
  return "WorkerGlobalScope" in globalThis && scope.name === NAME;
}

if (isWorker()) {
  scope.onmessage = ({ data: { id, password, hash } }) =>
    scope.postMessage({ id, same: matches(password, hash) });
}

/** A hash that is none matches no password. */
function matches(password: string, hash: string): boolean {
  try {
    return bcrypt.compareSync(password, hash);
  } catch {
    return false;
  }
}

/** Compares passwords with hashes, in their order, each in its turn. */
export class PasswordWorker {
  #worker: Worker | undefined;
  #id = 0;
  readonly #waiting = new Map<number, { resolve(same: boolean): void; reject(error: Error): void }>();

  /** @throws Error where the worker cannot run */
  compare(password: string, hash: string): Promise<boolean> {
    const id = ++this.#id;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker ??= this.#start();
      this.#worker.postMessage({ id, password, hash } satisfies Question);
    });
  }

  close(): void {
    this.#worker?.terminate();
    this.#worker = undefined;
    this.#fail("this principal is shutting down");
  }

  #start(): Worker {
    const worker = new Worker(import.meta.url, { type: "module", name: NAME });
    worker.onmessage = ({ data: { id, same } }: MessageEvent<Answer>) => {
      this.#waiting.get(id)?.resolve(same);
      this.#waiting.delete(id);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      // The next password starts another one.
      worker.terminate();
      if (this.#worker === worker) this.#worker = undefined;
      this.#fail(`passwords cannot be checked: ${reasonOf(event.error ?? event.message)}`);
    };
    return worker;
  }

  #fail(reason: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }
}
