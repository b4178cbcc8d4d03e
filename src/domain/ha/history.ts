/**
 * A principal's history, with the operator of each entry. Entries form a chain: each carries the hash of the one before, so a
 * removed or changed entry shows. The chain is bounded: the oldest entries go, and it then begins at a hash that is kept.
 */
import { canonicalJson } from "../../base/json.ts";

export interface HistoryEntry {
  atMs: number;
  epoch: number;
  state: string;
  /** The event: a command, a transition. */
  what: string;
  /** The operator who asked for it; empty: none. */
  who: string;
  /** Why, or what came of it. */
  text: string;
  /** The name of the side; absent: an older release wrote it. */
  side?: string;
}

/** An entry in the chain. */
export interface ChainedEntry extends HistoryEntry {
  /** The hash of the entry before. */
  previous: string;
  hash: string;
}

/** SHA-256 as hex. */
export type Sha256Hex = (text: string) => string;

const GENESIS = "0".repeat(64);

function hashOf({ hash: _, ...link }: ChainedEntry, sha256: Sha256Hex): string {
  return sha256(canonicalJson(link));
}

/** The chain with one entry more, at most `keep` long. */
export function append(
  chain: readonly ChainedEntry[],
  entry: HistoryEntry,
  keep: number,
  sha256: Sha256Hex,
): ChainedEntry[] {
  const link: ChainedEntry = { ...entry, previous: chain.at(-1)?.hash ?? GENESIS, hash: "" };
  return [...chain, { ...link, hash: hashOf(link, sha256) }].slice(-keep);
}

/** The first entry (counted from 0) that is not what was written, or that does not follow on the one before; -1: none. */
export function firstBroken(chain: readonly ChainedEntry[], sha256: Sha256Hex): number {
  return chain.findIndex((link, i) =>
    link.hash !== hashOf(link, sha256) || (i > 0 && link.previous !== chain[i - 1]?.hash)
  );
}
