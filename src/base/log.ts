/** Log lines as the Go principal writes them: text or JSON, warnings and errors to stderr, the rest to stdout. */
import { printable } from "./printable.ts";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The further fields of a line. */
export type Fields = Record<string, string | number | boolean>;

export type Log = Record<LogLevel, (message: string, fields?: Fields) => void>;

/** A log that writes lines at or above `level`. */
export function createLog(level: LogLevel, format: "text" | "json"): Log {
  const threshold = LOG_LEVELS.indexOf(level);
  const write = (lineLevel: LogLevel, message: string, fields: Fields = {}) => {
    if (LOG_LEVELS.indexOf(lineLevel) < threshold) return;
    const time = new Date().toISOString();
    const line = printable(
      format === "json"
        ? JSON.stringify({ time, level: lineLevel, msg: message, ...fields })
        : `${time} ${lineLevel.toUpperCase().padEnd(5)} ${message}${textOf(fields)}`,
    );
    const stream = lineLevel === "warn" || lineLevel === "error" ? Deno.stderr : Deno.stdout;
    writeAll(stream, new TextEncoder().encode(line + "\n"));
  };
  const entries = LOG_LEVELS.map((l) => [l, (message: string, fields?: Fields) => write(l, message, fields)]);
  return Object.fromEntries(entries) as Log;
}

function textOf(fields: Fields): string {
  return Object.entries(fields).map(([name, value]) =>
    ` ${name}=${typeof value === "string" && /[\s"=]/.test(value) ? JSON.stringify(value) : value}`
  ).join("");
}

/** A reader that went away must not take the principal down. */
function writeAll(stream: typeof Deno.stdout, bytes: Uint8Array): void {
  try {
    for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
  } catch {
    // The reader of this stream is gone.
  }
}
