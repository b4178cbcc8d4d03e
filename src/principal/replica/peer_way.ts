/** The way of one log or terminal to the agents of the peer: a connection of its own, until that is over. */
import { reasonOf } from "../../base/reason.ts";
import type { Model } from "../../domain/ha/state.ts";
import { failure, type HttpAnswer } from "../../domain/proxy/status.ts";
import { type Peer, type PeerConnection, PeerError } from "../ports/peer.ts";

const STAND_BY_S = 5;

/** The part of the principal that this needs. */
export interface PeerWay {
  readonly settings: { readonly peerAddress: string; readonly plainContract: boolean };
  readonly peer: Pick<Peer, "connect">;
  model(): Pick<Model, "state">;
}

/**
 * Asks the peer; the answer where it cannot be asked. The connection stays open where `ask` resolves with no answer of HTTP, until `over`
 * is called. @throws as `ask`, errors of the peer aside
 */
export async function overPeer<Open extends object>(
  { settings: { peerAddress, plainContract }, peer, model }: PeerWay,
  { about, what }: { about: string; what: string },
  ask: (connection: PeerConnection, over: () => void) => Promise<HttpAnswer | Open>,
): Promise<HttpAnswer | Open> {
  const refused = (why: string) =>
    failure(503, `${about}: this principal is ${model().state}; ${why}`, { retryAfterS: STAND_BY_S });
  if (peerAddress === "" || plainContract) return refused(`no peer forwards ${what}`);
  const connection = peer.connect();
  try {
    const answer = await ask(connection, () => connection.close());
    if ("body" in answer) connection.close();
    return answer;
  } catch (error) {
    connection.close();
    if (!(error instanceof PeerError)) throw error;
    const unknown = error.kind === "unimplemented";
    return refused(unknown ? `the release of the peer forwards no ${what}; update it` : reasonOf(error));
  }
}
