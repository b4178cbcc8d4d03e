/** `ha status|promote|demote|switchover|explain|preflight|diff|reconcile|deletions|forget-agent|history|watch`: the Go CLI's commands and output, and a live screen. */
import type { argocdagentha, haadminapi } from "../../proto/gen.d.ts";
import { type Client, firstOf, openServerStream } from "../adapters/grpc/dial.ts";
import { adminService, operatorService } from "../adapters/grpc/services.ts";
import { parseDuration } from "../config/settings.ts";
import { adminCall, DEFAULT_ADDRESS } from "./admin_client.ts";
import { type Arguments, durationOption, parse } from "./arguments.ts";
import { CommandError, EXIT, json, print } from "./output.ts";
import { TARGET_OPTIONS, TARGET_USAGE, withTarget } from "./target.ts";
import { yaml } from "./yaml.ts";

const USAGE = `argocd-agent-ha ha status [-o text|json|yaml] [-t TIMEOUT] [PRINCIPAL]
       argocd-agent-ha ha promote [--dry-run] [--yes] [--force] [-t TIMEOUT] [PRINCIPAL]
       argocd-agent-ha ha demote [--yes] [--force] [-t TIMEOUT] [PRINCIPAL]
       argocd-agent-ha ha switchover [--dry-run] [--yes] [-t TIMEOUT] [-o text|json] [PRINCIPAL]
       argocd-agent-ha ha explain [-o text|json] [PRINCIPAL]
       argocd-agent-ha ha preflight [-o text|json] [PRINCIPAL]
       argocd-agent-ha ha drill [--agent NAME] [-t TIMEOUT] [-o text|json] [PRINCIPAL]
       argocd-agent-ha ha diff [KEY...] [--repair [--all] [--yes]] [-o text|json] [PRINCIPAL]
       argocd-agent-ha ha reconcile [(--adopt | --discard) (--all | KEY...) [--yes]] [-o text|json] [PRINCIPAL]
       argocd-agent-ha ha deletions [(--release | --restore) (--all | --agent NAME | KEY...) [--yes]] [-o text|json] [PRINCIPAL]
       argocd-agent-ha ha forget-agent NAME [--yes] [PRINCIPAL]
       argocd-agent-ha ha history [-o text|json] [PRINCIPAL]
       argocd-agent-ha ha watch [-i INTERVAL] [--once] [PRINCIPAL]
PRINCIPAL: ${TARGET_USAGE}
       default: the principal's pod in the current context; without a kubeconfig ${DEFAULT_ADDRESS}`;

export async function ha(args: string[]): Promise<number> {
  const [name = "", ...rest] = args;
  switch (name) {
    case "status":
      return await status(rest);
    case "promote":
    case "demote":
      return await change(name, rest);
    case "switchover":
      return await (await import("./switchover.ts")).switchover(rest, USAGE, () => confirmed(name));
    case "explain":
      return await (await import("./knowing.ts")).explainCommand(rest, USAGE);
    case "preflight":
      return await (await import("./knowing.ts")).preflightCommand(rest, USAGE);
    case "drill":
      return await (await import("./drill.ts")).drill(rest, USAGE);
    case "diff":
      return await (await import("./diff.ts")).diff(rest, USAGE, () => confirmed(name));
    case "reconcile":
      return await (await import("./reconcile.ts")).reconcile(rest, USAGE, () => confirmed(name));
    case "deletions":
      return await (await import("./deletions.ts")).deletions(rest, USAGE, () => confirmed(name));
    case "forget-agent":
      return await (await import("./forget_agent.ts")).forgetAgentCommand(rest, USAGE, () => confirmed(name));
    case "history":
      return await (await import("./knowing.ts")).historyCommand(rest, USAGE);
    case "watch":
      return await (await import("./watch.ts")).watch(rest, USAGE);
    case "--help":
    case "-h":
      print(`Usage: ${USAGE}`);
      return EXIT.ok;
    default:
      throw new CommandError(
        `${name ? `unknown command "ha ${name.slice(0, 64)}"` : "a subcommand is missing"}\nUsage: ${USAGE}`,
        EXIT.usage,
      );
  }
}

async function status(args: string[]): Promise<number> {
  const options = parse(args, {
    strings: { ...TARGET_OPTIONS, timeout: "10s", output: "text" },
    alias: { address: "a", timeout: "t", output: "o" },
    positionals: [0, 0],
    usage: USAGE,
  });
  const output = options.string("output");
  const [response, report] = await withTarget(options, async (client, address) => {
    const call = callOptions(options, address, "failed to get HA status");
    const status = await adminCall(client, adminService.Status, {}, call);
    return [status, output === "text" || output === "json" ? await reportOf(client) : undefined] as const;
  });
  const { troubles, exposureLines, exposureFields } = await import("./watch.ts");
  const more = report ? exposureFields(report) : {};
  const lines = report && output === "text" ? [...exposureLines(report), ...troubles(report)] : [];
  const text = lines.map(([label, text]) => `\n${label ? `${titled(label)}:`.padEnd(19) : "  "}${text}`);
  print(formatStatus(response, output, Date.now(), more) + text.join(""));
  return EXIT.ok;
}

/** Our own report, for the facts that the Go CLI's status lacks; undefined: a Go principal has none. */
async function reportOf(client: Client): Promise<argocdagentha.v1.Report | undefined> {
  return await firstOf(openServerStream(client, operatorService.Watch, { intervalMs: 60_000 }));
}

function titled(label: string): string {
  return label.charAt(0).toUpperCase() + label.slice(1);
}

