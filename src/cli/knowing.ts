/** `ha explain`, `ha preflight`, `ha history`, and what `ha promote --dry-run` shows. */
import { sha256 } from "../base/sha256.ts";
import type { argocdagentha } from "../../proto/gen.d.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { type ChainedEntry, firstBroken } from "../domain/ha/history.ts";
import { adminCall } from "./admin_client.ts";
import { EXIT, json, print, printError, table } from "./output.ts";
import { peerFact, sideFact } from "./side_facts.ts";
import { readSides } from "./sides.ts";
import { targetWords, withTarget } from "./target.ts";
import { type Arguments, PROGRAM } from "./verb.ts";
import { changesText, equalText, known } from "./watch.ts";

type Explanation = argocdagentha.v1.Explanation;

/** Asks a principal to explain itself. */
export function askExplanation(args: Arguments, action: string): Promise<Explanation> {
  const timeoutMs = args.number("timeout");
  return withTarget(
    args,
    (client, address) => adminCall(client, operatorService.Explain, {}, { address, timeoutMs, action }),
  );
}

export async function explainCommand(args: Arguments): Promise<number> {
  const explanation = await askExplanation(args, "explain failed");
  const line = await nextLine(args, explanation);
  print(
    args.string("output") === "json" ? json(plain(explanation, line)) : explanationText(explanation, line),
  );
  return EXIT.ok;
}

/** The next command with its target: for the peer that of the file of sides, where it names the peer. */
async function nextLine(args: Arguments, { next, peer }: Explanation): Promise<string> {
  const command = `${PROGRAM} ${next?.command ?? "ha status"}`;
  if (next?.at !== "peer") return [command, ...targetWords(args)].join(" ");
  const named = peer?.name && (await readSides().catch(() => new Map())).has(peer.name);
  return named ? `${command} --side ${peer.name}` : command;
}

function plain(
  { standing, peer, promote, force, demote, exposure, ...rest }: Explanation,
  line: string,
): Record<string, unknown> {
  const verdict = (one: typeof promote) => ({ allowed: one?.allowed ?? false, why: one?.text ?? "" });
  return {
    name: standing?.name ?? "",
    state: standing?.state ?? "",
    epoch: standing?.epoch ?? 0,
    healthz: { code: rest.healthzCode ?? 0, why: rest.healthz ?? "" },
    because: rest.because ?? "",
    peer: {
      address: rest.peerAddress ?? "",
      name: peer?.name ?? "",
      state: peer?.state ?? "",
      epoch: peer?.epoch ?? 0,
      error: rest.peerError ?? "",
    },
    promote: verdict(promote),
    promote_forced: verdict(force),
    demote: verdict(demote),
    ...(exposure
      ? {
        unacknowledged_changes: known(exposure.unacknowledged),
        replica_equal_ms_ago: known(exposure.equalAgoMs),
      }
      : {}),
    possible_loss: rest.loss ?? "",
    needs_a_person: rest.matters ?? [],
    ranking: rest.ranking ?? [],
    next: { at: rest.next?.at ?? "here", why: rest.next?.why ?? "", command: line },
  };
}

/** An explanation as text; `line`: the command that it ends with. */
export function explanationText(
  { standing, peer, promote, force, demote, exposure, ...rest }: Explanation,
  line: string,
): string {
  const row = (label: string, text: string) => `${`${label}:`.padEnd(18)}${text}`;
  const verdict = (one: typeof promote) => `${one?.allowed ? "yes" : "no"}: ${one?.text ?? ""}`;
  const { matters = [], ranking = [], next } = rest;
  const where = next?.at === "peer"
    ? `, on ${peer?.name ? `"${peer.name}" (${rest.peerAddress})` : rest.peerAddress}`
    : "";
  return [
    row("State", sideFact(standing ?? {})),
    row("Because", rest.because ?? ""),
    row("/healthz", `${rest.healthzCode}: ${rest.healthz ?? ""}`),
    row("Peer", peerFact({ peer, ...rest })),
    row("ha promote", verdict(promote)),
    row("… --force", verdict(force)),
    row("ha demote", verdict(demote)),
    ...(exposure
      ? [row("Unacknowledged", changesText(exposure)), row("Proved equal", equalText(exposure))]
      : []),
    row("Possible loss", rest.loss ?? ""),
    ...(matters.length > 0 ? ["", "Needs a person:", ...matters.map((text) => `  ${text}`)] : []),
    ...(ranking.length > 0
      ? ["", "Ranking, the better side first:", ...ranking.map((text, n) => `  ${n + 1}. ${text}`)]
      : []),
    "",
    `Next${where}: ${next?.why ?? ""}`,
    `  ${line}`,
  ].join("\n");
}

export async function preflightCommand(args: Arguments): Promise<number> {
  const { checks = [], loss = "", time = "" } = await withTarget(args, (client, address) => {
    const call = { address, timeoutMs: args.number("timeout"), action: "preflight failed" };
    return adminCall(client, operatorService.Preflight, {}, call);
  });
  const rows = checks.map(({ name = "", ok = false, found = "", fix = "" }) => ({ name, ok, found, fix }));
  const ready = rows.every(({ ok }) => ok);
  if (args.string("output") === "json") {
    print(json({ ready, checks: rows, possibleLoss: loss, promotionTakes: time }));
  } else {
    const cells = rows.map((
      { name, ok, found, fix },
    ) => [ok ? "ok" : "NOT OK", name, fix ? `${found}; ${fix}` : found]);
    print(table(["", "CHECK", "FOUND"], cells));
    print(`\nPossible loss: ${loss}\nA promotion takes: ${time}\n${ready ? "Ready." : "Not ready."}`);
  }
  return ready ? EXIT.ok : EXIT.failed;
}

export async function historyCommand(args: Arguments): Promise<number> {
  const { links = [] } = await withTarget(args, (client, address) => {
    const call = { address, timeoutMs: args.number("timeout"), action: "failed to get the history" };
    return adminCall(client, operatorService.History, {}, call);
  });
  const chain = links.map((link): ChainedEntry => ({
    atMs: link.atMs ?? 0,
    epoch: link.epoch ?? 0,
    state: link.state ?? "",
    what: link.what ?? "",
    who: link.who ?? "",
    text: link.text ?? "",
    previous: link.previous ?? "",
    hash: link.hash ?? "",
    ...(link.side ? { side: link.side } : {}),
  }));
  if (args.string("output") === "json") {
    print(json(chain.map(({ atMs, ...entry }) => ({ at_ms: atMs, ...entry }))));
  } else {
    print(table(
      ["WHEN", "SIDE", "EPOCH", "STATE", "WHO", "WHAT"],
      chain.map(({ atMs, epoch, state, who, text, side = "" }) => [
        new Date(atMs).toISOString(),
        side || "-",
        String(epoch),
        state,
        who || "-",
        text,
      ]),
    ));
  }
  const broken = firstBroken(chain, (text) => sha256(text));
  if (broken === -1) return EXIT.ok;
  printError(
    `Error: entry ${
      broken + 1
    } of ${chain.length} was changed, or one before it was taken out: the hashes do not match`,
  );
  return EXIT.failed;
}
