/** `ha explain`, `ha preflight`, `ha history`, and what `ha promote --dry-run` shows. */
import { sha256 } from "../base/sha256.ts";
import type { argocdagentha } from "../../proto/gen.d.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { type ChainedEntry, firstBroken } from "../domain/ha/history.ts";
import { parseDuration } from "../config/settings.ts";
import { adminCall } from "./admin_client.ts";
import { type Arguments, durationOption, outputOption, parse } from "./arguments.ts";
import { EXIT, json, print, printError, table } from "./output.ts";
import { TARGET_OPTIONS, withTarget } from "./target.ts";
import { changesText, equalText, known } from "./watch.ts";

type Explanation = argocdagentha.v1.Explanation;

function options(args: string[], usage: string): Arguments {
  const parsed = parse(args, {
    strings: { ...TARGET_OPTIONS, timeout: "10s", output: "text" },
    alias: { address: "a", timeout: "t", output: "o" },
    positionals: [0, 0],
    usage,
  });
  outputOption(parsed);
  return parsed;
}

/** Asks a principal to explain itself. */
export function askExplanation(parsed: Arguments, action: string): Promise<Explanation> {
  const timeoutMs = durationOption(parsed, "timeout", parseDuration);
  return withTarget(
    parsed,
    (client, address) => adminCall(client, operatorService.Explain, {}, { address, timeoutMs, action }),
  );
}

export async function explainCommand(args: string[], usage: string): Promise<number> {
  const parsed = options(args, usage);
  const explanation = await askExplanation(parsed, "explain failed");
  print(parsed.string("output") === "json" ? json(plain(explanation)) : explanationText(explanation));
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

export async function preflightCommand(args: string[], usage: string): Promise<number> {
  const parsed = options(args, usage);
  const timeoutMs = durationOption(parsed, "timeout", parseDuration);
  const { checks = [], loss = "", time = "" } = await withTarget(parsed, (client, address) => {
    const call = { address, timeoutMs, action: "preflight failed" };
    return adminCall(client, operatorService.Preflight, {}, call);
  });
  const rows = checks.map(({ name = "", ok = false, found = "", fix = "" }) => ({ name, ok, found, fix }));
  const ready = rows.every(({ ok }) => ok);
  if (parsed.string("output") === "json") {
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

export async function historyCommand(args: string[], usage: string): Promise<number> {
  const parsed = options(args, usage);
  const timeoutMs = durationOption(parsed, "timeout", parseDuration);
  const { links = [] } = await withTarget(parsed, (client, address) => {
    const call = { address, timeoutMs, action: "failed to get the history" };
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
  }));
  if (parsed.string("output") === "json") print(json(chain));
  else {
    print(table(
      ["WHEN", "EPOCH", "STATE", "WHO", "WHAT"],
      chain.map(({ atMs, epoch, state, who, text }) => [
        new Date(atMs).toISOString(),
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
