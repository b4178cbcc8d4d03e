/** Where two sides differ, for an operator: `Operator/Diff` and `Operator/Repair`. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { Operations } from "../../principal/ports/operations.ts";
import { operatorOf } from "./admin.ts";
import { unary } from "./server.ts";
import { digestToWire } from "./wire.ts";

type RepairRequest = argocdagentha.v1.RepairRequest;
type RepairResponse = argocdagentha.v1.RepairResponse;

export function diffHandlers(
  operations: Pick<Operations, "standing" | "diff" | "repair">,
): grpc.UntypedServiceImplementation {
  return {
    Diff: unary<argocdagentha.v1.DiffRequest, argocdagentha.v1.DiffResponse>(async (request) => {
      const { peer, groups, keys, truncated } = await operations.diff(request.keys ?? []);
      return {
        here: operations.standing(),
        peer,
        groups,
        keys: keys.map(({ key, here, peer, fields }) => ({
          key,
          here: digestToWire(here),
          peer: digestToWire(peer),
          fields,
        })),
        truncated,
      };
    }),
    Repair: unary<RepairRequest, RepairResponse>(({ keys = [], timeoutMs = 0 }, asked) =>
      operations.repair({ keys, timeoutMs, who: operatorOf(asked.metadata) })
    ),
  };
}
