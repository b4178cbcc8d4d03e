/** `ha reconcile`: what this principal held when it stepped down and the new active did not; adopt it, or discard it. */
import { parseStored } from "../base/bounds.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { digestFromWire } from "../adapters/grpc/wire.ts";
import { adminCall } from "./admin_client.ts";
import { confirm, mustAsk } from "./ask.ts";
import { keyProblem } from "./keys.ts";
import { EXIT, json, print, printError, table } from "./output.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";

export function reconcileProblem(args: Arguments): string {
  const decides = args.boolean("adopt") || args.boolean("discard");
  const [all, named] = [args.boolean("all"), args.positionals.length > 0];
  const wrong = args.positionals.map((key) => keyProblem(key)).find(Boolean);
  if (wrong) return wrong;
  if (!decides) return named || all ? "say what is to become of them: --adopt or --discard" : "";
  return named === all ? "name the keys, or give --all" : "";
}

export async function reconcile(args: Arguments): Promise<number> {
  const asJson = args.string("output") === "json";
  const action = args.boolean("adopt") ? "adopt" : args.boolean("discard") ? "discard" : undefined;
  const ask = action !== undefined && mustAsk(args);
  if (!action) return await list(args, asJson);
  if (ask) {
    const waiting = (await losses(args)).rows.map(({ key }) => key);
    const keys = args.boolean("all") ? waiting : args.positionals;
    confirm([
      `ha reconcile --${action}: ${keys.length} of ${waiting.length} that are kept`,
      ...keys.map((key) => `  ${key}${waiting.includes(key) ? "" : " (not kept)"}`),
      action === "adopt"
        ? "Consequence: each saved state overwrites the present one on the ACTIVE principal."
        : "Consequence: each saved state is forgotten for good.",
    ]);
  }
  const request = { action, keys: args.positionals, all: args.boolean("all") };
  const { done = [], failed = [], notes = [] } = await withTarget(args, (client, address) => {
    const call = { address, timeoutMs: args.number("timeout"), action: "reconcile failed" };
    return adminCall(client, operatorService.Reconcile, request, call);
  });
  if (asJson) print(json({ action, done, failed, notes }));
  else {
    const remarks = new Map(notes.map(({ key, reason = "" }) => [key, `: ${reason}`]));
    for (const key of done) {
      print(`${action === "adopt" ? "Adopted" : "Discarded"}: ${key}${remarks.get(key) ?? ""}`);
    }
    for (const { key, reason } of failed) printError(`Error: ${key} stays in the manifest: ${reason}`);
  }
  return failed.length === 0 ? EXIT.ok : EXIT.failed;
}

async function losses(args: Arguments) {
  const { losses = [], peerError = "" } = await withTarget(args, (client, address) => {
    const call = { address, timeoutMs: args.number("timeout"), action: "reconcile failed" };
    return adminCall(client, operatorService.Losses, {}, call);
  });
  const rows = losses.map((loss) => ({
    key: loss.key ?? "",
    epoch: loss.epoch ?? 0,
    newActiveHad: loss.newActiveHas ?? "",
    savedAt: new Date(loss.atMs ?? 0).toISOString(),
    now: loss.now ?? "",
    reason: loss.reason || "overwritten",
    cause: loss.cause ?? "",
    keptAt: loss.keptAt ?? "",
    digest: digestFromWire(loss.digest),
    object: parseStored(new TextDecoder().decode(loss.object)) as unknown,
  }));
  return { rows, peerError };
}

async function list(args: Arguments, asJson: boolean): Promise<number> {
  const { rows, peerError } = await losses(args);
  if (asJson) print(json(rows));
  else {
    if (peerError !== "") printError(`Warning: ${peerError}`);
    printOverwritten(rows.filter(({ reason }) => reason !== "deleted"));
    printDeleted(rows.filter(({ reason }) => reason === "deleted"));
  }
  return EXIT.ok;
}

interface Row {
  key: string;
  epoch: number;
  newActiveHad: string;
  savedAt: string;
  now: string;
  cause: string;
  /** The peer that keeps it; empty: the side that was asked. */
  keptAt: string;
}

function printOverwritten(rows: readonly Row[]): void {
  if (rows.length === 0) {
    return print("The loss manifest is empty: nothing of this side's was overwritten.");
  }
  print(table(
    ["KEY", "KEPT", "EPOCH", "THE NEW ACTIVE HAD", "SAVED", "HERE NOW"],
    rows.map(({ key, keptAt, epoch, newActiveHad, savedAt, now }) => [
      key,
      keptAt === "" ? "here" : "at the peer",
      String(epoch),
      newActiveHad,
      savedAt,
      now,
    ]),
  ));
  print(
    `\n${rows.length} saved. Look: ha reconcile -o json. Then, a key or more at a time, or --all:\n` +
      "  ha reconcile --adopt KEY      at the ACTIVE: it takes the saved state over its own; with --all over none that may be newer\n" +
      "  ha reconcile --discard KEY    at the side that keeps it: the saved state is forgotten",
  );
}

function printDeleted(rows: readonly Row[]): void {
  if (rows.length === 0) return;
  print("");
  print(table(
    ["DELETED", "KEPT", "WHEN", "WHY", "HERE NOW"],
    rows.map(({ key, keptAt, savedAt, cause, now }) => [
      key,
      keptAt === "" ? "here" : "at the peer",
      savedAt,
      cause,
      now,
    ]),
  ));
  print(
    `\n${rows.length} deleted objects are kept for 7 days; --adopt KEY at the ACTIVE restores one, --all leaves them out.`,
  );
}
