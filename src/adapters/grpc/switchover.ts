/** `Operator/Switchover`, from either side of the pair. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { Operations } from "../../principal/ports/operations.ts";
import { operatorOf } from "./admin.ts";
import { serveSwitchover } from "./link_service.ts";

type Call = grpc.ServerWritableStream<
  argocdagentha.v1.SwitchoverRequest,
  argocdagentha.v1.SwitchoverProgress
>;

export function switchoverHandler(operations: Pick<Operations, "switchover">) {
  return (call: Call) => serveSwitchover(call, operations, operatorOf(call.metadata));
}
