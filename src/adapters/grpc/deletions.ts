/** Deletions that wait, on the wire: `Operator/Deletions` and `Operator/DecideDeletions`. */
import grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Operations } from "../../principal/ports/operations.ts";
import { operatorOf } from "./admin.ts";
import { unary } from "./server.ts";
import { Status } from "./status.ts";

export function deletionsHandlers(
  operations: Pick<Operations, "standing" | "deletions" | "decideDeletions">,
): grpc.UntypedServiceImplementation {
  return {
    Deletions: unary<argocdagentha.v1.DeletionsRequest, argocdagentha.v1.DeletionsResponse>(async () => ({
      standing: operations.standing(),
      held: await operations.deletions(),
    })),
    DecideDeletions: unary<
      argocdagentha.v1.DecideDeletionsRequest,
      argocdagentha.v1.DecideDeletionsResponse
    >(async ({ action, keys = [], agent = "", all = false }, call) => {
      if (action !== "release" && action !== "restore") {
        throw new Status(grpc.status.INVALID_ARGUMENT, "the action is neither release nor restore");
      }
      const named = keys.length > 0;
      if (named ? all : !all && agent === "") {
        throw new Status(grpc.status.INVALID_ARGUMENT, "name keys or an agent, or say that all are meant");
      }
      const who = operatorOf(call.metadata);
      return await operations.decideDeletions({ action, keys: named ? keys : undefined, agent, who })
        .catch((error) => {
          throw new Status(grpc.status.FAILED_PRECONDITION, reasonOf(error));
        });
    }),
  };
}
