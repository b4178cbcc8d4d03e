/**
 * Where two sides differ: `Link/Inventory` says what one holds and `Operator/Diff` compares by digests; for chosen resources
 * `Link/Fetch` brings the objects, without what Secrets hold. `Repair` makes the replica's what the ACTIVE has.
 */
import grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import {
  differingGroups,
  entriesOf,
  type Group,
  groupName,
  inventory,
} from "../../domain/changes/inventory.ts";
import { type FieldDifference, fieldDifferences } from "../../domain/resources/fields.ts";
import type { Context } from "../../principal/core/context.ts";
import { MAX_FETCHED, MAX_KEYS, shown } from "../../principal/operations/holdings.ts";
import { repair, REPAIR_MS } from "../../principal/operations/repair.ts";
import { reasonOf } from "../../base/reason.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import type { Inventory, PeerConnection } from "../../principal/ports/peer.ts";
import { operatorOf } from "./admin.ts";
import { unary } from "./server.ts";
import { Status } from "./status.ts";
import { digestToWire } from "./wire.ts";

const MAX_SHOWN = 1_000;
const TIMEOUT_MS = 20_000;

export function diffHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  return {
    Diff: unary<argocdagentha.v1.DiffRequest, argocdagentha.v1.DiffResponse>(({ keys = [] }) =>
      withPeer(ctx, "compare with the peer", async (peer) => {
        const { theirs, here, there, names, differing } = await compare(ctx, peer);
        const shown = [...differing].filter(([key]) => keys.length === 0 || keys.includes(key));
        const fields = await fieldsOf(ctx, peer, keys);
        return {
          here: ctx.standing(),
          peer: theirs.standing,
          groups: [...new Set([...here.keys(), ...there.keys()])].sort().map((name) => ({
            ...identity(here.get(name) ?? there.get(name)),
            here: here.get(name)?.count ?? 0,
            peer: there.get(name)?.count ?? 0,
            same: !names.includes(name),
          })),
          keys: shown.slice(0, MAX_SHOWN).map(([key, { here, peer }]) => ({
            key,
            here: digestToWire(here),
            peer: digestToWire(peer),
            fields: fields.get(key) ?? [],
          })),
          truncated: shown.length > MAX_SHOWN,
        };
      })
    ),
    Repair: unary<argocdagentha.v1.RepairRequest, argocdagentha.v1.RepairResponse>((request, asked) => {
      const who = operatorOf(asked.metadata);
      const { keys = [], timeoutMs: timeoutMs = 0 } = request;
      if (ctx.model().state !== "active") return repair(ctx, { keys, timeoutMs, who });
      const passed = { keys, timeoutMs, who, standing: ctx.standing() };
      return withPeer(
        ctx,
        "have the replica repaired",
        (peer) => peer.repair(passed, REPAIR_MS.max + TIMEOUT_MS),
      );
    }),
  };
}

async function withPeer<T>(
  ctx: Context,
  what: string,
  use: (peer: PeerConnection) => Promise<T>,
): Promise<T> {
  const { peerAddress } = ctx.settings;
  if (peerAddress === "") throw new Refusal("no peer is configured");
  const peer = ctx.peer.connect();
  try {
    return await use(peer);
  } catch (error) {
    throw error instanceof Status ? error : new Refusal(`cannot ${what}: ${reasonOf(error)}`);
  } finally {
    peer.close();
  }
}

/** The groups of both sides, and the keys that differ with both digests; a digest is empty where the key is missing. */
export async function compare({ index }: Pick<Context, "index">, connection: PeerConnection): Promise<{
  theirs: Inventory;
  here: Map<string, Group>;
  there: Map<string, Group>;
  /** The groups that differ. */
  names: string[];
  differing: Map<string, { here: string; peer: string }>;
}> {
  const ask = (groups: string[]) => connection.inventory(groups, TIMEOUT_MS);
  const theirs = await ask([]);
  const here = inventory(index);
  const there = new Map(theirs.groups.map((group) => [groupName(group), group]));
  const names = differingGroups(here, there);
  const { entries } = names.length === 0 ? theirs : await ask(names);
  const ours = entriesOf(index, new Set(names), MAX_KEYS);
  const peers = new Map(entries.map(({ key, digest }) => [key, digest]));
  const differing = [...new Set([...ours.keys(), ...peers.keys()])].sort()
    .map((key) => [key, { here: ours.get(key) ?? "", peer: peers.get(key) ?? "" }] as const)
    .filter(([, { here, peer }]) => here !== peer);
  return { theirs, here, there, names, differing: new Map(differing) };
}

/** In which fields these differ. */
async function fieldsOf(
  ctx: Context,
  connection: PeerConnection,
  keys: readonly string[],
): Promise<Map<string, FieldDifference[]>> {
  if (keys.length === 0) return new Map();
  if (keys.length > MAX_FETCHED) {
    throw new Status(grpc.status.INVALID_ARGUMENT, `name at most ${MAX_FETCHED} keys`);
  }
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const entries = await connection.fetch(keys, salt, TIMEOUT_MS);
  const theirs = new Map(entries.map(({ key, object }) => [key, object]));
  return new Map(keys.map((key) => {
    const entry = ctx.index.present(key);
    return [key, fieldDifferences(entry && shown(entry, salt), theirs.get(key))];
  }));
}

function identity(group: Group | undefined): Pick<Group, "kind" | "agent"> {
  return { kind: group?.kind ?? "", agent: group?.agent ?? "" };
}
