/** `completion bash|zsh|fish`: from the tables of commands and flags, so that it cannot go stale. */
import { FLAGS } from "../config/flags.ts";
import { CommandError, EXIT, print } from "./output.ts";
import { COMMANDS } from "./run.ts";

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

export function completion(args: string[]): Promise<number> {
  const [shell = ""] = args;
  const script = { bash, zsh, fish }[shell as "bash" | "zsh" | "fish"];
  if (!script || args.length !== 1) {
    throw new CommandError(
      `completion for "${shell.slice(0, 32)}" does not exist\nUsage: ${PROGRAM} completion bash|zsh|fish`,
      EXIT.usage,
    );
  }
  print(script());
  return Promise.resolve(EXIT.ok);
}

function bash(): string {
  const cases = Object.entries(WORDS).map(([name, words]) => `    ${name}) words="${words.join(" ")}" ;;`);
  return `# bash completion of ${PROGRAM}: source <(${PROGRAM} completion bash)
_${PROGRAM.replaceAll("-", "_")}() {
  local words="${Object.keys(COMMANDS).join(" ")}"
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

function zsh(): string {
  return `#compdef ${PROGRAM}\nautoload -U +X bashcompinit && bashcompinit\n${bash()}`;
}

function fish(): string {
  const top = Object.entries(COMMANDS).map(([name, { help }]) =>
    `complete -c ${PROGRAM} -f -n __fish_use_subcommand -a ${name} -d "${help}"`
  );
  const nested = Object.entries(WORDS).map(([name, words]) =>
    `complete -c ${PROGRAM} -n "__fish_seen_subcommand_from ${name}" -a "${words.join(" ")}"`
  );
  return [`# fish completion of ${PROGRAM}`, ...top, ...nested].join("\n");
}
