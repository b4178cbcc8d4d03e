/**
 * The pods of a simulated agent and what they say. It brings a log as a Go agent does: always with timestamps, cut anywhere, an empty
 * message first, and of one that is followed again from a little earlier when a call breaks.
 */
import { delay } from "@std/async/delay";
import { parseJson } from "../base/json.ts";
import type { AgentEvent } from "../domain/events/cloudevent.ts";
import type { LogRequest } from "../domain/proxy/log_request.ts";
import { Code } from "../adapters/grpc/status.ts";
import type { LogUpload } from "../adapters/grpc/agent_client.ts";

/** A request for a log as its payload has it. */
export type RequestedLog = LogRequest & { uuid: string };

const AGAIN_MS = 200;
const TRIES = 8;
/** A followed log begins again so much before the last line that was brought. */
const OVERLAP_MS = 1_000;
/** After these an agent does not come again. */
const FINAL: readonly number[] = [
  Code.OK,
  Code.CANCELLED,
  Code.NOT_FOUND,
  Code.UNAUTHENTICATED,
  Code.PERMISSION_DENIED,
];

interface Pod {
  lines: { atMs: number; text: string }[];
  ended: boolean;
  changed: PromiseWithResolvers<void>;
}

export class SimLogs {
  readonly #pods = new Map<string, Pod>();
  readonly #bringing = new Set<LogUpload>();
  readonly #cut = new WeakSet<LogUpload>();
  /** Requests that came. */
  asked = 0;
  /** Bytes of a message; a Go agent's have 64 KiB at most. */
  frameBytes = 1_000;

  /** A pod says some lines. */
  say(namespace: string, pod: string, ...lines: string[]): void {
    const found = this.#podOf(namespace, pod);
    for (const line of lines) {
      const atMs = Math.max(Date.now(), (found.lines.at(-1)?.atMs ?? 0) + 1);
      found.lines.push({ atMs, text: `${new Date(atMs).toISOString()} ${line}\n` });
    }
    notify(found);
  }

  /** A pod ends. */
  end(namespace: string, pod: string): void {
    const found = this.#podOf(namespace, pod);
    found.ended = true;
    notify(found);
  }

  /** Calls that bring a log now. */
  get bringing(): number {
    return this.#bringing.size;
  }

  /** Breaks every such call. */
  cut(): void {
    for (const upload of this.#bringing) {
      this.#cut.add(upload);
      upload.cancel();
    }
  }

  /** Begins to bring a log. Whether its request is acknowledged in the end: one that is followed is at once. */
  answer(event: AgentEvent, open: () => LogUpload | undefined, processed: () => void): boolean {
    const request = parseJson(new TextDecoder().decode(event.payload)) as RequestedLog;
    const brought = this.bring(request, open);
    if (request.follow) return false;
    void brought.then(processed);
    return true;
  }

  /** Brings a log; resolves when that is over. @param open undefined: there is no connection now */
  async bring(request: RequestedLog, open: () => LogUpload | undefined): Promise<void> {
    this.asked++;
    let sinceMs = request.sinceTime ? Date.parse(request.sinceTime) : 0;
    for (let n = 0; n < TRIES; n++) {
      const upload = open();
      if (upload) {
        this.#bringing.add(upload);
        const lastMs = await this.#send(request, sinceMs, upload);
        const code = await upload.over;
        this.#bringing.delete(upload);
        if (!request.follow || (FINAL.includes(code) && !this.#cut.has(upload))) return;
        if (lastMs > 0) sinceMs = Math.floor((lastMs - OVERLAP_MS) / 1_000) * 1_000;
      }
      await delay(AGAIN_MS * 2 ** n);
    }
  }

  /** Returns the time of the last line that was brought; 0: none was. */
  async #send(
    { uuid, namespace, podName, follow, tailLines, limitBytes = Infinity }: RequestedLog,
    sinceMs: number,
    upload: LogUpload,
  ): Promise<number> {
    let over = false;
    void upload.over.then(() => over = true);
    await upload.send({ request_uuid: uuid });
    const pod = this.#pods.get(`${namespace}/${podName}`);
    if (!pod) {
      await upload.send({ request_uuid: uuid, eof: true, error: `pods "${podName}" not found` });
      upload.end();
      return 0;
    }
    let lastMs = 0;
    let left = limitBytes;
    let lines = pod.lines.filter(({ atMs }) => atMs >= sinceMs).slice(-(tailLines ?? Infinity));
    let next = pod.lines.length;
    for (;;) {
      const bytes = new TextEncoder().encode(lines.map(({ text }) => text).join("")).subarray(0, left);
      for (let at = 0; at < bytes.length && !over; at += this.frameBytes) {
        await upload.send({ request_uuid: uuid, data: bytes.slice(at, at + this.frameBytes) });
      }
      left -= bytes.length;
      lastMs = lines.at(-1)?.atMs ?? lastMs;
      if (over) return lastMs;
      const isNew = () => pod.lines.length > next;
      if (!follow || left === 0 || (pod.ended && !isNew())) break;
      if (!isNew()) await Promise.race([pod.changed.promise, upload.over]);
      lines = pod.lines.slice(next);
      next = pod.lines.length;
    }
    await upload.send({ request_uuid: uuid, eof: true });
    upload.end();
    return lastMs;
  }

  #podOf(namespace: string, name: string): Pod {
    const key = `${namespace}/${name}`;
    const found = this.#pods.get(key) ?? { lines: [], ended: false, changed: Promise.withResolvers() };
    this.#pods.set(key, found);
    return found;
  }
}

function notify(pod: Pod): void {
  pod.changed.resolve();
  pod.changed = Promise.withResolvers();
}
