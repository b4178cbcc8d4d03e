/** What an operator asks before deciding: `Operator/Explain`, `Preflight` and `History`. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../proto/gen.d.ts";
import { explain, type Situation } from "../ha/explain.ts";
import { preflight } from "../ha/preflight.ts";
import { monotonicMs } from "../runtime/clock.ts";
import { type Context, inSyncAgoMs } from "../runtime/context.ts";
import { askPeer, conditionOf, type PeerAnswer } from "../runtime/peer.ts";
import { unary } from "./server.ts";
import { standingToWire } from "./wire.ts";

export function knowingHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  return {
    Explain: unary<argocdagentha.v1.ExplainRequest, argocdagentha.v1.Explanation>(async () => {
      const situation = situationOf(ctx, await askPeer(ctx));
      const { healthz, ...explained } = explain(situation);
      return {
        standing: standingToWire(ctx.standing()),
        healthz_code: healthz.code,
        healthz: healthz.text,
        ...explained,
        peer_address: ctx.settings.peerAddress,
        ...(situation.peer ? { peer: standingToWire(situation.peer) } : {}),
        peer_error: situation.peerError,
      };
    }),
    Preflight: unary<argocdagentha.v1.PreflightRequest, argocdagentha.v1.PreflightResponse>(async () => {
      const answer = await askPeer(ctx);
      const { peer } = answer;
      const checks = preflight({
        own: ctx.standing(),
        condition: conditionOf(ctx),
        peerAddress: ctx.settings.peerAddress,
        peer,
        peerError: answer.error,
        peerCondition: answer.condition,
        skewMs: answer.skewMs ?? 0,
        followed: [...ctx.replicas].some(({ standing }) => standing?.uid === peer?.uid),
        nowMs: Date.now(),
      });
      return { checks, loss: explain(situationOf(ctx, answer)).loss };
    }),
    History: unary<argocdagentha.v1.HistoryRequest, argocdagentha.v1.HistoryResponse>(() => ({
      links: ctx.chain().map(({ atMs, ...link }) => ({ at_unix_ms: atMs, ...link })),
    })),
  };
}

export function situationOf(ctx: Context, { peer, error }: PeerAnswer): Situation {
  const { following } = ctx;
  return {
    model: ctx.model(),
    peer,
    peerError: error,
    replicas: ctx.replicas.size,
    agents: ctx.connectedAgents(),
    behind: following.behind,
    inSyncAgoMs: inSyncAgoMs(ctx, monotonicMs()),
    heldTotal: following.heldTotal,
    storeProblem: ctx.storeProblem(),
    nowMs: Date.now(),
  };
}
