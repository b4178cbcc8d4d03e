/** Runs one command line. */
import { COMMANDS } from "./commands.ts";
import { CommandError, EXIT, print, printError } from "./output.ts";
import { parseLine, programOf } from "./verb.ts";

const ABOUT = "A principal for argocd-agent with active/passive high availability.";

/** Runs one command line; returns the exit code. */
export async function run(args: string[]): Promise<number> {
  try {
    // Its flags are the Go principal's and read from a table of their own.
    if (args[0] === "principal") return await (await import("./principal.ts")).principal(args.slice(1));
    let code: number = EXIT.ok;
    const line = spelled(args);
    const program = programOf(COMMANDS, ABOUT, { args: line, done: (given) => code = given });
    if (line.length === 0) {
      print(program.helpInformation().trimEnd());
      return EXIT.usage;
    }
    await parseLine(program, line);
    return code;
  } catch (error) {
    printError(`Error: ${error instanceof Error ? error.message : String(error)}`);
    return error instanceof CommandError ? error.exitCode : EXIT.failed;
  }
}

/** `-a=VALUE` is `-a VALUE`, as with the Go CLI; `help A B` is `A B --help`, at every level; `--version` is `version`. */
function spelled(given: readonly string[]): string[] {
  const args = given.flatMap((word) => /^-[a-zA-Z]=/.test(word) ? [word.slice(0, 2), word.slice(3)] : [word]);
  const at = args.indexOf("help");
  const isHelp = at === 0 || (at === 1 && COMMANDS.some((one) => "verbs" in one && one.name === args[0]));
  if (isHelp) return [...args.slice(0, at), ...args.slice(at + 1), "--help"];
  return args[0] === "--version" ? ["version", ...args.slice(1)] : [...args];
}
