/** `ha watch`: one screen of both sides, kept up to date; plain blocks where there is no terminal. */
import { bold, dim, green, red, yellow } from "@std/fmt/colors";
import type { argocdagentha } from "../../proto/gen.d.ts";
import { openServerStream } from "../adapters/grpc/dial.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { concernsFromWire } from "../adapters/grpc/wire.ts";
import { type Concerns, present } from "../domain/ha/concerns.ts";
import { adminError } from "./admin_client.ts";
import { age, EXIT, printStyled } from "./output.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";

type Report = argocdagentha.v1.Report;
type Exposure = argocdagentha.v1.Exposure;

/** A longer silence of the peer is shown beside its concerns; the ACTIVE asks every 5 s. */
const STALE_MS = 30_000;
const CLEAR = "\x1b[H\x1b[2J";

export async function watch(args: Arguments): Promise<number> {
  const once = args.boolean("once");
  const terminal = Deno.stdout.isTerminal() && !once;
  const color = terminal && !Deno.noColor;
  await withTarget(args, (client, address) =>
    new Promise<void>((resolve, reject) => {
      const stream = openServerStream(client, operatorService.Watch, { intervalMs: args.number("interval") });
      stream.on("data", (report: Report) => {
        printStyled((terminal ? CLEAR : "") + screen(report, Date.now(), color) + (terminal ? "" : "\n"));
        if (!once) return;
        resolve();
        stream.cancel();
      });
      stream.on("error", (error: unknown) => reject(adminError(error, { address, action: "watch failed" })));
      stream.on("end", () => resolve());
    }));
  return EXIT.ok;
}

/** The screen of one report. */
export function screen(report: Report, nowMs: number, color: boolean): string {
  const paint = (style: (text: string) => string, text: string) => color ? style(text) : text;
  const state = (text: string) =>
    paint(text === "active" ? green : text === "replicating" ? bold : yellow, text.toUpperCase());
  const { standing, peer } = report;
  const line = (label: string, value: string) => `${label.padEnd(16)}${value}`;
  const since = (ms = 0) => ms > 0 ? `, for ${age(nowMs - ms)}` : "";
  const lines = [
    line(
      "here",
      `${state(standing?.state ?? "")} epoch ${standing?.epoch ?? 0}${since(standing?.sinceMs)}`,
    ),
    ...(standing?.state === "recovering" ? [] : [line("", report.explanation ?? "")]),
    line("peer", peerLine(report, state, since)),
    line(
      "agents",
      `${standing?.connectedAgents ?? 0} here${peer ? `, ${peer.connectedAgents ?? 0} at the peer` : ""}`,
    ),
    line(
      "resources",
      `${(report.resources ?? 0).toLocaleString("en-US")}  digest ${(report.digest ?? "").slice(0, 16)}`,
    ),
  ];
  if (standing?.state !== "active") lines.push(line("lag", lagLine(report)));
  for (const replica of report.replicas ?? []) {
    lines.push(line(
      "replica",
      `${replica.identity} (${replica.contract}) ${state(replica.standing?.state ?? "")} ` +
        `${replica.pending ?? 0} pending, ${replica.heldTotal ?? 0} held`,
    ));
  }
  for (const [label, text] of exposureLines(report)) lines.push(line(label, text));
  for (const [label, text] of troubles(report)) lines.push(line(label, label ? paint(red, text) : text));
  lines.push("", paint(bold, "last events"));
  for (const { atMs, text } of (report.history ?? []).slice(-8)) {
    lines.push(`${paint(dim, new Date(atMs ?? 0).toISOString())}  ${text}`);
  }
  return lines.join("\n");
}

/** On an ACTIVE the loss of it now, and its causes. */
export function exposureLines(
  { exposure, loss = "" }: Pick<Report, "exposure" | "loss">,
): [label: string, text: string][] {
  if (!exposure) return [];
  return [
    ["unacknowledged", changesText(exposure)],
    ["proved equal", equalText(exposure)],
    ["possible loss", loss],
  ];
}

/** The same for programs, with the concerns of both sides. */
export function exposureFields(report: Report): Record<string, unknown> {
  const { exposure, loss = "" } = report;
  const listed = (concerns: Concerns) =>
    present(concerns).map(({ name, count, sentence, examples, next }) => ({
      name,
      count,
      text: sentence(count),
      examples,
      next,
    }));
  return {
    ...(exposure
      ? {
        unacknowledged_changes: known(exposure.unacknowledged),
        replica_equal_ms_ago: known(exposure.equalAgoMs),
        possible_loss: loss,
      }
      : {}),
    concerns: listed(concernsFromWire(report.concerns)),
    peer_concerns: listed(concernsFromWire(report.peerConcerns)),
  };
}

/** Null: not known. */
export function known(value = -1): number | null {
  return value < 0 ? null : value;
}

export function changesText({ unacknowledged = -1 }: Exposure): string {
  return unacknowledged < 0 ? "not known" : `${unacknowledged.toLocaleString("en-US")} changes`;
}

export function equalText({ equalAgoMs = -1 }: Exposure): string {
  return equalAgoMs < 0 ? "never since this side became ACTIVE" : `${age(equalAgoMs)} ago`;
}

/** Further facts for the operator: labelled lines, each followed by its details without a label. */
export function troubles(report: Report): [label: string, text: string][] {
  const lines: [string, string][] = [];
  if (report.standing?.state === "recovering") lines.push(["waiting", report.explanation ?? ""]);
  if (report.storeProblem) lines.push(["store", `not current: ${report.storeProblem}`]);
  lines.push(...concerned(concernsFromWire(report.concerns), ""));
  const agoMs = report.peerConcernsAgoMs ?? -1;
  const heard = agoMs > STALE_MS ? ` ${age(agoMs)} ago` : "";
  lines.push(...concerned(concernsFromWire(report.peerConcerns), `at the peer${heard}: `));
  return lines;
}

function concerned(concerns: Concerns, where: string): [label: string, text: string][] {
  return present(concerns).flatMap(({ label, sentence, count, examples, next }) => {
    const more = count - examples.length;
    return [
      [label, `${where}${sentence(count)}${next && `; next${where ? " there" : ""}: ${next}`}`],
      ...examples.map((line): [string, string] => ["", line]),
      ...(more > 0 && examples.length > 0
        ? [["", `and ${more.toLocaleString("en-US")} more`] as [string, string]]
        : []),
    ];
  });
}

function peerLine(report: Report, state: (text: string) => string, since: (ms?: number) => string): string {
  if (!report.peerAddress) return "none configured";
  const reach = report.peerReachable ? "reachable" : "not reachable";
  const { peer } = report;
  if (!peer) return `${report.peerAddress}  ${reach}, state not known`;
  const shown = `${state(peer.state ?? "")} epoch ${peer.epoch ?? 0}${since(peer.sinceMs)}`;
  return `${report.peerAddress}  ${report.peerReachable ? shown : `${reach}; last heard: ${shown}`}`;
}

function lagLine(report: Report): string {
  const lag = report.lagMs ?? 0;
  const pending = `${(report.pending ?? 0).toLocaleString("en-US")} changes pending`;
  if ((report.snapshotTotal ?? 0) > 0 && report.standing?.state !== "replicating") {
    return `syncing ${report.snapshotDone} of ${report.snapshotTotal} resources`;
  }
  return lag < 0 ? "never caught up since the start" : `${lag} ms, ${pending}`;
}
