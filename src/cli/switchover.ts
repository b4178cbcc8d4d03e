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
  const timeout_ms = Math.round(durationOption(options, "timeout", parseDuration));
  const dry_run = options.boolean("dry-run");
  if (!dry_run && !options.boolean("yes") && !confirmed()) {
    print("Operation cancelled.");
    return EXIT.ok;
  }
  const request = { dry_run, timeout_ms };
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

function progressLine({ at_ms = 0, phase = "", text = "" }: Progress): string {
  return `${(at_ms / 1_000).toFixed(3).padStart(8)}s  ${phase.padEnd(9)}  ${text}`;
}

/** A receipt with names and digests as people write them. */
function plain(receipt: Receipt): Record<string, unknown> {
  return {
    dryRun: receipt.dry_run ?? false,
    from: receipt.before?.uid ?? "",
    to: receipt.after?.uid ?? "",
    resources: receipt.resources ?? 0,
    cutRevision: receipt.cut_revision ?? 0,
    digestActive: digestFromWire(receipt.digest_active),
    digestReplica: digestFromWire(receipt.digest_replica),
    epochBefore: receipt.epoch_before ?? 0,
    epochAfter: receipt.epoch_after ?? 0,
    agentsBefore: receipt.agents_before ?? 0,
    agentsBack: receipt.agents_back ?? 0,
    lostAcknowledged: receipt.lost_acknowledged ?? 0,
    phasesMs: Object.fromEntries((receipt.phases ?? []).map(({ phase = "", ms = 0 }) => [phase, ms])),
  };
}

/** A receipt as text. */
export function receiptText(receipt: Receipt): string {
  const n = (value = 0) => value.toLocaleString("en-US");
  if (receipt.dry_run) {
    return [
      "Dry run: a switchover can begin.",
      `  resources      ${n(receipt.resources)}`,
      `  agents         ${n(receipt.agents_before)}`,
      `  epoch          ${n(receipt.epoch_before)}`,
    ].join("\n");
  }
  const digest = digestFromWire(receipt.digest_active);
  const same = digest === digestFromWire(receipt.digest_replica) ? "the same on both sides" : "DIFFERENT";
  const phases = (receipt.phases ?? []).map(({ phase, ms }) => `${phase} ${n(ms)} ms`).join(", ");
  return [
    "Switchover done.",
    `  lost           ${n(receipt.lost_acknowledged)} acknowledged changes`,
    `  cut            revision ${receipt.cut_revision ?? 0}, ${
      n(receipt.resources)
    } resources, digest ${digest} (${same})`,
    `  epoch          ${n(receipt.epoch_before)} -> ${n(receipt.epoch_after)}`,
    `  ACTIVE now     ${receipt.after?.uid ?? ""} (was ${receipt.before?.uid ?? ""})`,
    `  agents         ${n(receipt.agents_back)} of ${n(receipt.agents_before)} are back`,
    `  took           ${phases}`,
  ].join("\n");
}
