/** `ha VERB`: the questions and commands for a principal, as data. Each verb loads its own file when it is called. */
import { Option } from "commander";
import { EXIT } from "./output.ts";
import { targetOptions, targetProblem } from "./target.ts";
import { type Arguments, duration, EXITS, type Group, output, type Verb, yes } from "./verb.ts";

const timeout = (fallback: string) =>
  duration("-t, --timeout <DURATION>", "how long to wait for the principal", fallback);
const force = (help: string) => new Option("-f, --force", help);
const all = (help: string) => new Option("--all", help);

/** A verb with the options that name a principal. */
function verb({ options = [], problem, words, ...rest }: Verb): Verb {
  return {
    ...rest,
    options: [...options, ...targetOptions()],
    words: { side: "sides", ...words },
    problem: async (args: Arguments) => targetProblem(args) || (await problem?.(args) ?? ""),
  };
}

const LOOKS: Verb[] = [
  verb({
    name: "status",
    help: "what this side is, and what stands against a failover",
    about:
      "Shows one side in the Go CLI's form, and below it what a loss would take along and what needs a person on either side. " +
      "Type it first.",
    options: [
      output("text", "json", "yaml"),
      timeout("10s"),
    ],
    examples: [
      ["ha status", "the principal's pod in the current context"],
      ["ha status --side east -o json", "a side of the file of sides, for programs"],
    ],
    exits: EXITS,
    run: async (args) => (await import("./status.ts")).status(args),
  }),
  verb({
    name: "explain",
    help: "why this side is as it is, which side is the better one, and the next command",
    about:
      "Asks this side and, through it, the peer; says what a promotion or demotion would do, ranks both sides, and ends with " +
      "exactly one command. " +
      "Type it when status does not say what you expect.",
    options: [output("text", "json"), timeout("10s")],
    examples: [["ha explain", ""], ["ha explain -o json", "for programs"]],
    exits: EXITS,
    run: async (args) => (await import("./knowing.ts")).explainCommand(args),
  }),
  verb({
    name: "preflight",
    help: "is the pair ready for a failover?",
    about:
      "Looks at both sides: roles, digests, rights, definitions, certificates, clocks, signing keys, dependencies. Type it before " +
      "a planned move, after an upgrade, and from a monitor.",
    options: [output("text", "json"), timeout("10s")],
    examples: [["ha preflight", ""], ["ha preflight -o json", "for a monitor, with the exit code"]],
    exits: {
      ...EXITS,
      [EXIT.ok]: "ready",
      [EXIT.failed]:
        "not ready: a failover now would fail or lose something; or the principal cannot be reached",
    },
    run: async (args) => (await import("./knowing.ts")).preflightCommand(args),
  }),
  verb({
    name: "history",
    help: "who asked for what, and what came of it",
    about:
      "The durable history of this side: commands with the operator who typed them, their outcomes, and every change of role. " +
      "Entries are chained by hashes; a changed or missing one shows.",
    options: [output("text", "json"), timeout("10s")],
    examples: [["ha history", ""]],
    exits: { ...EXITS, [EXIT.failed]: "the chain is broken, or the principal cannot be reached" },
    run: async (args) => (await import("./knowing.ts")).historyCommand(args),
  }),
  verb({
    name: "watch",
    help: "both sides on one screen, kept up to date",
    about: "Shows reports as they change, until Ctrl-C or until the reader of a pipe is gone.",
    options: [
      duration("-i, --interval <DURATION>", "the time between two reports", "1s"),
      new Option("--once", "one report, and end"),
    ],
    examples: [["ha watch", ""]],
    exits: { ...EXITS, [EXIT.failed]: "with --once: the principal cannot be reached" },
    run: async (args) => (await import("./watch.ts")).watch(args),
  }),
];

const MOVES: Verb[] = [
  verb({
    name: "switchover",
    help: "the planned move, in one command from either side",
    about:
      "Makes the replica ACTIVE and the ACTIVE its replica, and loses nothing. Every failure before the hand-over is undone. It " +
      "looks first, shows both sides and the consequence, and asks; it ends with a receipt.",
    options: [
      new Option("--dry-run", "look only: can one begin, and what would be repaired first"),
      yes(),
      output("text", "json"),
      timeout("30s"),
    ],
    examples: [
      ["ha switchover --dry-run", "can it begin?"],
      ["ha switchover", "look, ask, move"],
      ["ha switchover --yes -o json", "from a script"],
    ],
    exits: EXITS,
    run: async (args) => (await import("./switchover.ts")).switchover(args),
  }),
  verb({
    name: "promote",
    help: "make this side ACTIVE, because the other one is dead",
    about:
      "For a region that died. It looks first and shows both sides, the possible loss and the consequence, and asks. A peer that " +
      "is ACTIVE, or a copy that was never complete, is a refusal; --force overrides that and is asked for too: against a live ACTIVE " +
      "this side's name has to be typed.",
    options: [
      new Option("--dry-run", "say what it would do, and change nothing"),
      force("override a refusal"),
      yes(),
      timeout("30s"),
    ],
    examples: [
      ["ha promote --dry-run", "would it go through, and what would be lost?"],
      ["ha promote", "look, ask, promote"],
      ["ha promote --yes --force", "from a script, over a refusal"],
    ],
    exits: EXITS,
    run: async (args) => (await import("./roles.ts")).promote(args),
  }),
  verb({
    name: "demote",
    help: "make this side stop serving (ha switchover moves in one command)",
    about:
      "For a peer that is a Go principal, and for two that are both ACTIVE. Afterwards no principal serves until a promotion. " +
      "Refused where no replica follows, because nobody could take over; --force overrides that.",
    options: [force("stop serving although no replica follows"), yes(), timeout("30s")],
    examples: [["ha demote", "look, ask, demote"]],
    exits: EXITS,
    run: async (args) => (await import("./roles.ts")).demote(args),
  }),
  verb({
    name: "drill",
    help: "a failover that does not happen, with one simulated agent",
    about:
      "At the replica, on any day: promotes a second principal over a copy in memory and serves one simulated agent. Nothing is " +
      "written and no real agent is let in.",
    options: [
      new Option("--agent <NAME>", "default: the one with the most Applications"),
      output("text", "json"),
      timeout("60s"),
    ],
    words: { agent: "agents" },
    examples: [["ha drill", ""], ["ha drill --agent edge-1", "a certain agent"]],
    exits: { ...EXITS, [EXIT.failed]: "a failover would lack something for this agent; or refused" },
    run: async (args) => (await import("./drill.ts")).drill(args),
  }),
];

