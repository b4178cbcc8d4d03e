/** Dispatch by the first argument; each subcommand loads only what it needs. */
import { VERSION } from "../base/version.ts";
import { CommandError, EXIT, HelpRequest, print, printError } from "./output.ts";

interface Command {
  help: string;
  run(args: string[]): Promise<number>;
}

/** The subcommands, in the order in which help shows them. */
export const COMMANDS: Record<string, Command> = {
  principal: {
    help: "run a principal",
    run: async (args) => (await import("./principal.ts")).principal(args),
  },
  ha: {
    help:
      "ask or command a principal: status, promote, demote, switchover, explain, preflight, drill, diff, reconcile, history, watch",
    run: async (args) => (await import("./ha.ts")).ha(args),
  },
  store: {
    help: "the embedded store: apply, get, delete",
    run: async (args) => (await import("./store.ts")).store(args),
  },
  pki: {
    help: "certificates to try out with: init",
    run: async (args) => (await import("./pki.ts")).pki(args),
  },
  demo: {
    help: "two principals and their agents on this machine, one principal is killed, the other promoted",
    run: async (args) => (await import("./demo.ts")).demo(args),
  },
  "agent-sim": {
    help: "simulated agents against a principal, for load and for drills",
    run: async (args) => (await import("./agent_sim.ts")).agentSim(args),
  },
  completion: {
    help: "shell completion: bash, zsh or fish",
    run: async (args) => (await import("./completion.ts")).completion(args),
  },
  version: {
    help: "the release",
    run: () => {
      print(`argocd-agent-ha ${VERSION}`);
      return Promise.resolve(EXIT.ok);
    },
  },
};

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
