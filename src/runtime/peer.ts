/** Asking the peer what it is: before going ACTIVE, and now and then while ACTIVE. */
import { call, dialPeer } from "../grpc/dial.ts";
import { linkService } from "../grpc/services.ts";
import { Code, codeOf, explainCall } from "../grpc/status.ts";
import { standingFromWire, standingToWire } from "../grpc/wire.ts";
import type { Standing } from "../ha/state.ts";
import type { TlsSide } from "../tls/files.ts";
import type { Context } from "./context.ts";

export interface PeerAnswer {
  peer: Standing | undefined;
  error: string;
}

/** Asks once, within `timeoutMs`; a peer of the plain contract has no answer, which is no error. */
export async function askPeer(ctx: Context, tls: TlsSide, timeoutMs: number): Promise<PeerAnswer> {
  const { peerAddress, maxMessageBytes, plainContract } = ctx.settings;
  if (peerAddress === "" || plainContract) return { peer: undefined, error: "" };
  const client = dialPeer(peerAddress, tls.current, maxMessageBytes);
  try {
    const request = { standing: standingToWire(ctx.standing()) };
    const { standing } = await call(client, linkService.Ask, request, timeoutMs);
    return { peer: standingFromWire(standing), error: "" };
  } catch (error) {
    if (codeOf(error) === Code.UNIMPLEMENTED) return { peer: undefined, error: "" };
    return { peer: undefined, error: explainCall(error, peerAddress) };
  } finally {
    client.close();
  }
}
