/** `Operator/Drill`: a failover that does not happen. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { possibleLoss } from "../../domain/ha/explain.ts";
import type { Context } from "../../principal/core/context.ts";
import { Drill } from "../../principal/operations/drill.ts";
import { situationOf } from "../../principal/operations/readiness.ts";
import { unary } from "./server.ts";

const DEFAULT_MS = 60_000;
const MAX_MS = 600_000;

export function drillHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  const drill = new Drill(ctx);
  return {
    Drill: unary<argocdagentha.v1.DrillRequest, argocdagentha.v1.DrillResponse>(async (request) => {
      const timeoutMs = Math.min(MAX_MS, request.timeoutMs || DEFAULT_MS);
      const { again, ...report } = await drill.run({ agent: (request.agent ?? "").slice(0, 253), timeoutMs });
      return {
        standing: ctx.standing(),
        ...report,
        againEvents: again.events,
        deleted: again.deleted,
        madeAnew: again.madeAnew,
        loss: possibleLoss(situationOf(ctx, { peer: undefined, error: "" })),
      };
    }),
  };
}
