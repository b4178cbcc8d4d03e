/** `ha promote` and `ha demote`: look, ask, and only then command. */
import { adminService } from "../adapters/grpc/services.ts";
import { adminCall } from "./admin_client.ts";
import { confirm, mustAsk } from "./ask.ts";
import { askExplanation } from "./knowing.ts";
import { demoteFacts, looked, promoteFacts } from "./looking.ts";
import { CommandError, EXIT, print } from "./output.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";

export async function promote(args: Arguments): Promise<number> {
  const force = args.boolean("force");
  if (args.boolean("dry-run")) return await dryRun(args, force);
  if (mustAsk(args)) {
    const found = await looked(args);
    const verdict = force ? found.force : found.promote;
    if (verdict && !verdict.allowed) throw new CommandError(`promote failed: ${verdict.text}`);
    const overridden = force && found.peer?.state === "active";
    confirm(promoteFacts(found, force), overridden ? found.standing?.name ?? "" : "");
  }
  const { state } = await withTarget(args, (client, address) => {
    const call = { address, timeoutMs: args.number("timeout"), action: "promote failed" };
    return adminCall(client, adminService.Promote, { force }, call);
  });
  print(`Promoted. State is now: ${state}`);
  return EXIT.ok;
}

export async function demote(args: Arguments): Promise<number> {
  const force = args.boolean("force");
  if (mustAsk(args)) {
    const found = await looked(args);
    if (found.demote && !found.demote.allowed && !force) {
      throw new CommandError(`demote failed: ${found.demote.text}`);
    }
    confirm(demoteFacts(found, force));
  }
  const { state } = await withTarget(args, (client, address) => {
    const call = { address, timeoutMs: args.number("timeout"), action: "demote failed", force };
    return adminCall(client, adminService.Demote, {}, call);
  });
  print(`Demoted. State is now: ${state}`);
  return EXIT.ok;
}

/** Predicts a promotion and changes nothing. Exit code 1: it would be refused. */
async function dryRun(args: Arguments, force: boolean): Promise<number> {
  const explanation = await askExplanation(args, "promote --dry-run failed");
  const verdict = force ? explanation.force : explanation.promote;
  print(
    `Dry run: ha promote${force ? " --force" : ""} ${verdict?.allowed ? "" : "would be refused: "}${
      verdict?.text ?? ""
    }`,
  );
  print(`Possible loss: ${explanation.loss ?? ""}`);
  return verdict?.allowed ? EXIT.ok : EXIT.failed;
}
