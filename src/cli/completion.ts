/**
 * `completion bash|zsh|fish`: the scripts ask this program for every word (`completion words -- WORD...`), so that they know what it knows:
 * the tables of verbs and flags, the file of sides, and, with a short patience, the agents and keys of the principal that the line names.
 */
import { FLAGS } from "../config/flags.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { adminCall } from "./admin_client.ts";
import { EXIT, print } from "./output.ts";
import { readSides, sideNamed } from "./sides.ts";
import { reach, targetOfSide } from "./target.ts";
import { type Arguments, type Group, PROGRAM, type Verb, type Words } from "./verb.ts";

type Commands = readonly (Group | Verb)[];

/** A shell's user waits no longer for the names of agents. */
const PATIENCE_MS = 1_500;
const SHELLS: Record<string, () => string> = { bash, zsh, fish };

export function completionProblem({ positionals: [shell = "", ...words] }: Arguments): string {
  if (shell === "words") return "";
  return Object.hasOwn(SHELLS, shell) && words.length === 0
    ? ""
    : `there is no completion for "${shell.slice(0, 32)}"; for bash, zsh or fish there is`;
}

/** Prints the script of one shell, or the words that may follow others. */
export async function completion(
  { positionals: [shell = "", ...words] }: Arguments,
  commands: Commands,
): Promise<number> {
  print(shell === "words" ? (await candidates(words, commands)).join("\n") : SHELLS[shell]?.() ?? "");
  return EXIT.ok;
}

/** The words that may stand in the place of the last one. */
export async function candidates(words: readonly string[], commands: Commands): Promise<string[]> {
  const current = words.at(-1) ?? "";
  const found = await wordsFor(words.slice(0, -1), current, commands);
  return [...new Set(found)].filter((word) => word.startsWith(current));
}

async function wordsFor(before: readonly string[], current: string, commands: Commands): Promise<string[]> {
  const [first, second] = before[0] === "help" ? before.slice(1) : before;
  const one = commands.find(({ name }) => name === first);
  if (!one) return [...commands.map(({ name }) => name), "help"];
  if ("verbs" in one) {
    const verb = one.verbs.find(({ name }) => name === second);
    return verb
      ? await ofVerb(verb, before.slice(2), current)
      : [...one.verbs.map(({ name }) => name), "help"];
  }
  if (one.name === "principal") return FLAGS.map(({ name }) => `--${name}`);
  if (one.name === "completion") return Object.keys(SHELLS);
  return await ofVerb(one, before.slice(1), current);
}

async function ofVerb(
  { options = [], words = {} }: Verb,
  given: readonly string[],
  current: string,
): Promise<string[]> {
  const last = given.at(-1) ?? "";
  const valued = options.find((option) =>
    !option.isBoolean() && (option.short === last || option.long === last)
  );
  if (valued) return valued.argChoices ?? await lookedUp(words[valued.name()], given);
  const flags = options.flatMap(({ long }) => long ?? []);
  return current.startsWith("-") ? flags : [...await lookedUp(words[""], given), ...flags];
}

async function lookedUp(kind: Words | undefined, given: readonly string[]): Promise<string[]> {
  switch (kind) {
    case "kinds":
      return [...(await import("./store.ts")).KIND_NAMES];
    case "sides":
      return [...(await readSides().catch(() => new Map())).keys()];
    case "agents":
    case "keys":
      return await asked(kind, given).catch(() => []);
    default:
      return [];
  }
}

/** Agents, or keys that differ, of the principal that the line names so far. */
async function asked(kind: "agents" | "keys", given: readonly string[]): Promise<string[]> {
  const valueOf = (...names: string[]) => given[given.findIndex((word) => names.includes(word)) + 1] ?? "";
  const side = given.includes("--side") ? await sideNamed(valueOf("--side")) : {};
  const address = given.some((word) => word === "-a" || word === "--address")
    ? valueOf("-a", "--address")
    : side.address;
  const target = targetOfSide({ ...side, ...(address ? { address } : {}) });
  const { groups = [], keys = [] } = await reach(
    target,
    (client) =>
      adminCall(client, operatorService.Diff, {}, {
        address: "",
        timeoutMs: PATIENCE_MS,
        action: "completion",
      }),
  );
  return (kind === "agents" ? groups.map(({ agent }) => agent ?? "") : keys.map(({ key }) => key ?? ""))
    .filter(Boolean);
}

const FUNCTION = `_${PROGRAM.replaceAll("-", "_")}`;

function bash(): string {
  return `# bash completion of ${PROGRAM}: source <(${PROGRAM} completion bash)
${FUNCTION}() {
  local IFS=$'\\n'
  COMPREPLY=($(${PROGRAM} completion words -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F ${FUNCTION} ${PROGRAM}`;
}

function zsh(): string {
  return `#compdef ${PROGRAM}
${FUNCTION}() {
  local -a found
  found=("\${(@f)$(${PROGRAM} completion words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  compadd -a found || _files
}
compdef ${FUNCTION} ${PROGRAM}`;
}

function fish(): string {
  return `# fish completion of ${PROGRAM}
complete -c ${PROGRAM} -a "(${PROGRAM} completion words -- (commandline -opc)[2..-1] (commandline -ct) 2>/dev/null)"`;
}