const MENDS: Verb[] = [
  verb({
    name: "diff",
    args: "[key...]",
    help: "where the two sides differ, and the replica's copies repaired",
    about:
      "Compares both sides by digests; of named keys (KIND/NAMESPACE/NAME) also in which fields they differ. --repair copies the " +
      "ACTIVE's state to the replica.",
    options: [
      new Option("--repair", "make the replica's copies what the ACTIVE has"),
      all("with --repair: everything that differs"),
      yes(),
      output("text", "json"),
      timeout("30s"),
    ],
    words: { "": "keys" },
    problem: async (args) => (await import("./diff.ts")).diffProblem(args),
    examples: [
      ["ha diff", "how many, by kind and agent"],
      ["ha diff Application/edge-1/shop", "in which fields"],
      ["ha diff --repair --all", "look, ask, repair"],
    ],
    exits: {
      ...EXITS,
      [EXIT.ok]: "the same on both sides, or repaired",
      [EXIT.failed]: "they differ, or it failed",
    },
    run: async (args) => (await import("./diff.ts")).diff(args),
  }),
  verb({
    name: "reconcile",
    args: "[key...]",
    help: "what a former ACTIVE held and the new one never got",
    about:
      "Lists the overwritten and deleted states that are kept. --adopt, at the ACTIVE, writes the saved state over the present one; " +
      "--discard, at the side that keeps it, forgets it.",
    options: [
      new Option("--adopt", "the ACTIVE takes the saved state").conflicts("discard"),
      new Option("--discard", "the saved state is forgotten"),
      all("every key; with --adopt none that may be newer at the ACTIVE"),
      yes(),
      output("text", "json"),
      timeout("60s"),
    ],
    words: { "": "keys" },
    problem: async (args) => (await import("./reconcile.ts")).reconcileProblem(args),
    examples: [
      ["ha reconcile", "what is kept"],
      ["ha reconcile --adopt Application/edge-1/shop", "one of them"],
    ],
    exits: EXITS,
    run: async (args) => (await import("./reconcile.ts")).reconcile(args),
  }),
  verb({
    name: "deletions",
    args: "[key...]",
    help: "deletions that wait for a decision",
    about:
      "Lists the deletions that the guard holds on this side. --release lets them go on; --restore has the objects restored at the " +
      "ACTIVE.",
    options: [
      new Option("--release", "the deletions go on").conflicts("restore"),
      new Option("--restore", "the ACTIVE has the objects again"),
      all("every deletion"),
      new Option("--agent <NAME>", "only those at this agent"),
      yes(),
      output("text", "json"),
      timeout("60s"),
    ],
    words: { "": "keys", agent: "agents" },
    problem: async (args) => (await import("./deletions.ts")).deletionsProblem(args),
    examples: [
      ["ha deletions", "what waits"],
      ["ha deletions --restore --agent edge-1", "everything at one agent"],
    ],
    exits: EXITS,
    run: async (args) => (await import("./deletions.ts")).deletions(args),
  }),
  verb({
    name: "forget-agent",
    args: "<name>",
    help: "takes an agent that will not come back off the list",
    about:
      "At the ACTIVE: the agent leaves the list on both sides and no preflight looks for its namespace. Its resources stay.",
    options: [yes(), timeout("10s")],
    words: { "": "agents" },
    problem: async (args) => (await import("./forget_agent.ts")).forgetProblem(args),
    examples: [["ha forget-agent edge-9", ""]],
    exits: EXITS,
    run: async (args) => (await import("./forget_agent.ts")).forgetAgentCommand(args),
  }),
];

export const HA: Group = {
  name: "ha",
  help: "ask or command a principal",
  about: "Asks or commands a principal. Begin with status; explain says what to type next.",
  verbs: [...LOOKS, ...MOVES, ...MENDS],
};
