/** The questions of an operator before a decision: `Operator/Explain`, `Preflight` and `History`. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { explain } from "../../domain/ha/explain.ts";
import type { Context } from "../../principal/core/context.ts";
import { askPeer } from "../../principal/core/peer.ts";
import { situationOf } from "../../principal/operations/readiness.ts";
import { unary } from "./server.ts";

export function knowingHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  return {
    Explain: unary<argocdagentha.v1.ExplainRequest, argocdagentha.v1.Explanation>(async () => {
      const situation = situationOf(ctx, await askPeer(ctx));
      const { healthz, ...explained } = explain(situation);
      return {
        standing: ctx.standing(),
        healthzCode: healthz.code,
        healthz: healthz.text,
        ...explained,
        peerAddress: ctx.settings.peerAddress,
        peer: situation.peer,
        peerError: situation.peerError,
      };
    }),
    Preflight: unary<argocdagentha.v1.PreflightRequest, argocdagentha.v1.PreflightResponse>(() =>
      ctx.readiness.look()
    ),
    History: unary<argocdagentha.v1.HistoryRequest, argocdagentha.v1.HistoryResponse>(() => ({
      links: [...ctx.chain()],
    })),
  };
}
