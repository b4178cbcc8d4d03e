/** `ha explain`, `ha preflight`, `ha history`, and what `ha promote --dry-run` shows. */
import { sha256 } from "../base/sha256.ts";
import type { argocdagentha } from "../../proto/gen.d.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { type ChainedEntry, firstBroken } from "../domain/ha/history.ts";
import { adminCall } from "./admin_client.ts";
import { EXIT, json, print, printError, table } from "./output.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";
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
  print(args.string("output") === "json" ? json(plain(explanation)) : explanationText(explanation));
  return EXIT.ok;
}

function plain({ standing, peer, promote, force, exposure, ...rest }: Explanation): Record<string, unknown> {
  return {
    state: standing?.state ?? "",
    epoch: standing?.epoch ?? 0,
    healthz: { code: rest.healthzCode ?? 0, why: rest.healthz ?? "" },
    because: rest.because ?? "",
    peer: {
      address: rest.peerAddress ?? "",
      state: peer?.state ?? "",
      epoch: peer?.epoch ?? 0,
      error: rest.peerError ?? "",
    },
    promote: { allowed: promote?.allowed ?? false, why: promote?.text ?? "" },
    promoteForced: { allowed: force?.allowed ?? false, why: force?.text ?? "" },
    ...(exposure
      ? { unacknowledged: known(exposure.unacknowledged), equalMsAgo: known(exposure.equalAgoMs) }
      : {}),
    possibleLoss: rest.loss ?? "",
    next: rest.next ?? [],
  };
}

/** An explanation as text. */
export function explanationText({ standing, peer, promote, force, exposure, ...rest }: Explanation): string {
  const line = (label: string, text: string) => `${`${label}:`.padEnd(18)}${text}`;
  const verdict = (one: typeof promote) => `${one?.allowed ? "yes" : "no"}: ${one?.text ?? ""}`;
  const peerText = peer
    ? `${(peer.state ?? "").toUpperCase()}, epoch ${peer.epoch ?? 0}, ${peer.connectedAgents ?? 0} agents`
    : rest.peerAddress
    ? `does not say what it is${rest.peerError ? `: ${rest.peerError}` : ""}`
    : "none configured";
  return [
    line("State", `${(standing?.state ?? "").toUpperCase()}, epoch ${standing?.epoch ?? 0}`),
    line("Because", rest.because ?? ""),
    line("/healthz", `${rest.healthzCode}: ${rest.healthz ?? ""}`),
    line("Peer", `${rest.peerAddress ? `${rest.peerAddress}: ` : ""}${peerText}`),
    line("ha promote", verdict(promote)),
    line("… --force", verdict(force)),
    ...(exposure
      ? [line("Unacknowledged", changesText(exposure)), line("Proved equal", equalText(exposure))]
      : []),
    line("Possible loss", rest.loss ?? ""),
    "",
    "What to do:",
    ...(rest.next ?? []).map((text) => `  ${text}`),
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
