/** `ha diff`: where the two sides differ, in which fields, and the replica's copy of chosen resources made what the ACTIVE has. */
import type { argocdagentha } from "../../proto/gen.d.ts";
import { operatorService } from "../adapters/grpc/services.ts";
import { digestFromWire } from "../adapters/grpc/wire.ts";
import { MAX_REPAIRED } from "../principal/ports/operations.ts";
import { adminCall } from "./admin_client.ts";
import { confirm, mustAsk } from "./ask.ts";
import { keyProblem } from "./keys.ts";
import { EXIT, json, print, printError, table } from "./output.ts";
import { withTarget } from "./target.ts";
import type { Arguments } from "./verb.ts";

export function diffProblem(args: Arguments): string {
  const [repair, all] = [args.boolean("repair"), args.boolean("all")];
  const wrong = args.positionals.map((key) => keyProblem(key)).find(Boolean);
  if (wrong) return wrong;
  if (!repair) return all ? "--all goes with --repair" : "";
  return args.positionals.length > 0 === all ? "name the keys to repair, or give --all" : "";
}

export async function diff(args: Arguments): Promise<number> {
  const asJson = args.string("output") === "json";
  const repair = args.boolean("repair");
  const ask = repair && mustAsk(args);
  const found = await compared(args);
  const same = found.keys.length === 0;
  if (!repair || same) {
    print(asJson ? json(plain(found)) : text(found, args.positionals));
    return same ? EXIT.ok : EXIT.failed;
  }
  if (ask) {
    confirm([
      `ha diff --repair: ${found.keys.length} ${found.keys.length === 1 ? "key differs" : "keys differ"}`,
      ...found.keys.map(({ key }) => `  ${key}`),
      "Consequence: the replica's copies become what the ACTIVE has.",
    ]);
  }
  const { done, failed } = await repaired(args, found.keys.map(({ key }) => key));
  if (asJson) print(json({ repaired: done, failed }));
  else {
    for (const key of done) print(`Repaired: ${key}`);
    for (const { key = "", reason = "" } of failed) printError(`Error: ${key} is not repaired: ${reason}`);
    if (found.truncated) print("More differ: run it again.");
  }
  return failed.length === 0 ? EXIT.ok : EXIT.failed;
}

interface Found {
  here: string;
  peer: string;
  groups: { kind: string; agent: string; here: number; peer: number; same: boolean }[];
  keys: { key: string; here: string; peer: string; fields: { path: string; here: string; peer: string }[] }[];
  truncated: boolean;
}

async function compared(options: Arguments): Promise<Found> {
  const timeoutMs = options.number("timeout");
  const request = { keys: options.positionals };
  const { here, peer, groups = [], keys = [], truncated = false } = await withTarget(
    options,
    (client, address) =>
      adminCall(client, operatorService.Diff, request, { address, timeoutMs, action: "diff failed" }),
  );
  return {
    here: here?.state ?? "",
    peer: peer?.state ?? "",
    groups: groups.map(({ kind = "", agent = "", here = 0, peer = 0, same = false }) => ({
      kind,
      agent,
      here,
      peer,
      same,
    })),
    keys: keys.map(({ key = "", here, peer, fields = [] }) => ({
      key,
      here: digestFromWire(here),
      peer: digestFromWire(peer),
      fields: fields.map(({ path = "", here = "", peer = "" }) => ({ path, here, peer })),
    })),
    truncated,
  };
}

async function repaired(
  options: Arguments,
  keys: string[],
): Promise<{ done: string[]; failed: argocdagentha.v1.Held[] }> {
  const timeoutMs = options.number("timeout");
  const request = { keys: keys.slice(0, MAX_REPAIRED), timeoutMs };
  const { done = [], failed = [] } = await withTarget(
    options,
    (client, address) =>
      adminCall(client, operatorService.Repair, request, {
        address,
        timeoutMs: timeoutMs * 2,
        action: "repair failed",
      }),
  );
  return { done, failed };
}

function plain({ keys, ...rest }: Found): Record<string, unknown> {
  return { ...rest, same: keys.length === 0, differing: keys };
}

function text({ groups, keys, truncated }: Found, chosen: readonly string[]): string {
  const lines = keys.flatMap(({ key, here, peer, fields }) => [
    `${key}: ${differs(here, peer, fields.length > 0)}`,
    ...fields.map((field) => `  ${field.path}: ${sides(field.here, field.peer)}`),
  ]);
  if (chosen.length > 0) {
    const differing = new Set(keys.map(({ key }) => key));
    const same = chosen.filter((key) => !differing.has(key)).map((key) => `${key}: the same on both sides`);
    return [...lines, ...same].join("\n");
  }
  const rows = groups.map(({ kind, agent, here, peer, same }) => [
    kind,
    agent || "-",
    String(here),
    String(peer),
    same ? "" : "DIFFERS",
  ]);
  const end = keys.length === 0 ? ["", "The two sides hold the same."] : [
    "",
    `${keys.length}${
      truncated ? " and more" : ""
    } differ. In which fields: ha diff KEY...; to copy from the ACTIVE to the ` +
    "replica: ha diff --repair KEY...",
  ];
  return [table(["KIND", "AGENT", "HERE", "PEER", ""], rows), ...lines, ...end].join("\n");
}

function differs(here: string, peer: string, inFields: boolean): string {
  if (here === "") return "only at the peer";
  if (peer === "") return "only here";
  return inFields ? "differs" : `digest ${here} here, ${peer} at the peer`;
}

function sides(here: string, peer: string): string {
  if (here === "") return `${peer} at the peer, nothing here`;
  return peer === "" ? `${here} here, nothing at the peer` : `${here} here, ${peer} at the peer`;
}
