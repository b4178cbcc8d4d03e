/** `ha switchover`: the planned move in one command, and its receipt. */
import type { argocdagentha } from "../../proto/gen.d.ts";
import { openServerStream, operatorMetadata } from "../adapters/grpc/dial.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { digestFromWire } from "../adapters/grpc/wire.ts";
import { parseDuration } from "../config/settings.ts";
import { adminError, operatorName } from "./admin_client.ts";
import { durationOption, outputOption, parse } from "./arguments.ts";
import { CommandError, EXIT, json, print } from "./output.ts";
import { TARGET_OPTIONS, withTarget } from "./target.ts";

type Progress = argocdagentha.v1.SwitchoverProgress;
type Receipt = argocdagentha.v1.Receipt;

/** @param confirmed asks the operator; false: not now */
export async function switchover(args: string[], usage: string, confirmed: () => boolean): Promise<number> {
  const options = parse(args, {
    strings: { ...TARGET_OPTIONS, timeout: "30s", output: "text" },
    booleans: ["dry-run", "yes"],
    alias: { address: "a", timeout: "t", output: "o", yes: "y" },
    positionals: [0, 0],
    usage,
  });
  const output = outputOption(options);
  const timeoutMs = Math.round(durationOption(options, "timeout", parseDuration));
  const dryRun = options.boolean("dry-run");
  if (!dryRun && !options.boolean("yes") && !confirmed()) {
    print("Operation cancelled.");
    return EXIT.ok;
  }
  const request = { dryRun, timeoutMs };
  const tell = output === "text" ? (progress: Progress) => print(progressLine(progress)) : () => {};
  const receipt = await withTarget(
    options,
    (client, address) =>
      new Promise<Receipt>((resolve, reject) => {
        const stream = openServerStream(
          client,
          operatorService.Switchover,
          request,
          operatorMetadata(operatorName()),
        );
        stream.on("data", (progress: Progress) =>
          progress.receipt ? resolve(progress.receipt) : tell(progress));
        stream.on("error", (error: unknown) =>
          reject(adminError(error, { address, action: "switchover failed" })));
        stream.on("end", () =>
          reject(new CommandError("switchover failed: the principal ended without a receipt")));
      }),
  );
  print(output === "json" ? json(plain(receipt)) : `\n${receiptText(receipt)}`);
  return EXIT.ok;
}

function progressLine({ atMs = 0, phase = "", text = "" }: Progress): string {
  return `${(atMs / 1_000).toFixed(3).padStart(8)}s  ${phase.padEnd(9)}  ${text}`;
}

/** A receipt with names and digests as people write them. */
function plain(receipt: Receipt): Record<string, unknown> {
  return {
    dryRun: receipt.dryRun ?? false,
    from: receipt.before?.uid ?? "",
    to: receipt.after?.uid ?? "",
    resources: receipt.resources ?? 0,
    cutRevision: receipt.cutRevision ?? 0,
    digestActive: digestFromWire(receipt.digestActive),
    digestReplica: digestFromWire(receipt.digestReplica),
    epochBefore: receipt.epochBefore ?? 0,
    epochAfter: receipt.epochAfter ?? 0,
    agentsBefore: receipt.agentsBefore ?? 0,
    agentsBack: receipt.agentsBack ?? 0,
    lostAcknowledged: receipt.lostAcknowledged ?? 0,
    differing: receipt.differing ?? 0,
    differingKeys: receipt.differingKeys ?? [],
    phasesMs: Object.fromEntries((receipt.phases ?? []).map(({ phase = "", ms = 0 }) => [phase, ms])),
  };
}

/** The keys that differed, the first by name. */
function differingText({ differing = 0, differingKeys = [] }: Receipt, none: string, what: string): string {
  if (differing === 0) return none;
  const more = differing - differingKeys.length;
  const named = differingKeys.join(", ") + (more > 0 ? ` and ${more.toLocaleString("en-US")} more` : "");
  return `${differing.toLocaleString("en-US")} ${differing === 1 ? "key" : "keys"}, ${what}: ${named}`;
}

/** A receipt as text. */
export function receiptText(receipt: Receipt): string {
  const n = (value = 0) => value.toLocaleString("en-US");
  if (receipt.dryRun) {
    return [
      "Dry run: a switchover can begin.",
      `  resources      ${n(receipt.resources)}`,
      `  agents         ${n(receipt.agentsBefore)}`,
      `  epoch          ${n(receipt.epochBefore)}`,
      `  differing      ${differingText(receipt, "nothing: both sides hold the same", "repaired first")}`,
    ].join("\n");
  }
  const digest = digestFromWire(receipt.digestActive);
  const same = digest === digestFromWire(receipt.digestReplica) ? "the same on both sides" : "DIFFERENT";
  const phases = (receipt.phases ?? []).map(({ phase, ms }) => `${phase} ${n(ms)} ms`).join(", ");
  return [
    "Switchover done.",
    `  lost           ${n(receipt.lostAcknowledged)} acknowledged changes`,
    `  cut            revision ${receipt.cutRevision ?? 0}, ${
      n(receipt.resources)
    } resources, digest ${digest} (${same})`,
    ...(receipt.differing ? [`  repaired       ${differingText(receipt, "", "which differed")}`] : []),
    `  epoch          ${n(receipt.epochBefore)} -> ${n(receipt.epochAfter)}`,
    `  ACTIVE now     ${receipt.after?.uid ?? ""} (was ${receipt.before?.uid ?? ""})`,
    `  agents         ${n(receipt.agentsBack)} of ${n(receipt.agentsBefore)} are back`,
    `  took           ${phases}`,
  ].join("\n");
}
