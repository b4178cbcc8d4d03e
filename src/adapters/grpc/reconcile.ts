/** The loss manifest on the wire: `Operator/Losses` and `Operator/Reconcile`. */
import grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { shownForm } from "../../domain/resources/fields.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Operations } from "../../principal/ports/operations.ts";
import { operatorOf } from "./admin.ts";
import { unary } from "./server.ts";
import { Status } from "./status.ts";
import { digestToWire } from "./wire.ts";

const encoder = new TextEncoder();

export function reconcileHandlers(
  operations: Pick<Operations, "standing" | "losses" | "reconcile">,
): grpc.UntypedServiceImplementation {
  return {
    Losses: unary<argocdagentha.v1.LossesRequest, argocdagentha.v1.LossesResponse>(async () => {
      const { losses, peerError } = await operations.losses();
      return {
        standing: operations.standing(),
        peerError,
        losses: losses.map(({ digest, object, ...loss }) => ({
          ...loss,
          digest: digestToWire(digest),
          object: encoder.encode(JSON.stringify(shownForm(object, () => "(not shown)"))),
        })),
      };
    }),
    Reconcile: unary<argocdagentha.v1.ReconcileRequest, argocdagentha.v1.ReconcileResponse>(
      async ({ action, keys = [], all = false }, call) => {
        if (action !== "adopt" && action !== "discard") {
          throw new Status(grpc.status.INVALID_ARGUMENT, "the action is neither adopt nor discard");
        }
        if (all === keys.length > 0) {
          throw new Status(grpc.status.INVALID_ARGUMENT, "name keys, or say that all are meant");
        }
        const options = { action, keys: all ? undefined : keys, who: operatorOf(call.metadata) } as const;
        return await operations.reconcile(options).catch(refuse);
      },
    ),
  };
}

function refuse(error: unknown): never {
  throw new Status(grpc.status.FAILED_PRECONDITION, reasonOf(error));
}
