/** `Operator/Drill`: a failover that does not happen. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { possibleLoss } from "../../domain/ha/explain.ts";
import type { Context } from "../../principal/core/context.ts";
import { Drill } from "../../principal/operations/drill.ts";
import { situationOf } from "../../principal/operations/readiness.ts";
import { unary } from "./server.ts";
import { standingToWire } from "./wire.ts";

const DEFAULT_MS = 60_000;
const MAX_MS = 600_000;

export function drillHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  const drill = new Drill(ctx);
  return {
    Drill: unary<argocdagentha.v1.DrillRequest, argocdagentha.v1.DrillResponse>(async (request) => {
      const timeoutMs = Math.min(MAX_MS, request.timeout_ms || DEFAULT_MS);
      const { again, ...report } = await drill.run({ agent: (request.agent ?? "").slice(0, 253), timeoutMs });
      return {
        standing: standingToWire(ctx.standing()),
        agent: report.agent,
        mode: report.mode,
        promoted_ms: report.promotedMs,
        connected_ms: report.connectedMs,
        converged_ms: report.convergedMs,
        applications: report.applications,
        took: report.took,
        again_events: again.events,
        deleted: again.deleted,
        made_anew: again.madeAnew,
        missing: report.missing,
        missing_total: report.missingTotal,
        problems: report.problems,
        writes: report.writes,
        loss: possibleLoss(situationOf(ctx, { peer: undefined, error: "" })),
      };
    }),
  };
}