async function change(kind: "promote" | "demote", args: string[]): Promise<number> {
  const options = parse(args, {
    strings: { ...TARGET_OPTIONS, timeout: "30s" },
    booleans: ["force", "yes", ...(kind === "promote" ? ["dry-run"] : [])],
    alias: { address: "a", timeout: "t", force: "f", yes: "y" },
    positionals: [0, 0],
    usage: USAGE,
  });
  const force = options.boolean("force");
  if (options.boolean("dry-run")) return await dryRun(options, force);
  if (!force && !options.boolean("yes") && !confirmed(kind)) {
    print("Operation cancelled.");
    return EXIT.ok;
  }
  const { state } = await withTarget(options, (client, address) => {
    const call = callOptions(options, address, `${kind} failed`);
    return kind === "promote"
      ? adminCall(client, adminService.Promote, { force }, call)
      : adminCall(client, adminService.Demote, {}, call);
  });
  print(`${kind === "promote" ? "Promoted" : "Demoted"}. State is now: ${state}`);
  return EXIT.ok;
}

/** Predicts a promotion and changes nothing. Exit code 1: it would be refused. */
async function dryRun(options: Arguments, force: boolean): Promise<number> {
  const { askExplanation } = await import("./knowing.ts");
  const explanation = await askExplanation(options, "promote --dry-run failed");
  const verdict = force ? explanation.force : explanation.promote;
  print(
    `Dry run: ha promote${force ? " --force" : ""} ${verdict?.allowed ? "" : "would be refused: "}${
      verdict?.text ?? ""
    }`,
  );
  print(`Possible loss: ${explanation.loss ?? ""}`);
  return verdict?.allowed ? EXIT.ok : EXIT.failed;
}

function callOptions(options: Arguments, address: string, action: string) {
  return {
    address,
    timeoutMs: durationOption(options, "timeout", parseDuration),
    action,
  };
}

const WARNINGS = {
  promote: ["WARNING: This will promote the principal to ACTIVE.", "Connected agents may need to reconnect."],
  demote: [
    "WARNING: This will demote the principal to REPLICA.",
    "All connected agents will be disconnected.",
  ],
  diff: ["WARNING: This overwrites these resources on the replica with the state of the ACTIVE principal."],
  reconcile: [
    "WARNING: An adopted state overwrites the present one on the ACTIVE principal; a discarded one is gone.",
  ],
  deletions: [
    "WARNING: What is released is deleted, at agents with everything that the Applications deployed; what is restored is written over " +
    "what the ACTIVE principal has.",
  ],
  "forget-agent": [
    "WARNING: This takes the agent off the roster: no preflight looks for its namespace any more.",
    "Its resources stay.",
  ],
  switchover: [
    "WARNING: This will make the replica ACTIVE and this pair's ACTIVE its replica.",
    "Connected agents will reconnect.",
  ],
};

function confirmed(kind: keyof typeof WARNINGS): boolean {
  print([...WARNINGS[kind], ""].join("\n"));
  Deno.stdout.writeSync(new TextEncoder().encode("Proceed? [y/N]: "));
  const buffer = new Uint8Array(64);
  const read = Deno.stdin.readSync(buffer) ?? 0;
  const answer = new TextDecoder().decode(buffer.subarray(0, read)).trim();
  if (!Deno.stdin.isTerminal()) print("");
  return answer === "y" || answer === "Y";
}

/** A status as the Go CLI prints it. @throws CommandError on an unknown format, after the call as there */
export function formatStatus(
  status: haadminapi.HAStatusResponse,
  format: string,
  nowMs: number,
  more: Record<string, unknown> = {},
): string {
  const all = fields(status);
  switch (format) {
    case "text":
      return text(status, nowMs);
    case "json":
      return json({
        ...Object.fromEntries(
          Object.entries(all).filter(([name, v]) =>
            (name === "last_sequence_num" && all.last_event_timestamp > 0) ||
            (v !== "" && v !== false && v !== 0)
          ),
        ),
        ...more,
      });
    case "yaml":
      return yaml(Object.fromEntries(Object.entries(all).map(([name, v]) => [name.replaceAll("_", ""), v])));
    default:
      throw new CommandError(`unknown output format: ${format}`);
  }
}

function fields(status: haadminapi.HAStatusResponse) {
  return {
    state: status.state ?? "",
    preferred_role: status.preferred_role ?? "",
    peer_address: status.peer_address ?? "",
    peer_reachable: status.peer_reachable ?? false,
    peer_state: status.peer_state ?? "",
    connected_replicas: status.connected_replicas ?? 0,
    last_event_timestamp: status.last_event_timestamp ?? 0,
    last_sequence_num: status.last_sequence_num ?? 0,
    connected_agents: status.connected_agents ?? 0,
  };
}

function text(status: haadminapi.HAStatusResponse, nowMs: number): string {
  const all = fields(status);
  const lines: [string, string][] = [["State:", all.state], ["Preferred Role:", all.preferred_role]];
  if (all.peer_address) lines.push(["Peer Address:", all.peer_address]);
  // Also before the peer has answered: a line must not come and go with that.
  if (all.peer_address) lines.push(["Peer State:", all.peer_state || "not known"]);
  if (all.state === "active") lines.push(["Connected Replicas:", String(all.connected_replicas)]);
  else lines.push(["Replicating:", String(all.peer_reachable)]);
  lines.push(["Connected Agents:", String(all.connected_agents)]);
  if (all.last_event_timestamp > 0) {
    lines.push(["Last Event:", `${Math.max(0, Math.floor(nowMs / 1000) - all.last_event_timestamp)}s ago`]);
    // Also 0: an event that has come may not be durable yet, and a line must not come and go with that.
    lines.push(["Last Sequence:", String(all.last_sequence_num)]);
  }
  const body = lines.map(([label, value]) =>
    label.length < 19 ? label.padEnd(19) + value : `${label} ${value}`
  );
  return ["HA Status", "---------", ...body].join("\n");
}
