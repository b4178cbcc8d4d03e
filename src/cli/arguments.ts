/** Arguments of the small subcommands: strict, with help. */
import { parseArgs } from "@std/cli/parse-args";
import { CommandError, EXIT, HelpRequest } from "./output.ts";

export interface Accepted {
  /** Option names that take a value, with their defaults. */
  strings?: Record<string, string>;
  booleans?: readonly string[];
  alias?: Record<string, string>;
  /** How many positional arguments are allowed. */
  positionals: readonly [min: number, max: number];
  usage: string;
  /** Further text of `--help`. */
  about?: string;
}

export interface Arguments {
  positionals: string[];
  string(name: string): string;
  boolean(name: string): boolean;
}

/** Parses strictly. @throws CommandError with the usage, and HelpRequest for `--help` */
export function parse(args: string[], accepted: Accepted): Arguments {
  const strings = Object.keys(accepted.strings ?? {});
  const booleans = [...accepted.booleans ?? [], "help"];
  const usageError = (problem: string) =>
    new CommandError(`${problem}\nUsage: ${accepted.usage}`, EXIT.usage);
  const parsed = parseArgs(args, {
    string: [...strings, "_"],
    boolean: booleans,
    alias: { ...accepted.alias, help: "h" },
    default: accepted.strings ?? {},
    unknown: (arg) => {
      if (arg.startsWith("-") && arg !== "-") throw usageError(`unknown option ${arg.replace(/=.*$/s, "")}`);
      return true;
    },
  });
  const positionals = parsed._.map(String);
  const [min, max] = accepted.positionals;
  if (parsed["help"] === true) {
    throw new HelpRequest(`Usage: ${accepted.usage}${accepted.about ? `\n${accepted.about}` : ""}`);
  }
  if (positionals.length < min || positionals.length > max) {
    throw usageError(
      positionals.length < min ? "an argument is missing" : `unexpected "${positionals[max]}"`,
    );
  }
  for (const name of strings) {
    if (Array.isArray(parsed[name])) throw usageError(`--${name} was given twice`);
  }
  return {
    positionals,
    string: (name) => String(parsed[name] ?? ""),
    boolean: (name) => parsed[name] === true,
  };
}

/** A duration option in ms. @throws CommandError */
export function durationOption(
  args: Arguments,
  name: string,
  parseDuration: (text: string) => number | undefined,
): number {
  const ms = parseDuration(args.string(name));
  if (ms !== undefined && ms > 0) return ms;
  throw new CommandError(
    `--${name} "${args.string(name)}": must be a duration such as 10s or 1m`,
    EXIT.usage,
  );
}

/** An option that is a whole number from 0 to `max`. @throws CommandError */
export function wholeOption(args: Arguments, name: string, max: number): number {
  const text = args.string(name);
  if (/^\d+$/.test(text) && Number(text) <= max) return Number(text);
  throw new CommandError(`--${name} "${text}": must be a whole number up to ${max}`, EXIT.usage);
}

/** The option `--output`: text or json. @throws CommandError */
export function outputOption(args: Arguments): "text" | "json" {
  const output = args.string("output");
  if (output === "text" || output === "json") return output;
  throw new CommandError(`unknown output format: ${output}`, EXIT.usage);
}
