/** The list of subcommands. Each loads its own file when it is called, so that help and completion start at once. */
import { VERSION } from "../base/version.ts";
import { EXIT, print } from "./output.ts";

/** A subcommand; `run` takes the arguments after its name and returns the exit code. */
export interface Command {
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
      "ask or command a principal: status, promote, demote, switchover, explain, preflight, drill, diff, reconcile, deletions, forget-agent, history, watch",
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
    run: async (args) => (await import("./completion.ts")).completion(args, COMMANDS),
  },
  version: {
    help: "the release",
    run: () => {
      print(`argocd-agent-ha ${VERSION}`);
      return Promise.resolve(EXIT.ok);
    },
  },
};
