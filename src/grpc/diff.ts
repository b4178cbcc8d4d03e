/** Where two sides differ: `Link/Inventory` says what one holds, `Operator/Diff` compares. Digests travel, never what they are of. */
import grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../proto/gen.d.ts";
import { differingGroups, entriesOf, type Group, groupName, inventory } from "../changes/inventory.ts";
import type { Context } from "../runtime/context.ts";
import { authorizeReplication, type ReplicationPolicy } from "./auth.ts";
import { call } from "./dial.ts";
import { unary } from "./server.ts";
import { linkService } from "./services.ts";
import { explainCall, Status } from "./status.ts";
import { digestFromWire, digestToWire, standingToWire } from "./wire.ts";

type Wire = argocdagentha.v1.InventoryResponse;

/** Keys that one answer names at most. */
const MAX_KEYS = 100_000;
const MAX_SHOWN = 1_000;
const TIMEOUT_MS = 20_000;

export function inventoryHandlers(
  ctx: Context,
  policy: ReplicationPolicy,
): grpc.UntypedServiceImplementation {
  return {
    Inventory: unary<argocdagentha.v1.InventoryRequest, Wire>((request, asked) => {
      authorizeReplication(asked, policy);
      const wanted = new Set(request.groups ?? []);
      const entries = wanted.size === 0 ? [] : [...entriesOf(ctx.index, wanted, MAX_KEYS)];
      return {
        standing: standingToWire(ctx.standing()),
        groups: [...inventory(ctx.index).values()].map((group) => ({
          ...group,
          digest: digestToWire(group.digest),
        })),
        entries: entries.map(([key, digest]) => ({ key, digest: digestToWire(digest) })),
      };
    }),
  };
}

export function diffHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  return {
    Diff: unary<argocdagentha.v1.DiffRequest, argocdagentha.v1.DiffResponse>(async () => {
      const { peerAddress } = ctx.settings;
      if (peerAddress === "") throw new Status(grpc.status.FAILED_PRECONDITION, "no peer is configured");
      const client = ctx.peer.dial();
      const ask = (groups: string[]) => call(client, linkService.Inventory, { groups }, TIMEOUT_MS);
      try {
        const theirs = await ask([]);
        const here = inventory(ctx.index);
        const there = groupsOf(theirs);
        const names = differingGroups(here, there);
        const detailed = names.length === 0 ? theirs : await ask(names);
        const keys = differingKeys(entriesOf(ctx.index, new Set(names), MAX_KEYS), detailed);
        return {
          here: standingToWire(ctx.standing()),
          ...(theirs.standing ? { peer: theirs.standing } : {}),
          groups: [...new Set([...here.keys(), ...there.keys()])].sort().map((name) => ({
            ...identity(here.get(name) ?? there.get(name)),
            here: here.get(name)?.count ?? 0,
            peer: there.get(name)?.count ?? 0,
            same: !names.includes(name),
          })),
          keys: keys.slice(0, MAX_SHOWN),
          truncated: keys.length > MAX_SHOWN,
        };
      } catch (error) {
        const text = `cannot compare with the peer: ${explainCall(error, peerAddress)}`;
        throw error instanceof Status ? error : new Status(grpc.status.FAILED_PRECONDITION, text);
      } finally {
        client.close();
      }
    }),
  };
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

function differingKeys(
  here: ReadonlyMap<string, string>,
  { entries = [] }: Wire,
): argocdagentha.v1.KeyDiff[] {
  const there = new Map(entries.map(({ key = "", digest }) => [key, digestFromWire(digest)]));
  const keys = [...new Set([...here.keys(), ...there.keys()])].sort();
  return keys.filter((key) => here.get(key) !== there.get(key)).map((key) => ({
    key,
    here: digestToWire(here.get(key) ?? ""),
    peer: digestToWire(there.get(key) ?? ""),
  }));
}
