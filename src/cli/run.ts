/** Dispatch by the first argument. */
import { COMMANDS } from "./commands.ts";
import { CommandError, EXIT, HelpRequest, print, printError } from "./output.ts";

/** The help of the whole program. */
export function usage(): string {
  const width = Math.max(...Object.keys(COMMANDS).map((name) => name.length));
  const lines = Object.entries(COMMANDS).map(([name, { help }]) => `  ${name.padEnd(width)}  ${help}`);
  return [
    "argocd-agent-ha: a principal for argocd-agent with active/passive high availability",
    "",
    "Usage: argocd-agent-ha COMMAND [ARGUMENTS]; COMMAND --help says more",
    "",
    ...lines,
  ].join("\n");
}

/** Runs one command line; returns the exit code. */
export async function run(args: string[]): Promise<number> {
  const [name = "", ...rest] = args;
  if (name === "" || name === "help" || name === "--help" || name === "-h") {
    print(usage());
    return name === "" ? EXIT.usage : EXIT.ok;
  }
  const command = Object.hasOwn(COMMANDS, name === "--version" ? "version" : name)
    ? COMMANDS[name === "--version" ? "version" : name]
    : undefined;
  if (!command) {
    printError(
      `Error: unknown command "${name.slice(0, 64)}"; the commands are ${Object.keys(COMMANDS).join(", ")}`,
    );
    return EXIT.usage;
  }
  try {
    return await command.run(rest);
  } catch (error) {
    if (error instanceof HelpRequest) {
      print(error.message);
      return EXIT.ok;
    }
    printError(`Error: ${error instanceof Error ? error.message : String(error)}`);
    return error instanceof CommandError ? error.exitCode : EXIT.failed;
  }
}
