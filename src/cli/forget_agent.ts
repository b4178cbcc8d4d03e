/** `ha forget-agent NAME`: an agent that will not come back. */
import { operatorService } from "../adapters/grpc/services.ts";
import { parseDuration } from "../config/settings.ts";
import { adminCall } from "./admin_client.ts";
import { durationOption, parse } from "./arguments.ts";
import { EXIT, print } from "./output.ts";
import { TARGET_OPTIONS, withTarget } from "./target.ts";

/** @param confirmed asks the operator; false: not now */
export async function forgetAgentCommand(
  args: string[],
  usage: string,
  confirmed: () => boolean,
): Promise<number> {
  const options = parse(args, {
    strings: { ...TARGET_OPTIONS, timeout: "10s" },
    booleans: ["yes"],
    alias: { address: "a", timeout: "t", yes: "y" },
    positionals: [1, 1],
    usage,
  });
  if (!options.boolean("yes") && !confirmed()) {
    print("Operation cancelled.");
    return EXIT.ok;
  }
  const [name = ""] = options.positionals;
  const timeoutMs = durationOption(options, "timeout", parseDuration);
  await withTarget(options, (client, address) => {
    const call = { address, timeoutMs, action: "forget-agent failed" };
    return adminCall(client, operatorService.ForgetAgent, { name }, call);
  });
  print(`Forgotten: ${name}. Its resources stay; when it connects again it is known again.`);
  return EXIT.ok;
}
