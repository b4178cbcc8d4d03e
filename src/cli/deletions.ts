/** `ha deletions`: the deletions that wait on this side; let them go, or have the objects restored. */
import { operatorService } from "../adapters/grpc/services.ts";
import { adminCall } from "./admin_client.ts";
import { confirm, mustAsk } from "./ask.ts";
import { keyProblem } from "./keys.ts";
import { EXIT, json, print, printError, table } from "./output.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";

export function deletionsProblem(args: Arguments): string {
  const decides = args.boolean("release") || args.boolean("restore");
  const [all, named] = [args.boolean("all"), args.positionals.length > 0];
  const agent = args.string("agent") !== "";
  const wrong = args.positionals.map((key) => keyProblem(key)).find(Boolean);
  if (wrong) return wrong;
  if (!decides) return named || all ? "say what is to become of them: --release or --restore" : "";
  return (all ? named || agent : !named && !agent) ? "name keys or an --agent, or give --all" : "";
}

export async function deletions(args: Arguments): Promise<number> {
  const asJson = args.string("output") === "json";
  const action = args.boolean("release") ? "release" : args.boolean("restore") ? "restore" : undefined;
  const ask = action !== undefined && mustAsk(args);
  if (!action) return await list(args, asJson);
  const { positionals: keys } = args;
  if (ask) {
    const chosen = (await waiting(args)).filter(({ key }) => keys.length === 0 || keys.includes(key));
    confirm([
      `ha deletions --${action}: ${chosen.length} that wait`,
      ...chosen.map(({ key, agent }) => `  ${key}${agent === "" ? "" : ` at agent ${agent}`}`),
      action === "release"
        ? "Consequence: they are deleted, at agents with everything that the Applications deployed."
        : "Consequence: the ACTIVE principal has the objects again, over what it has now.",
    ]);
  }
  const request = { action, keys, agent: args.string("agent"), all: args.boolean("all") };
  const { done = [], failed = [] } = await withTarget(args, (client, address) => {
    const call = { address, timeoutMs: args.number("timeout"), action: "deletions failed" };
    return adminCall(client, operatorService.DecideDeletions, request, call);
  });
  if (asJson) print(json({ action, done, failed }));
  else {
    for (const key of done) print(`${action === "release" ? "Released" : "Restored"}: ${key}`);
    for (const { key, reason } of failed) printError(`Error: ${key} still waits: ${reason}`);
  }
  return failed.length === 0 ? EXIT.ok : EXIT.failed;
}

async function waiting(args: Arguments) {
  const { held = [] } = await withTarget(args, (client, address) => {
    const call = { address, timeoutMs: args.number("timeout"), action: "deletions failed" };
    return adminCall(client, operatorService.Deletions, {}, call);
  });
  const agent = args.string("agent");
  return held.filter((one) => agent === "" || one.agent === agent).map((one) => ({
    key: one.key ?? "",
    agent: one.agent ?? "",
    cause: one.cause ?? "",
    since: new Date(one.sinceMs ?? 0).toISOString(),
    deletedBy: one.by ?? "",
    restorable: one.restorable ?? false,
  }));
}

async function list(args: Arguments, asJson: boolean): Promise<number> {
  const rows = await waiting(args);
  if (asJson) print(json(rows));
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
