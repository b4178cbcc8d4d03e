/** `ha reconcile`: what this principal held when it stepped down and the new active did not; adopt it, or discard it. */
import { parseStored } from "../base/bounds.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { digestFromWire } from "../adapters/grpc/wire.ts";
import { parseDuration } from "../config/settings.ts";
import { adminCall } from "./admin_client.ts";
import { type Arguments, durationOption, outputOption, parse } from "./arguments.ts";
import { CommandError, EXIT, json, print, printError, table } from "./output.ts";
import { TARGET_OPTIONS, withTarget } from "./target.ts";

/** @param confirmed asks the operator; false: not now */
export async function reconcile(args: string[], usage: string, confirmed: () => boolean): Promise<number> {
  const options = parse(args, {
    strings: { ...TARGET_OPTIONS, timeout: "60s", output: "text" },
    booleans: ["adopt", "discard", "all", "yes"],
    alias: { address: "a", timeout: "t", output: "o", yes: "y" },
    positionals: [0, 1_000],
    usage,
  });
  const output = outputOption(options);
  const action = actionOf(options, usage);
  if (!action) return await list(options, output);
  if (!options.boolean("yes") && !confirmed()) {
    print("Operation cancelled.");
    return EXIT.ok;
  }
  const timeoutMs = durationOption(options, "timeout", parseDuration);
  const request = { action, keys: options.positionals, all: options.boolean("all") };
  const { done = [], failed = [], notes = [] } = await withTarget(options, (client, address) => {
    const call = { address, timeoutMs, action: "reconcile failed" };
    return adminCall(client, operatorService.Reconcile, request, call);
  });
  if (output === "json") print(json({ action, done, failed, notes }));
  else {
    const remarks = new Map(notes.map(({ key, reason = "" }) => [key, `: ${reason}`]));
    for (const key of done) {
      print(`${action === "adopt" ? "Adopted" : "Discarded"}: ${key}${remarks.get(key) ?? ""}`);
    }
    for (const { key, reason } of failed) printError(`Error: ${key} stays in the manifest: ${reason}`);
  }
  return failed.length === 0 ? EXIT.ok : EXIT.failed;
}

/** The requested action; undefined: only a list. @throws CommandError */
function actionOf(options: Arguments, usage: string): "adopt" | "discard" | undefined {
  const wrong = (problem: string) => new CommandError(`${problem}\nUsage: ${usage}`, EXIT.usage);
  const [adopt, discard, all] = ["adopt", "discard", "all"].map((name) => options.boolean(name));
  const named = options.positionals.length > 0;
  if (adopt && discard) throw wrong("--adopt and --discard exclude each other");
  if (!adopt && !discard) {
    if (named || all) throw wrong("say what is to become of them: --adopt or --discard");
    return undefined;
  }
  if (named === all) throw wrong("name the keys, or give --all");
  return adopt ? "adopt" : "discard";
}

async function list(options: Arguments, output: "text" | "json"): Promise<number> {
  const timeoutMs = durationOption(options, "timeout", parseDuration);
  const { losses = [], peerError = "" } = await withTarget(options, (client, address) => {
    const call = { address, timeoutMs, action: "reconcile failed" };
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
  if (output === "json") print(json(rows));
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
