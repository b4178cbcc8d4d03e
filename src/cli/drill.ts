/** `ha drill`: what a failover to this replica would take and miss, tried with one simulated agent; only the outcome is written. */
import type { argocdagentha } from "../../proto/gen.d.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { drillPassed } from "../domain/ha/drill.ts";
import { adminCall } from "./admin_client.ts";
import { EXIT, json, print } from "./output.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";

/** The answer comes this long after the drill's own time at the latest. */
const ANSWER_MS = 15_000;

export async function drill(args: Arguments): Promise<number> {
  const timeoutMs = args.number("timeout");
  const response = await withTarget(args, (client, address) => {
    const call = { address, timeoutMs: timeoutMs + ANSWER_MS, action: "drill failed" };
    return adminCall(client, operatorService.Drill, { agent: args.string("agent"), timeoutMs }, call);
  });
  const found = plain(response);
  print(args.string("output") === "json" ? json(found) : text(found));
  return found.well ? EXIT.ok : EXIT.failed;
}

function plain(response: argocdagentha.v1.DrillResponse) {
  const round = (ms = 0) => Math.round(ms);
  const { took = [], missing = [], problems = [], deleted = 0, madeAnew = 0 } = response;
  const missingTotal = response.missingTotal ?? 0;
  return {
    agent: response.agent ?? "",
    mode: response.mode ?? "",
    well: drillPassed({ missingTotal, problems, again: { deleted, madeAnew } }),
    promotedMs: round(response.promotedMs),
    connectedMs: round(response.connectedMs),
    convergedMs: round(response.convergedMs),
    applications: response.applications ?? 0,
    took: Object.fromEntries(took.map(({ kind = "", count = 0 }) => [kind, count])),
    again: { events: response.againEvents ?? 0, deleted, madeAnew },
    missing,
    missingTotal,
    problems,
    writesNotMade: response.writes ?? 0,
    possibleLoss: response.loss ?? "",
  };
}

function text(found: ReturnType<typeof plain>): string {
  const line = (label: string, text: string) => `${`${label}:`.padEnd(18)}${text}`;
  const took = Object.entries(found.took).map(([kind, count]) => `${count} ${kind}`).join(", ") || "nothing";
  const more = found.missingTotal - found.missing.length;
  const { events, deleted, madeAnew } = found.again;
  return [
    `Drill: agent "${found.agent}" (${found.mode}) was played and served from this side's copy. Nothing was written but the`,
    "outcome in ha history, no real agent was let in.",
    "",
    line("Promoted", `after ${found.promotedMs} ms; the agent's stream after ${found.connectedMs} ms more`),
    line("Took", `${took}, in ${found.convergedMs} ms`),
    line("Came back", `${events} events, ${deleted} deleted, ${madeAnew} recreated`),
    line(
      "Missed",
      found.missingTotal === 0 ? "nothing that the ACTIVE has for it" : `${found.missingTotal} resources`,
    ),
    ...found.missing.map((key) => `  ${key}`),
    ...(more > 0 ? [`  and ${more} more; all: ha diff`] : []),
    ...(found.problems.length > 0 ? ["Problems:", ...found.problems.map((problem) => `  ${problem}`)] : []),
    line("Writes not made", String(found.writesNotMade)),
    line("Possible loss", found.possibleLoss),
  ].join("\n");
}
