/**
 * Which keys differ, for those who decide by it: what is merely on its way to the replica does not count. A key differs where the two
 * sides' digests are unequal for a while in which the peer's own does not move.
 */
import { delay } from "@std/async/delay";
import { reasonOf } from "../../base/reason.ts";
import type { ChangeIndex } from "../../domain/changes/index.ts";
import type { Model, Standing } from "../../domain/ha/state.ts";
import type { Key } from "../../domain/resources/keys.ts";
import type { Comparison } from "../core/concerns.ts";
import { type Peer, type PeerConnection, PeerError } from "../ports/peer.ts";
import { compare } from "./diff.ts";

/** Changes on their way arrive within this time. */
const SETTLE_MS = 1_000;
const LOOKS = 4;

/** Of the principal, what comparing takes. */
export interface ComparingParts {
  readonly settings: { readonly peerAddress: string };
  readonly peer: Pick<Peer, "connect">;
  readonly index: ChangeIndex;
  readonly comparison: Pick<Comparison, "found">;
  model(): Model;
}

/** The keys that differ, sorted; `settleMs` 0: at this moment. A peer of a release without inventories has none. @throws PeerError */
export async function differingKeys(
  { index, comparison }: Pick<ComparingParts, "index" | "comparison">,
  connection: PeerConnection,
  settleMs = SETTLE_MS,
): Promise<Key[]> {
  const look = async () => (await compare(index, connection)).differing;
  try {
    let differing = await look();
    for (let n = 0; n < LOOKS && settleMs > 0 && differing.size > 0; n++) {
      await delay(settleMs / LOOKS);
      const now = await look();
      differing = new Map([...differing].filter(([key, { peer }]) => now.get(key)?.peer === peer));
    }
    const keys = [...differing.keys()];
    comparison.found(keys);
    return keys;
  } catch (error) {
    if (error instanceof PeerError && error.kind === "unimplemented") return [];
    throw error;
  }
}

/**
 * Compares both sides where one serves and the other has a live copy, and keeps the outcome among the concerns. The reason why it could
 * not; undefined: there is nothing to compare.
 */
export async function compareSides(
  ctx: ComparingParts,
  peer: Standing | undefined,
): Promise<{ problem: string } | undefined> {
  const states = [ctx.model().state, peer?.state];
  if (peer?.uid === "" || !states.includes("active") || !states.includes("replicating")) return undefined;
  const connection = ctx.peer.connect();
  try {
    await differingKeys(ctx, connection);
    return { problem: "" };
  } catch (error) {
    return { problem: reasonOf(error) };
  } finally {
    connection.close();
  }
}
