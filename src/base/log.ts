/**
 * Log lines as the Go principal writes them: text or JSON, warnings and errors to stderr, the rest to stdout. A line of a component says
 * so in its field `component`, by which its level is found; nothing else knows of levels.
 */
import type { LogEvent } from "./log_events.ts";
import { printable } from "./printable.ts";

export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The parts whose lines may have a level of their own, by the Go principal's names. */
export const COMPONENTS = ["resource-proxy", "redis-proxy", "grpc-event", "informer-event-buffer"] as const;
export type Component = (typeof COMPONENTS)[number];

/** Kinds of lines that may be full: of writes of this principal, of events of agents, of changes that the store reports. */
export const DETAILS = ["actions", "events", "informers"] as const;
export type Detail = (typeof DETAILS)[number];

/** The lines that are written, and their form. */
export interface LogSettings {
  level: LogLevel;
  /** Those whose level is another. */
  components: Partial<Record<Component, LogLevel>>;
  format: "text" | "json";
  details: readonly Detail[];
  /** The side of a pair whose lines these are; absent: there is no pair. */
  side?: string;
}

/** The further fields of a line. */
export interface Fields {
  readonly [name: string]: string | number | boolean;
  /** The stable name of what a line tells; absent: nobody waits for that line. */
  readonly event?: LogEvent;
}

export type Log = Record<LogLevel, (message: string, fields?: Fields) => void>;

/** A log that writes lines at or above the level of their component. */
export function createLog(settings: LogSettings): Log {
  const own: Fields = settings.side === undefined ? {} : { side: settings.side };
  const write = (lineLevel: LogLevel, message: string, given: Fields = {}) => {
    if (!isWritten(settings, lineLevel, given["component"])) return;
    const fields = { ...given, ...own };
    const time = new Date().toISOString();
    const line = printable(
      settings.format === "json"
        ? JSON.stringify({ time, level: lineLevel, msg: message, ...fields })
        : `${time} ${lineLevel.toUpperCase().padEnd(5)} ${message}${textOf(fields)}`,
    );
    const stream = lineLevel === "warn" || lineLevel === "error" ? Deno.stderr : Deno.stdout;
    writeAll(stream, new TextEncoder().encode(line + "\n"));
  };
  return eachLevel((level) => (message, fields) => write(level, message, fields));
}

/** A log whose lines are a component's. */
export function ofComponent(log: Log, component: Component): Log {
  return eachLevel((level) => (message, fields) => log[level](message, { ...fields, component }));
}

/** Tells of one thing; `detail` is asked for only where it is written, and may be empty. */
export type Tell = (message: string, fields: Fields, detail: () => string) => void;

const COMPONENT_OF: Record<Detail, Component | undefined> = {
  actions: undefined,
  events: "grpc-event",
  informers: "informer-event-buffer",
};

/** How each thing of a kind is told: in full at info, or else briefly at debug; undefined: not at all. */
export function teller(log: Log, kind: Detail, settings: LogSettings): Tell | undefined {
  const component = COMPONENT_OF[kind];
  const own = component ? ofComponent(log, component) : log;
  if (settings.details.includes(kind)) {
    return (message, fields, detail) => {
      const text = detail();
      own.info(message, text === "" ? fields : { ...fields, detail: text });
    };
  }
  if (!isWritten(settings, "debug", component)) return undefined;
  return (message, fields) => own.debug(message, fields);
}

function isWritten({ level, components }: LogSettings, lineLevel: LogLevel, component: unknown): boolean {
  const threshold = components[component as Component] ?? level;
  return LOG_LEVELS.indexOf(lineLevel) >= LOG_LEVELS.indexOf(threshold);
}

function eachLevel(entry: (level: LogLevel) => Log[LogLevel]): Log {
  return Object.fromEntries(LOG_LEVELS.map((level) => [level, entry(level)])) as Log;
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
