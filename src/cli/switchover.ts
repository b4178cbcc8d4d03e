/** `ha switchover`: the planned move in one command, and its receipt. */
import type { argocdagentha } from "../../proto/gen.d.ts";
import { openServerStream, operatorMetadata } from "../adapters/grpc/dial.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { digestFromWire } from "../adapters/grpc/wire.ts";
import { adminError, operatorName } from "./admin_client.ts";
import { confirm, mustAsk } from "./ask.ts";
import { looked, switchoverFacts } from "./looking.ts";
import { CommandError, EXIT, json, print } from "./output.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";

type Progress = argocdagentha.v1.SwitchoverProgress;
type Receipt = argocdagentha.v1.Receipt;

export async function switchover(args: Arguments): Promise<number> {
  const asJson = args.string("output") === "json";
  const dryRun = args.boolean("dry-run");
  if (!dryRun && mustAsk(args)) {
    const [explanation, forecast] = [await looked(args), await move(args, true, () => {})];
    confirm(switchoverFacts(explanation, forecast));
  }
  const tell = asJson ? () => {} : (progress: Progress) => print(progressLine(progress));
  const receipt = await move(args, dryRun, tell);
  print(asJson ? json(plain(receipt)) : `\n${receiptText(receipt)}`);
  return EXIT.ok;
}

function move(args: Arguments, dryRun: boolean, tell: (progress: Progress) => void): Promise<Receipt> {
  const request = { dryRun, timeoutMs: args.number("timeout") };
  const metadata = operatorMetadata(operatorName());
  return withTarget(args, (client, address) =>
    new Promise<Receipt>((resolve, reject) => {
      const stream = openServerStream(client, operatorService.Switchover, request, metadata);
      stream.on(
        "data",
        (progress: Progress) => progress.receipt ? resolve(progress.receipt) : tell(progress),
      );
      stream.on(
        "error",
        (error: unknown) => reject(adminError(error, { address, action: "switchover failed" })),
      );
      stream.on(
        "end",
        () => reject(new CommandError("switchover failed: the principal ended without a receipt")),
      );
    }));
}

function progressLine({ atMs = 0, phase = "", text = "" }: Progress): string {
  return `${(atMs / 1_000).toFixed(3).padStart(8)}s  ${phase.padEnd(9)}  ${text}`;
}

/** A receipt with names and digests as people write them. */
function plain(receipt: Receipt): Record<string, unknown> {
  return {
    dry_run: receipt.dryRun ?? false,
    from: receipt.before?.name ?? "",
    from_uid: receipt.before?.uid ?? "",
    to: receipt.after?.name ?? "",
    to_uid: receipt.after?.uid ?? "",
    resources: receipt.resources ?? 0,
    cut_revision: receipt.cutRevision ?? 0,
    digest_active: digestFromWire(receipt.digestActive),
    digest_replica: digestFromWire(receipt.digestReplica),
    epoch_before: receipt.epochBefore ?? 0,
    epoch_after: receipt.epochAfter ?? 0,
    agents_before: receipt.agentsBefore ?? 0,
    agents_back: receipt.agentsBack ?? 0,
    lost_acknowledged: receipt.lostAcknowledged ?? 0,
    differing: receipt.differing ?? 0,
    differing_keys: receipt.differingKeys ?? [],
    phases_ms: Object.fromEntries((receipt.phases ?? []).map(({ phase = "", ms = 0 }) => [phase, ms])),
  };
}

/** The keys that differed, the first by name. */
function differingText({ differing = 0, differingKeys = [] }: Receipt, none: string, what: string): string {
  if (differing === 0) return none;
  const more = differing - differingKeys.length;
  const named = differingKeys.join(", ") + (more > 0 ? ` and ${more.toLocaleString("en-US")} more` : "");
  return `${differing.toLocaleString("en-US")} ${differing === 1 ? "key" : "keys"}, ${what}: ${named}`;
}

/** `east (UID)`. */
function sideText({ name, uid = "" }: argocdagentha.v1.Standing = {}): string {
  return name ? `${name} (${uid})` : uid;
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
    `  ACTIVE now     ${sideText(receipt.after)} (was ${sideText(receipt.before)})`,
    `  agents         ${n(receipt.agentsBack)} of ${n(receipt.agentsBefore)} are back`,
    `  took           ${phases}`,
  ].join("\n");
}
