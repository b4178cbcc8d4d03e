/** The output of commands, and their exit codes. */
import { printable, printableLines } from "../base/printable.ts";

/** Exit codes; documented in docs/reference.md. */
export const EXIT = {
  ok: 0,
  /** The command ran and failed: a refusal, a principal that cannot be reached, something not found. */
  failed: 1,
  /** The command line or the configuration is wrong; nothing was started or changed. */
  usage: 2,
} as const;

/** A failure with its one line. */
export class CommandError extends Error {
  constructor(message: string, readonly exitCode: number = EXIT.failed) {
    super(message);
  }
}

/** Prints lines. */
export function print(text: string): void {
  writeTo(Deno.stdout, printableLines(text) + "\n");
}

export function printError(text: string): void {
  writeTo(Deno.stderr, printableLines(text) + "\n");
}

/** Prints lines with colours and movements of our own; everything that is not is printable already. */
export function printStyled(text: string): void {
  writeTo(Deno.stdout, text + "\n");
}

/** A reader that closed the pipe (`| head`) is no error of ours. */
function writeTo(stream: typeof Deno.stdout, text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
  }
}

export function json(value: unknown): string {
  return JSON.stringify(value, null, 2);
}

/** Rows as aligned columns, two spaces apart, the last one not padded; a row is one line. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header, ...rows.map((row) => row.map(printable))];
  const widths = header.map((_, column) => Math.max(...all.map((row) => (row[column] ?? "").length)));
  return all.map((row) =>
    row.map((cell, column) => column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)).join("  ")
      .trimEnd()
  ).join("\n");
}

/** `94s`, `12m`, `3h`, `5d`: as kubectl shows ages. */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}
