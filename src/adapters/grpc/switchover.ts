/** `Operator/Switchover`: here where this principal is ACTIVE, otherwise at the peer. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { Progress, Receipt } from "../../domain/ha/switchover.ts";
import type { Context } from "../../principal/core/context.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Switchover } from "../../principal/operations/switchover.ts";
import { PeerError, type SwitchoverRequest } from "../../principal/ports/peer.ts";
import { operatorOf } from "./admin.ts";
import { serveSwitchover } from "./link_service.ts";

type Call = grpc.ServerWritableStream<
  argocdagentha.v1.SwitchoverRequest,
  argocdagentha.v1.SwitchoverProgress
>;

export function switchoverHandler(ctx: Context, switchover: Switchover) {
  return (call: Call) =>
    serveSwitchover(call, {
      switchover: (request, tell) =>
        ctx.activeScope() ? switchover.run(request, tell) : atPeer(ctx, request, tell),
    }, operatorOf(call.metadata));
}

async function atPeer(
  ctx: Context,
  request: SwitchoverRequest,
  tell: (progress: Progress) => void,
): Promise<Receipt> {
  if (ctx.settings.peerAddress === "") throw new Refusal("cannot switch over: no peer is configured");
  const peer = ctx.peer.connect();
  try {
    return await peer.switchover(request, tell);
  } catch (error) {
    const refused = error instanceof PeerError && error.kind === "refused";
    throw new Refusal(`${refused ? "" : "cannot ask the ACTIVE peer: "}${reasonOf(error)}`);
  } finally {
    peer.close();
  }
}
