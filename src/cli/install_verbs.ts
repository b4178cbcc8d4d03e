/** The verbs of `install`. */
import { Option } from "commander";
import { addressOf, agentNames, type Answers } from "./install/answers.ts";
import { imageOf } from "./install/kubernetes.ts";
import { EXIT, print } from "./output.ts";
import { type Arguments, type Group, whole } from "./verb.ts";

const EXITS = {
  [EXIT.ok]: "everything is written; the steps that are left are printed, and stand in NEXT.txt",
  [EXIT.failed]: "the folder is not empty or cannot be written; what it had is unchanged",
  [EXIT.usage]: "an answer is missing or wrong",
};
const HTTPS = 443;
const GRPC = 8_443;
const FIRST_PORT = 18_440;
const MAX_DAYS = 36_500;

const common = () => [
  new Option("--agents <NAME,...>", "names of agents, as their namespaces are called").default(""),
  new Option("-n, --namespace <NAMESPACE>", "the principals' namespace, the same on both sides")
    .default("argocd"),
  whole("--days <N>", "certificates are valid for so many days", 365, MAX_DAYS),
];

const addresses = () => [
  new Option("--primary <HOST[:PORT]>", "where the replica reaches the primary").makeOptionMandatory(),
  new Option("--replica <HOST[:PORT]>", "where the primary reaches the replica").makeOptionMandatory(),
  new Option("--front <HOST[:PORT]>", "the one address that agents know").makeOptionMandatory(),
];

function rest(args: Arguments): Pick<Answers, "namespace" | "agents" | "days"> {
  return {
    namespace: args.string("namespace"),
    agents: agentNames(args.string("agents")),
    days: args.number("days"),
  };
}

function answers(args: Arguments, port: number): Answers {
  const address = (name: string) => addressOf(name, args.string(name), port);
  const sides = { primary: address("primary"), replica: address("replica") };
  return { ...rest(args), sides, front: address("front") };
}

async function done(steps: Promise<string>): Promise<number> {
  print((await steps).trimEnd());
  return EXIT.ok;
}

const IMAGE_WORDS =
  "--image: must name the image by its digest, REGISTRY/NAME@sha256:DIGEST; a tag may name another program tomorrow";

export const INSTALL: Group = {
  name: "install",
  help: "everything that a pair and its agents need, from a few answers",
  about:
    "Writes certificates, keys, settings and examples for the GSLB into a new folder, and says what is left to do.",
  verbs: [
    {
      name: "clusters",
      args: "<dir>",
      help: "for two Kubernetes clusters",
      about:
        "A kustomization for each cluster with its Secrets, Argo CD's clusters of the agents, and the Secrets of the agents' clusters.",
      options: [
        new Option("--image <IMAGE@DIGEST>", "your build of the principal").makeOptionMandatory(),
        ...addresses(),
        ...common(),
      ],
      examples: [[
        "install clusters pair --image REGISTRY/argocd-agent-ha@sha256:DIGEST --primary a.example --replica b.example --front agents.example --agents edge-1,edge-2",
        "",
      ]],
      exits: EXITS,
      problem: (args) => imageOf(args.string("image")) ? "" : IMAGE_WORDS,
      run: async (args) => {
        const { installClusters } = await import("./install.ts");
        const image = imageOf(args.string("image")) ?? { name: "", digest: "" };
        return await done(installClusters(args.positionals[0] ?? "", answers(args, HTTPS), image));
      },
    },
    {
      name: "hosts",
      args: "<dir>",
      help: "for two hosts with systemd and the embedded store",
      about: "For each host its settings as environment variables, its certificates and a systemd unit.",
      options: [...addresses(), ...common()],
      examples: [[
        "install hosts pair --primary a.example --replica b.example --front agents.example --agents edge-1",
        "",
      ]],
      exits: EXITS,
      run: async (args) => {
        const { installHosts } = await import("./install.ts");
        return await done(installHosts(args.positionals[0] ?? "", answers(args, GRPC)));
      },
    },
    {
      name: "laptop",
      args: "<dir>",
      help: "for two processes on this machine",
      about: "The settings and certificates of both, on the loopback, to try out with.",
      options: [
        whole("--first-port <N>", "the first of ten ports in a row", FIRST_PORT, 65_525),
        ...common(),
      ],
      examples: [["install laptop trial", ""]],
      exits: EXITS,
      run: async (args) => {
        const { installLaptop } = await import("./install.ts");
        return await done(installLaptop(args.positionals[0] ?? "", rest(args), args.number("first-port")));
      },
    },
  ],
};
