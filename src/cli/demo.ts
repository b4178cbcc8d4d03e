/**
 * `demo`: the product in one command. Two real principal processes on this machine replicate real manifests; the
 * active one is killed with SIGKILL while writes go on and a page of Argo CD's UI is open through the other side; that one is promoted;
 * simulated agents come back by themselves through one address and must hold exactly what the new active says; every write that a
 * replica had acknowledged is looked for in the new active's store; then the old primary comes back, as a replica.
 */
import { bold, dim, green, red } from "@std/fmt/colors";
import { type DemoResult, DemoRun } from "./demo_run.ts";
import { printable } from "../base/printable.ts";
import { EXIT, json, print, printStyled } from "./output.ts";
import type { Arguments } from "./verb.ts";

export async function demo(options: Arguments): Promise<number> {
  const [count, agents] = [options.number("count"), options.number("agents")];
  const asJson = options.boolean("json");
  const dir = Deno.makeTempDirSync({ prefix: "argocd-agent-ha-demo-" });
  const run = new DemoRun(dir, count, agents, asJson ? () => {} : progress());
  const interrupted = () => run.abandon().then(() => Deno.exit(130));
  Deno.addSignalListener("SIGINT", interrupted);
  Deno.addSignalListener("SIGTERM", interrupted);
  try {
    const result = await run.play();
    const kept = options.boolean("keep");
    if (asJson) print(json(kept ? { ...result, folder: dir } : result));
    else printStyled(summary(result) + (kept ? `\nfolder kept: ${dir}` : ""));
    const good = result.lostAcknowledged === 0 && result.activeAtEnd === 1 && result.agentsRecreated === 0 &&
      !result.page?.log.missing;
    return good ? EXIT.ok : EXIT.failed;
  } finally {
    await run.abandon();
    Deno.removeSignalListener("SIGINT", interrupted);
    Deno.removeSignalListener("SIGTERM", interrupted);
    if (!options.boolean("keep")) Deno.removeSync(dir, { recursive: true });
  }
}

function progress(): (seconds: number, text: string) => void {
  const color = Deno.stdout.isTerminal() && !Deno.noColor;
  const paint = (text: string) =>
    color
      ? text.replace(/\b(ACTIVE|REPLICATING)\b/g, green("$1")).replace(
        /\b(SIGKILL|DISCONNECTED)\b/g,
        red("$1"),
      )
      : text;
  return (seconds, text) => {
    const stamp = `${seconds.toFixed(1).padStart(6)}s`;
    printStyled(`${color ? dim(stamp) : stamp}  ${paint(printable(text))}`);
  };
}

const n = (value: number) => value.toLocaleString("en-US");

/** The page that was open through the side that stood by; each interruption is the longest time in which nothing came. */
function pageLines({ page }: DemoResult): string[] {
  if (!page) return [];
  const { manifest, tree, log, backMs } = page;
  const interrupted = ({ interruptedMs }: { interruptedMs: number }) =>
    `interrupted for ${n(interruptedMs)} ms`;
  return [
    `  page of an agent      through the side that stood by, all of it live again ${
      n(backMs)
    } ms after the command`,
    `    resource tree       read ${n(tree.count)} times, ${interrupted(tree)}`,
    `    live manifest       read ${n(manifest.count)} times, ${interrupted(manifest)}`,
    `    followed log        ${n(log.count)} lines, ${n(log.missing)} missing, ${interrupted(log)}`,
  ];
}

function summary(result: DemoResult): string {
  const verdict = result.lostAcknowledged === 0
    ? "nothing that was acknowledged is lost"
    : `${n(result.lostAcknowledged)} ACKNOWLEDGED WRITES ARE LOST`;
  const color = Deno.stdout.isTerminal() && !Deno.noColor;
  return [
    "",
    color ? bold(verdict) : verdict,
    `  replicated            ${n(result.replicated)} resources`,
    `  acknowledged writes   ${n(result.acknowledgedWrites)}`,
    `  lost of these         ${n(result.lostAcknowledged)}`,
    `  not yet acknowledged  ${n(result.unacknowledgedWrites)} writes when the active was killed ` +
    `(${n(result.savedInLossManifest)} kept in the old primary's loss manifest)`,
    `  promote to healthy    ${n(result.promoteToHealthyMs)} ms`,
    `  agents                ${n(result.agents)}, all converged ${
      n(result.agentsConvergedMs)
    } ms after the command, ` +
    `${n(result.agentsRecreated)} objects made anew`,
    ...pageLines(result),
    `  ACTIVE at the end     ${result.activeAtEnd}`,
    "",
    "Next: argocd-agent-ha pki init, principal --help, and docs/operations.md for two real clusters.",
  ].join("\n");
}
