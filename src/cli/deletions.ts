/** `ha deletions`: the deletions that wait on this side; let them go, or have the objects restored. */
import { operatorService } from "../adapters/grpc/services.ts";
import { parseDuration } from "../config/settings.ts";
import { adminCall } from "./admin_client.ts";
import { type Arguments, durationOption, outputOption, parse } from "./arguments.ts";
import { CommandError, EXIT, json, print, printError, table } from "./output.ts";
import { TARGET_OPTIONS, withTarget } from "./target.ts";

/** @param confirmed asks the operator; false: not now */
export async function deletions(args: string[], usage: string, confirmed: () => boolean): Promise<number> {
  const options = parse(args, {
    strings: { ...TARGET_OPTIONS, agent: "", timeout: "60s", output: "text" },
    booleans: ["release", "restore", "all", "yes"],
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
  const { positionals: keys } = options;
  const request = { action, keys, agent: options.string("agent"), all: options.boolean("all") };
  const { done = [], failed = [] } = await withTarget(options, (client, address) => {
    const call = { address, timeoutMs, action: "deletions failed" };
    return adminCall(client, operatorService.DecideDeletions, request, call);
  });
  if (output === "json") print(json({ action, done, failed }));
  else {
    for (const key of done) print(`${action === "release" ? "Released" : "Restored"}: ${key}`);
    for (const { key, reason } of failed) printError(`Error: ${key} still waits: ${reason}`);
  }
  return failed.length === 0 ? EXIT.ok : EXIT.failed;
}

/** The requested action; undefined: only a list. @throws CommandError */
function actionOf(options: Arguments, usage: string): "release" | "restore" | undefined {
  const wrong = (problem: string) => new CommandError(`${problem}\nUsage: ${usage}`, EXIT.usage);
  const [release, restore, all] = ["release", "restore", "all"].map((name) => options.boolean(name));
  const named = options.positionals.length > 0;
  const agent = options.string("agent") !== "";
  if (release && restore) throw wrong("--release and --restore exclude each other");
  if (!release && !restore) {
    if (named || all) throw wrong("say what is to become of them: --release or --restore");
    return undefined;
  }
  if (all ? named || agent : !named && !agent) throw wrong("name keys or an --agent, or give --all");
  return release ? "release" : "restore";
}

async function list(options: Arguments, output: "text" | "json"): Promise<number> {
  const timeoutMs = durationOption(options, "timeout", parseDuration);
  const { held = [] } = await withTarget(options, (client, address) => {
    const call = { address, timeoutMs, action: "deletions failed" };
    return adminCall(client, operatorService.Deletions, {}, call);
  });
  const agent = options.string("agent");
  const rows = held.filter((one) => agent === "" || one.agent === agent).map((one) => ({
    key: one.key ?? "",
    agent: one.agent ?? "",
    cause: one.cause ?? "",
    since: new Date(one.sinceMs ?? 0).toISOString(),
    deletedBy: one.by ?? "",
    restorable: one.restorable ?? false,
  }));
  if (output === "json") print(json(rows));
  else if (rows.length === 0) print("No deletion waits here.");
  else {
    print(table(
      ["KEY", "AT", "SINCE", "KNOWN BY", "DELETED BY", "COPY"],
      rows.map((row) => [
        row.key,
        row.agent === "" ? "this copy" : `agent ${row.agent}`,
        row.since,
        row.cause,
        row.deletedBy,
        row.restorable ? "yes" : "no",
      ]),
    ));
    print(
      `\n${rows.length} wait. Then, by key, --agent NAME or --all:\n` +
        "  ha deletions --release KEY    the deletion goes on\n" +
        "  ha deletions --restore KEY    the ACTIVE principal has the object again",
    );
  }
  return EXIT.ok;
}
