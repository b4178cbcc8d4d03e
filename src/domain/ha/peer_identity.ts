/**
 * Whose word is the peer's. Reading the stream and being the peer are two rights: an identity that may read cannot make this side step
 * down, take over or write. The identity is the one that `--auth` finds in the certificate that a call came with.
 */

/** Where the peer's identity is known from. */
export interface PeerClues {
  /** `--ha-peer-identity`; empty: not given. */
  named: string;
  /** Identities that may replicate. */
  allowed: readonly string[];
  /** The identity of this side's own certificate; empty: not known. */
  own: string;
  /** The identity that the peer's address presented when this side dialled it; empty: it has not yet. */
  presented: string;
}

/** The peer's identity: as named, or the only other one that may replicate, or the one at the peer's address; empty: not known. */
export function peerIdentity({ named, allowed, own, presented }: PeerClues): string {
  if (named !== "") return named;
  const others = allowed.length > 1 ? allowed.filter((identity) => identity !== own) : allowed;
  return others.length === 1 ? others[0] as string : presented;
}
