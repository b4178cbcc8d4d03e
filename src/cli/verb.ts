/**
 * A verb of the command line as data: help, parsing, completion and docs/cli.md come from it. Parsing, usage errors and "did you mean" are
 * commander's; a line is checked whole before anything is dialled or started.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "../config/settings.ts";
import { CommandError, EXIT, print, printError } from "./output.ts";

export const PROGRAM = "argocd-agent-ha";

/** The kinds of words that completion finds at the time of the question. */
export type Words = "agents" | "kinds" | "sides" | "keys";

export interface Verb {
  name: string;
  /** Positional arguments, as commander writes them: `NAME` as `<name>`, `[key...]`. */
  args?: string;
  /** One line. */
  help: string;
  /** The purpose, and when to type it. */
  about: string;
  options?: readonly Option[];
  examples: readonly (readonly [line: string, what: string])[];
  /** Exit codes, with their meaning here. */
  exits: Readonly<Record<number, string>>;
  /** The words that complete the value of a long option, or of the arguments (`""`). */
  words?: Readonly<Record<string, Words>>;
  /** The reason why these arguments do not go together; empty: they do. */
  problem?(args: Arguments): string | Promise<string>;
  /** Returns the exit code. */
  run(args: Arguments): Promise<number>;
}

/** Verbs under one word. */
export interface Group {
  name: string;
  help: string;
  about: string;
  verbs: readonly Verb[];
}

/** The arguments of a line that is known to be right. */
export interface Arguments {
  positionals: string[];
  /** Empty: not given, and without a default. */
  string(name: string): string;
  boolean(name: string): boolean;
  /** A duration in ms, or a whole number. */
  number(name: string): number;
  /** The typed line with one more option. */
  line(more: string): string;
}

/** An option that is a duration. @param fallback as the operator would write it */
export function duration(flags: string, help: string, fallback: string): Option {
  const read = (text: string) => {
    const ms = parseDuration(text);
    if (ms !== undefined && ms > 0) return Math.round(ms);
    throw new InvalidArgumentError("It must be a duration such as 10s or 1m.");
  };
  return new Option(flags, help).default(parseDuration(fallback), fallback).argParser(read);
}

/** An option that is a whole number from 0 to `max`. */
export function whole(flags: string, help: string, fallback: number, max: number): Option {
  const read = (text: string) => {
    if (/^\d+$/.test(text) && Number(text) <= max) return Number(text);
    throw new InvalidArgumentError(`It must be a whole number up to ${max}.`);
  };
  return new Option(flags, help).default(fallback).argParser(read);
}

export const yes = () => new Option("-y, --yes", "do not ask; needed where standard input is no terminal");
export const output = (...choices: string[]) =>
  new Option("-o, --output <FORMAT>", "the form of the output").choices(choices).default(choices[0] ?? "");

/** The exit codes that every verb that asks a principal has. */
export const EXITS = {
  [EXIT.ok]: "done",
  [EXIT.failed]: "refused, cancelled, or the principal cannot be reached; the message says which",
  [EXIT.usage]:
    "the command line is wrong, or a question could not be asked without a terminal; nothing was changed",
} as const;

/** A typed line, and who hears its exit code. */
export interface Line {
  args: readonly string[];
  done(code: number): void;
}

function commandOf(verb: Verb, path: readonly string[], line: Line): Command {
  const command = new Command(verb.name);
  if (verb.args) command.arguments(verb.args);
  for (const option of verb.options ?? []) {
    command.addOption(option);
    once(command, option);
  }
  command.summary(verb.help).description(verb.about).addHelpText("after", () => afterHelp(verb));
  return command.action(async () => {
    const args = argumentsOf(command, [...path, verb.name], line.args);
    const problem = await verb.problem?.(args) ?? "";
    if (problem !== "") command.error(`error: ${problem}`);
    line.done(await verb.run(args));
  });
}

/** A value that is given twice is a mistake of which neither is meant. */
function once(command: Command, option: Option): void {
  if (option.isBoolean()) return;
  let given = 0;
  command.on(`option:${option.name()}`, () => {
    if (++given > 1) command.error(`error: --${option.name()} was given twice`);
  });
}

function afterHelp({ examples, exits }: Verb): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  return [
    "",
    "Examples:",
    ...examples.map(([line, what]) => `  ${PROGRAM} ${line.padEnd(width)}  ${what}`.trimEnd()),
    "",
    "Exit codes:",
    ...Object.entries(exits).map(([code, meaning]) => `  ${code}  ${meaning}`),
  ].join("\n");
}

function argumentsOf(command: Command, path: readonly string[], typed: readonly string[]): Arguments {
  const value = (option: string) => {
    const found = command.options.find((one) => one.name() === option);
    return found ? command.getOptionValue(found.attributeName()) as unknown : undefined;
  };
  return {
    positionals: [...command.args],
    string: (option) => String(value(option) ?? ""),
    boolean: (option) => value(option) === true,
    number: (option) => Number(value(option)),
    line: (more) => [PROGRAM, ...path, more, ...typed.slice(path.length).map(quoted)].join(" "),
  };
}

/** A word as a shell takes it. */
function quoted(text: string): string {
  return /^[\w./:=,@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** The whole command line. */
export function programOf(groups: readonly (Group | Verb)[], about: string, line: Line): Command {
  const program = ofSeveral(new Command(PROGRAM)).description(about).enablePositionalOptions();
  for (const one of groups) {
    if (!("verbs" in one)) program.addCommand(strict(commandOf(one, [], line)));
    else {
      const group = ofSeveral(new Command(one.name)).summary(one.help).description(one.about);
      for (const verb of one.verbs) group.addCommand(strict(commandOf(verb, [one.name], line)));
      program.addCommand(group);
    }
  }
  return program;
}

/** A command of several has `help`, which run.ts spells as `--help`. */
function ofSeveral(command: Command): Command {
  return strict(command).helpCommand("help [command]", "say what a command does");
}

/** Errors are thrown, and everything is printed through output.ts. */
function strict(command: Command): Command {
  return command.exitOverride().showHelpAfterError(false).helpOption(
    "-h, --help",
    "say what this does, with examples",
  )
    .configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      writeErr: (text) => printError(text.trimEnd()),
      getOutHelpWidth: () => helpWidth(Deno.stdout),
      getErrHelpWidth: () => helpWidth(Deno.stderr),
      outputError: () => {},
    });
}

const HELP_WIDTH = 110;

function helpWidth(stream: { isTerminal(): boolean }): number {
  return stream.isTerminal() ? Math.min(HELP_WIDTH, Deno.consoleSize().columns) : HELP_WIDTH;
}

/** Runs one line. @throws CommandError for a wrong one, with the command that helps */
export async function parseLine(program: Command, args: string[]): Promise<void> {
  try {
    await program.parseAsync(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return;
    if (error.code === "commander.help") {
      throw new CommandError("a command is missing; see the list above", EXIT.usage);
    }
    const said = error.message.replace(/^error: /, "").replaceAll("\n(Did you mean", " (did you mean")
      .trimEnd();
    const text = error.code === "commander.error" ? said : said.replace(/'([^']*)'/g, '"$1"');
    throw new CommandError(
      `${text}\nSee: ${[PROGRAM, ...known(program, args)].join(" ")} --help`,
      EXIT.usage,
    );
  }
}

/** The first words of a line that name commands. */
function known(program: Command, args: readonly string[]): string[] {
  const [name] = args;
  const found = program.commands.find((command) => command.name() === name);
  return found && name !== undefined ? [name, ...known(found, args.slice(1))] : [];
}
