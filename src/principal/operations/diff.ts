/**
 * Where two sides differ: both say how many resources of each group they hold and one digest for each; only of groups that differ the
 * keys travel, and of chosen resources their shown forms, without the values of Secrets.
 */
import { reasonOf } from "../../base/reason.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import {
  differingGroups,
  entriesOf,
  type Group,
  groupName,
  inventory,
} from "../../domain/changes/inventory.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import { type FieldDifference, fieldDifferences } from "../../domain/resources/fields.ts";
import type { Key } from "../../domain/resources/keys.ts";
import { type Diff, MAX_FETCHED } from "../ports/operations.ts";
import { type Inventory, type Peer, PeerError } from "../ports/peer.ts";
import type { PeerConnection } from "../ports/peer.ts";
import { MAX_KEYS, shown } from "./holdings.ts";

const MAX_SHOWN = 1_000;
export const TIMEOUT_MS = 20_000;
const SALT_BYTES = 16;

/** The parts that asking the peer about its copy needs. */
export interface PeerParts {
  readonly settings: { readonly peerAddress: string };
  readonly peer: Pick<Peer, "connect">;
}

/** The parts that a comparison needs. */
export interface DiffParts extends PeerParts {
  readonly index: ChangeIndex;
}

/** Calls the peer. @throws Refusal with what could not be done, where there is none or the call fails */
export async function withPeer<T>(
  { settings, peer }: PeerParts,
  what: string,
  use: (connection: PeerConnection) => Promise<T>,
): Promise<T> {
  if (settings.peerAddress === "") {
    throw new Refusal(`cannot ${what}: no peer is configured; set --ha-peer-address`);
  }
  const connection = peer.connect();
  try {
    return await use(connection);
  } catch (error) {
    throw error instanceof PeerError ? new Refusal(`cannot ${what}: ${reasonOf(error)}`) : error;
  } finally {
    connection.close();
  }
}

/** Compares both sides; of `keys` also in which fields they differ. @throws Refusal */
export async function diff(ctx: DiffParts, keys: readonly Key[]): Promise<Diff> {
  if (keys.length > MAX_FETCHED) {
    throw new Refusal(
      `cannot compare: ${keys.length} keys are named; name at most ${MAX_FETCHED}`,
      "request",
    );
  }
  return await withPeer(ctx, "compare with the peer", async (connection) => {
    const { theirs, here, there, names, differing } = await compare(ctx.index, connection);
    const chosen = [...differing].filter(([key]) => keys.length === 0 || keys.includes(key));
    const fields = await fieldsOf(ctx.index, connection, keys);
    return {
      peer: theirs.standing,
      groups: [...new Set([...here.keys(), ...there.keys()])].sort().map((name) => ({
        kind: (here.get(name) ?? there.get(name))?.kind ?? "",
        agent: (here.get(name) ?? there.get(name))?.agent ?? "",
        here: here.get(name)?.count ?? 0,
        peer: there.get(name)?.count ?? 0,
        same: !names.includes(name),
      })),
      keys: chosen.slice(0, MAX_SHOWN).map(([key, sides]) => ({
        key,
        ...sides,
        fields: fields.get(key) ?? [],
      })),
      truncated: chosen.length > MAX_SHOWN,
    };
  });
}

interface Compared {
  theirs: Inventory;
  here: Map<string, Group>;
  there: Map<string, Group>;
  /** The groups that differ. */
  names: string[];
  differing: Map<Key, { here: string; peer: string }>;
}

/** The groups of both sides, and the keys that differ with both digests; a digest is empty where the key is missing. @throws PeerError */
export async function compare(index: ChangeIndex, connection: PeerConnection): Promise<Compared> {
  const theirs = await connection.inventory([], TIMEOUT_MS);
  const here = inventory(index);
  const there = new Map(theirs.groups.map((group) => [groupName(group), group]));
  const names = differingGroups(here, there);
  const { entries } = names.length === 0 ? theirs : await connection.inventory(names, TIMEOUT_MS);
  const ours = entriesOf(index, new Set(names), MAX_KEYS);
  const peers = new Map(entries.map(({ key, digest }) => [key, digest]));
  const differing = [...new Set([...ours.keys(), ...peers.keys()])].sort()
    .map((key) => [key, { here: ours.get(key) ?? "", peer: peers.get(key) ?? "" }] as const)
    .filter(([, { here, peer }]) => here !== peer);
  return { theirs, here, there, names, differing: new Map(differing) };
}

/** In which fields these differ. */
async function fieldsOf(
  index: ChangeIndex,
  connection: PeerConnection,
  keys: readonly Key[],
): Promise<Map<Key, FieldDifference[]>> {
  if (keys.length === 0) return new Map();
  const salt = crypto.getRandomValues(new Uint8Array(SALT_BYTES));
  const entries = await connection.fetch(keys, salt, TIMEOUT_MS);
  const theirs = new Map(entries.map(({ key, object }) => [key, object]));
  const nowhere = keys.find((key) => !theirs.has(key) && !index.present(key));
  if (nowhere !== undefined) {
    throw new Refusal(`cannot compare: neither side has "${nowhere}"; see: ha diff`, "request");
  }
  return new Map(keys.map((key) => {
    const entry = index.present(key);
    return [key, fieldDifferences(entry && shown(entry, salt), theirs.get(key))];
  }));
}
