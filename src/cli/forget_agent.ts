/** `ha forget-agent NAME`: an agent that will not come back. */
import { operatorService } from "../adapters/grpc/services.ts";
import { isDnsLabel } from "../domain/resources/keys.ts";
import { adminCall } from "./admin_client.ts";
import { confirm, mustAsk } from "./ask.ts";
import { EXIT, print } from "./output.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";

export function forgetProblem({ positionals: [name = ""] }: Arguments): string {
  return isDnsLabel(name) ? "" : `"${name.slice(0, 64)}" is no agent's name: it must be a DNS-1123 label`;
}

export async function forgetAgentCommand(args: Arguments): Promise<number> {
  const [name = ""] = args.positionals;
  if (mustAsk(args)) {
    confirm([
      `ha forget-agent ${name}`,
      "Consequence: the agent leaves the list of agents on both sides, and no preflight looks for its namespace any more.",
      "Its resources stay.",
    ]);
  }
  await withTarget(args, (client, address) => {
    const call = { address, timeoutMs: args.number("timeout"), action: "forget-agent failed" };
    return adminCall(client, operatorService.ForgetAgent, { name }, call);
  });
  print(`Forgotten: ${name}. Its resources stay; when it connects again it is known again.`);
  return EXIT.ok;
}
