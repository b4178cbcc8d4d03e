/** The questions of an operator before a decision: `Operator/Explain`, `Preflight` and `History`. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { Operations } from "../../principal/ports/operations.ts";
import { unary } from "./server.ts";
import { exposureToWire } from "./wire.ts";

export function knowingHandlers(
  operations: Pick<Operations, "standing" | "explain" | "preflight" | "history">,
): grpc.UntypedServiceImplementation {
  return {
    Explain: unary<argocdagentha.v1.ExplainRequest, argocdagentha.v1.Explanation>(async () => {
      const { healthz, exposure, ...explained } = await operations.explain();
      return {
        standing: operations.standing(),
        healthzCode: healthz.code,
        healthz: healthz.text,
        ...explained,
        exposure: exposureToWire(exposure),
      };
    }),
    Preflight: unary<argocdagentha.v1.PreflightRequest, argocdagentha.v1.PreflightResponse>(() =>
      operations.preflight()
    ),
    History: unary<argocdagentha.v1.HistoryRequest, argocdagentha.v1.HistoryResponse>(() => ({
      links: [...operations.history()],
    })),
  };
}
