/**
 * The protocol of Kubernetes' terminals over WebSocket: every message is binary and begins with the number of its channel. A program's end
 * is a Status on a channel of its own. Version 5 adds a message with which a client says that it types no more.
 */
import { parseJson } from "../../base/json.ts";
import { isRecord } from "../resources/object.ts";
import { failure, success } from "./status.ts";
import type { TerminalEnd, TerminalInput, TerminalOutput } from "./terminal.ts";

/** By preference. */
export const PROTOCOLS = ["v5.channel.k8s.io", "v4.channel.k8s.io"] as const;
export type Protocol = typeof PROTOCOLS[number];

const STDIN = 0;
const STDOUT = 1;
const STATUS = 3;
const RESIZE = 4;
const CLOSE = 255;
const MAX_SIZE = 65_535;
const MAX_RESIZE_BYTES = 1_024;
/** The codes of a WebSocket's end. */
const NORMAL = 1_000;
const GOING_AWAY = 1_001;

/** Of the protocols that a client offers; undefined: none that is served. */
export function protocolOf(offered: Iterable<string>): Protocol | undefined {
  const all = new Set(offered);
  return PROTOCOLS.find((one) => all.has(one));
}

/** A message of the client; undefined: one that means nothing, as API servers leave them. */
export function inputOf(message: Uint8Array, protocol: Protocol): TerminalInput | undefined {
  const [channel, stream] = message;
  if (channel === STDIN) return message.length > 1 ? { do: "type", data: message.subarray(1) } : undefined;
  if (channel === RESIZE) return message.length > MAX_RESIZE_BYTES ? undefined : sizeOf(message.subarray(1));
  const closes = channel === CLOSE && stream === STDIN && protocol === "v5.channel.k8s.io";
  return closes ? { do: "close" } : undefined;
}

function sizeOf(json: Uint8Array): TerminalInput | undefined {
  try {
    const size = parseJson(new TextDecoder().decode(json));
    if (!isRecord(size)) return undefined;
    const [cols, rows] = [Number(size["Width"]), Number(size["Height"])];
    return isSize(cols) && isSize(rows) ? { do: "resize", cols, rows } : undefined;
  } catch {
    return undefined;
  }
}

function isSize(n: number): boolean {
  return Number.isInteger(n) && n > 0 && n <= MAX_SIZE;
}

/** A message for the client. */
export function messageOf(output: TerminalOutput): Uint8Array {
  if ("show" in output) return onChannel(STDOUT, output.show);
  return onChannel(STATUS, new TextEncoder().encode(statusOf(output.end)));
}

/** A Status that came instead of a terminal. */
export function refusalMessage(status: string): Uint8Array {
  return onChannel(STATUS, new TextEncoder().encode(status));
}

/** The code with which the WebSocket closes: clients take every other one than 1000 for an error. */
export function closeCodeOf({ how }: TerminalEnd): number {
  return how === "lost" ? GOING_AWAY : NORMAL;
}

function statusOf({ how, message, exitCode }: TerminalEnd): string {
  if (how === "done") return success();
  if (exitCode === undefined) return failure(500, message).body;
  const causes = [{ reason: "ExitCode", message: String(exitCode) }];
  return JSON.stringify({
    ...{ kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure" },
    ...{ message, reason: "NonZeroExitCode", details: { causes } },
  });
}

function onChannel(channel: number, data: Uint8Array): Uint8Array {
  const message = new Uint8Array(1 + data.length);
  message[0] = channel;
  message.set(data, 1);
  return message;
}
