/** `completion bash|zsh|fish`: from the tables of commands and flags, so that it cannot go stale. */
import { FLAGS } from "../config/flags.ts";
import { CommandError, EXIT, print } from "./output.ts";

const PROGRAM = "argocd-agent-ha";

/** Words after each command. */
const WORDS: Record<string, readonly string[]> = {
  principal: FLAGS.map((flag) => `--${flag.name}`),
  ha: [
    "status",
    "promote",
    "demote",
    "switchover",
    "explain",
    "preflight",
    "drill",
    "diff",
    "reconcile",
    "deletions",
    "forget-agent",
    "history",
    "watch",
    "--address",
    "--timeout",
    "--output",
    "--force",
    "--dry-run",
    "--yes",
    "--interval",
    "--once",
    "--adopt",
    "--discard",
    "--all",
    "--repair",
    "--agent",
  ],
  store: ["apply", "get", "delete", "--store", "--namespace", "--filename", "--output", "--wait-replicated"],
  pki: ["init", "--san", "--agents", "--days"],
  demo: ["--count", "--agents", "--json", "--keep"],
  "agent-sim": ["--address", "--pki", "--prefix", "--count", "--autonomous", "--misbehave", "--for"],
  completion: ["bash", "zsh", "fish"],
};

/** Subcommands by name, as commands.ts lists them. */
type Commands = Record<string, { help: string }>;

/** Prints the script of one shell for these subcommands. @throws CommandError for another shell */
export function completion(args: string[], commands: Commands): Promise<number> {
  const [shell = ""] = args;
  const script = { bash, zsh, fish }[shell as "bash" | "zsh" | "fish"];
  if (!script || args.length !== 1) {
    throw new CommandError(
      `completion for "${shell.slice(0, 32)}" does not exist\nUsage: ${PROGRAM} completion bash|zsh|fish`,
      EXIT.usage,
    );
  }
  print(script(commands));
  return Promise.resolve(EXIT.ok);
}

function bash(commands: Commands): string {
  const cases = Object.entries(WORDS).map(([name, words]) => `    ${name}) words="${words.join(" ")}" ;;`);
  return `# bash completion of ${PROGRAM}: source <(${PROGRAM} completion bash)
_${PROGRAM.replaceAll("-", "_")}() {
  local words="${Object.keys(commands).join(" ")}"
  if [ "$COMP_CWORD" -gt 1 ]; then
    case "\${COMP_WORDS[1]}" in
${cases.join("\n")}
    *) words="" ;;
    esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _${PROGRAM.replaceAll("-", "_")} ${PROGRAM}`;
}

function zsh(commands: Commands): string {
  return `#compdef ${PROGRAM}\nautoload -U +X bashcompinit && bashcompinit\n${bash(commands)}`;
}

function fish(commands: Commands): string {
  const top = Object.entries(commands).map(([name, { help }]) =>
    `complete -c ${PROGRAM} -f -n __fish_use_subcommand -a ${name} -d "${help}"`
  );
  const nested = Object.entries(WORDS).map(([name, words]) =>
    `complete -c ${PROGRAM} -n "__fish_seen_subcommand_from ${name}" -a "${words.join(" ")}"`
  );
  return [`# fish completion of ${PROGRAM}`, ...top, ...nested].join("\n");
}
