/** The whole command line, as data. Each verb loads its own file when it is called, so that help and completion start at once. */
import { Option } from "commander";
import { VERSION } from "../base/version.ts";
import { DEFAULT_ADDRESS } from "./admin_client.ts";
import { HA } from "./ha_verbs.ts";
import { INSTALL } from "./install_verbs.ts";
import { EXIT, print } from "./output.ts";
import { duration, type Group, output, PROGRAM, type Verb, whole } from "./verb.ts";

const EXITS = {
  [EXIT.ok]: "done",
  [EXIT.failed]: "it failed; the message says why",
  [EXIT.usage]: "wrong command line",
};
const MAX_DEMO_OBJECTS = 200_000;
const MAX_DEMO_AGENTS = 200;
const MAX_AGENTS = 10_000;
const MAX_DAYS = 36_500;

/** Its flags are those of the Go principal and stand in a table of their own, src/config/flags.ts, which parses them. */
const PRINCIPAL: Verb = {
  name: "principal",
  args: "[flags...]",
  help: "run a principal",
  about: `Runs a principal until SIGTERM. Its flags: ${PROGRAM} principal --help.`,
  examples: [["principal --help", "every flag, with its environment variable and default"]],
  exits: { ...EXITS, [EXIT.usage]: "a flag is wrong, or something that it needs is not there" },
  run: async ({ positionals }) => (await import("./principal.ts")).principal(positionals),
};

const storeOptions = () => [
  new Option("--store <sqlite:FILE>", "the principal's file").default(
    "sqlite:argocd-agent-ha-data/principal.db",
  ),
  new Option("-n, --namespace <NAMESPACE>", "of the objects").default("argocd"),
];

const STORE: Group = {
  name: "store",
  help: "the embedded store: apply, get, delete",
  about: "kubectl's habits for the embedded store, beside a running principal or without one.",
  verbs: [
    {
      name: "apply",
      help: "create or change objects from manifests",
      about: "Writes every object of the manifests; what the file does not name stays.",
      options: [
        new Option("-f, --filename <FILE|DIR|->", "manifests as YAML or JSON; -: standard input")
          .makeOptionMandatory(),
        duration(
          "--wait-replicated <DURATION>",
          "wait until a replica has everything; not given: do not wait",
          "0s",
        ),
        new Option("-a, --address <HOST:PORT>", "the principal that is asked whether it is replicated")
          .default(
            DEFAULT_ADDRESS,
          ),
        ...storeOptions(),
      ],
      examples: [["store apply -f apps.yaml --wait-replicated 10s", "durable on both sides when it returns"]],
      exits: EXITS,
      problem: async (args) => (await import("./store.ts")).storeProblem(args),
      run: async (args) => (await import("./store.ts")).apply(args),
    },
    {
      name: "get",
      args: "[kind] [name]",
      help: "list objects, or show one",
      about: "Lists what the store holds.",
      options: [
        output("table", "json", "yaml"),
        new Option("-A, --all-namespaces", "of every namespace"),
        ...storeOptions(),
      ],
      words: { "": "kinds" },
      examples: [["store get -A", "everything"], ["store get app shop -n edge-1 -o yaml", "one object"]],
      exits: EXITS,
      problem: async (args) => (await import("./store.ts")).storeProblem(args),
      run: async (args) => (await import("./store.ts")).get(args),
    },
    {
      name: "delete",
      args: "<kind> <name>",
      help: "delete an object",
      about: "Deletes one object; agents and the replica delete it too.",
      options: storeOptions(),
      words: { "": "kinds" },
      examples: [["store delete app shop -n edge-1", ""]],
      exits: EXITS,
      problem: async (args) => (await import("./store.ts")).storeProblem(args),
      run: async (args) => (await import("./store.ts")).remove(args),
    },
  ],
};

