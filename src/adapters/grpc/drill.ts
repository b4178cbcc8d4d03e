/** `Operator/Drill`: a failover that does not happen. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { Drills } from "../../principal/ports/operations.ts";
import { unary } from "./server.ts";

const DEFAULT_MS = 60_000;
const MAX_MS = 600_000;
/** Of an agent's name; a Kubernetes name is no longer. */
const MAX_NAME = 253;

export function drillHandlers(drills: Drills): grpc.UntypedServiceImplementation {
  return {
    Drill: unary<argocdagentha.v1.DrillRequest, argocdagentha.v1.DrillResponse>(async (request) => {
      const timeoutMs = Math.min(MAX_MS, request.timeoutMs || DEFAULT_MS);
      const agent = (request.agent ?? "").slice(0, MAX_NAME);
      const { again, ...report } = await drills.run({ agent, timeoutMs });
      return {
        standing: drills.standing(),
        ...report,
        againEvents: again.events,
        deleted: again.deleted,
        madeAnew: again.madeAnew,
      };
    }),
  };
}
