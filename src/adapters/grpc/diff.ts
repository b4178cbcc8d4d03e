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
import { type ApiObject, isRecord } from "../../domain/resources/object.ts";
import type { Context } from "../../principal/core/context.ts";
import { MAX_FETCHED, MAX_KEYS, shown } from "../../principal/operations/holdings.ts";
import { repair, REPAIR_MS } from "../../principal/operations/repair.ts";
import { operatorOf } from "./admin.ts";
import { call, type Client } from "./dial.ts";
import { unary } from "./server.ts";
import { linkService } from "./services.ts";
import { explainCall, Status } from "./status.ts";
import { digestFromWire, digestToWire } from "./wire.ts";

type Wire = argocdagentha.v1.InventoryResponse;

const MAX_SHOWN = 1_000;
const TIMEOUT_MS = 20_000;

export function diffHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  return {
    Diff: unary<argocdagentha.v1.DiffRequest, argocdagentha.v1.DiffResponse>(({ keys = [] }) =>
      withPeer(ctx, "compare with the peer", async (client) => {
        const { theirs, here, there, names, differing } = await compare(ctx, client);
        const shown = [...differing].filter(([key]) => keys.length === 0 || keys.includes(key));
        const fields = await fieldsOf(ctx, client, keys);
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
      const passed = { ...request, standing: ctx.standing(), who };
      return withPeer(
        ctx,
        "have the replica repaired",
        (client) => call(client, linkService.Repair, passed, REPAIR_MS.max + TIMEOUT_MS),
      );
    }),
  };
}

async function withPeer<T>(ctx: Context, what: string, use: (client: Client) => Promise<T>): Promise<T> {
  const { peerAddress } = ctx.settings;
  if (peerAddress === "") throw new Status(grpc.status.FAILED_PRECONDITION, "no peer is configured");
  const client = ctx.peer.dial();
  try {
    return await use(client);
  } catch (error) {
    const text = `cannot ${what}: ${explainCall(error, peerAddress)}`;
    throw error instanceof Status ? error : new Status(grpc.status.FAILED_PRECONDITION, text);
  } finally {
    client.close();
  }
}

/** What both sides hold, and the keys that differ with both digests; a digest is empty where there is nothing. */
export async function compare(ctx: Context, client: Client): Promise<{
  theirs: Wire;
  here: Map<string, Group>;
  there: Map<string, Group>;
  /** The groups that differ. */
  names: string[];
  differing: Map<string, { here: string; peer: string }>;
}> {
  const ask = (groups: string[]) => call(client, linkService.Inventory, { groups }, TIMEOUT_MS);
  const theirs = await ask([]);
  const here = inventory(ctx.index);
  const there = groupsOf(theirs);
  const names = differingGroups(here, there);
  const { entries = [] } = names.length === 0 ? theirs : await ask(names);
  const ours = entriesOf(ctx.index, new Set(names), MAX_KEYS);
  const peers = new Map(entries.map(({ key = "", digest }) => [key, digestFromWire(digest)]));
  const differing = [...new Set([...ours.keys(), ...peers.keys()])].sort()
    .map((key) => [key, { here: ours.get(key) ?? "", peer: peers.get(key) ?? "" }] as const)
    .filter(([, { here, peer }]) => here !== peer);
  return { theirs, here, there, names, differing: new Map(differing) };
}

/** In which fields these differ. */
async function fieldsOf(
  ctx: Context,
  client: Client,
  keys: readonly string[],
): Promise<Map<string, FieldDifference[]>> {
  if (keys.length === 0) return new Map();
  if (keys.length > MAX_FETCHED) {
    throw new Status(grpc.status.INVALID_ARGUMENT, `name at most ${MAX_FETCHED} keys`);
  }
  const salt = crypto.getRandomValues(new Uint8Array(16));
  const { entries = [] } = await call(client, linkService.Fetch, { keys: [...keys], salt }, TIMEOUT_MS);
  const theirs = new Map(entries.map(({ key = "", object }) => [key, parsed(object)]));
  return new Map(keys.map((key) => {
    const entry = ctx.index.present(key);
    return [key, fieldDifferences(entry && shown(entry, salt), theirs.get(key))];
  }));
}

function parsed(object: Uint8Array | undefined): ApiObject | undefined {
  const value: unknown = JSON.parse(new TextDecoder().decode(object));
  return isRecord(value) ? value as unknown as ApiObject : undefined;
}

function identity(group: Group | undefined): Pick<Group, "kind" | "agent"> {
  return { kind: group?.kind ?? "", agent: group?.agent ?? "" };
}

function groupsOf({ groups = [] }: Wire): Map<string, Group> {
  return new Map(groups.map(({ kind = "", agent = "", count = 0, digest }) => {
    const group = { kind, agent, count, digest: digestFromWire(digest) };
    return [groupName(group), group];
  }));
}