const PKI: Group = {
  name: "pki",
  help: "certificates to try out with: init",
  about: "Certificates to try out with; for production use your own CA.",
  verbs: [{
    name: "init",
    args: "<dir>",
    help: "a CA, certificates of two principals and of agents",
    about:
      "Writes NAME.crt and NAME.key of a CA, of primary and replica, and of agents. An existing CA is never replaced.",
    options: [
      new Option("--san <NAME,...>", "further names of the principals' certificates"),
      whole("--agents <N>", "so many agents: agent-1, agent-2, ...", 1, MAX_AGENTS),
      whole("--days <N>", "valid for so many days", 365, MAX_DAYS),
    ],
    examples: [["pki init pki --san a.example,b.example", ""]],
    exits: EXITS,
    run: async (args) => (await import("./pki.ts")).pki(args),
  }],
};

const DEMO: Verb = {
  name: "demo",
  help: "two principals and their agents on this machine, one principal is killed, the other promoted",
  about:
    "Two real principal processes replicate real manifests; the active one is killed while writes go on, and the other promoted.",
  options: [
    whole("--count <N>", "so many Applications more", 0, MAX_DEMO_OBJECTS),
    whole("--agents <N>", "so many simulated agents", 20, MAX_DEMO_AGENTS),
    new Option("--json", "only the result, as JSON"),
    new Option("--keep", "keep the folder with stores and logs"),
  ],
  examples: [["demo", ""]],
  exits: { ...EXITS, [EXIT.failed]: "an acknowledged write was lost, or not exactly one side was ACTIVE" },
  run: async (args) => (await import("./demo.ts")).demo(args),
};

const AGENT_SIM: Verb = {
  name: "agent-sim",
  help: "simulated agents against a principal, for load and for drills",
  about:
    "Agents are named PREFIX1, PREFIX2, ..., autonomous ones PREFIXauto-1, ... One line of JSON a second says how they are.",
  options: [
    new Option("--address <HOST:PORT>", "the principal").makeOptionMandatory(),
    new Option("--pki <DIR>", "a folder of pki init").makeOptionMandatory(),
    new Option("--prefix <TEXT>", "of their names").default("edge-"),
    whole("--count <N>", "so many managed agents", 1, MAX_AGENTS),
    whole("--autonomous <N>", "so many autonomous agents", 0, MAX_AGENTS),
    new Option("--misbehave <HOW>", "how they misbehave").choices([
      "never-acks",
      "deaf",
      "restless",
      "floods",
    ]),
    new Option("--websocket", "over WebSocket, as agents come that have --enable-websocket"),
    duration("--for <DURATION>", "end after this time", "24h"),
  ],
  examples: [["agent-sim --address 127.0.0.1:8443 --pki pki --count 100", ""]],
  exits: EXITS,
  run: async (args) => (await import("./agent_sim.ts")).agentSim(args),
};

const COMPLETION: Verb = {
  name: "completion",
  args: "<shell> [words...]",
  help: "shell completion: bash, zsh or fish",
  about:
    "Prints the script of a shell. It completes verbs, options and their values, kinds, named sides and agents.",
  examples: [
    ["completion bash > /etc/bash_completion.d/argocd-agent-ha", "bash"],
    ['completion zsh > "${fpath[1]}/_argocd-agent-ha"', "zsh"],
    ["completion fish > ~/.config/fish/completions/argocd-agent-ha.fish", "fish"],
  ],
  exits: EXITS,
  problem: async (args) => (await import("./completion.ts")).completionProblem(args),
  run: async (args) => (await import("./completion.ts")).completion(args, COMMANDS),
};

const VERSION_VERB: Verb = {
  name: "version",
  help: "the release",
  about: "Prints the release.",
  examples: [["version", ""]],
  exits: EXITS,
  run: () => {
    print(`${PROGRAM} ${VERSION}`);
    return Promise.resolve(EXIT.ok);
  },
};

/** The commands, in the order in which help shows them. */
export const COMMANDS: readonly (Group | Verb)[] = [
  PRINCIPAL,
  HA,
  STORE,
  INSTALL,
  PKI,
  DEMO,
  AGENT_SIM,
  COMPLETION,
  VERSION_VERB,
];
