/** Our own operator service: live reports, waiting for a replica's acknowledgement, and forgetting an agent. */
import grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { Operations } from "../../principal/ports/operations.ts";
import { operatorOf } from "./admin.ts";
import { onStreamEnd, unary } from "./server.ts";
import { Status } from "./status.ts";
import { concernsToWire, exposureToWire } from "./wire.ts";

type WireReport = argocdagentha.v1.Report;

const DEFAULT_INTERVAL_MS = 1_000;
const MIN_INTERVAL_MS = 50;
const MAX_INTERVAL_MS = 60_000;
const MAX_VERSIONS = 100_000;
const MAX_WAIT_MS = 600_000;

export function operatorHandlers(
  operations: Pick<Operations, "report" | "replicated" | "forgetAgent">,
): grpc.UntypedServiceImplementation {
  const report = (): WireReport => {
    const { concerns, peerConcerns, exposure, ...rest } = operations.report();
    return {
      ...rest,
      exposure: exposureToWire(exposure),
      concerns: concernsToWire(concerns),
      peerConcerns: concernsToWire(peerConcerns),
    };
  };
  return {
    Watch: (call: grpc.ServerWritableStream<argocdagentha.v1.WatchRequest, WireReport>) => {
      const interval = call.request.intervalMs || DEFAULT_INTERVAL_MS;
      let writable = call.write(report());
      const send = () => {
        if (writable) writable = call.write(report());
      };
      const timer = setInterval(send, Math.min(MAX_INTERVAL_MS, Math.max(MIN_INTERVAL_MS, interval)));
      call.on("drain", () => writable = true);
      onStreamEnd(call, () => clearInterval(timer));
    },
    ForgetAgent: unary<argocdagentha.v1.ForgetAgentRequest, argocdagentha.v1.ForgetAgentResponse>(
      async ({ name = "" }, call) => {
        await operations.forgetAgent(name, operatorOf(call.metadata));
        return {};
      },
    ),
    WaitReplicated: unary<argocdagentha.v1.WaitReplicatedRequest, argocdagentha.v1.WaitReplicatedResponse>(
      async ({ versions = [], timeoutMs = 0 }, call) => {
        if (versions.length > MAX_VERSIONS) {
          throw new Status(grpc.status.INVALID_ARGUMENT, `more than ${MAX_VERSIONS} versions in one request`);
        }
        const cancelled = new AbortController();
        call.on("cancelled", () => cancelled.abort());
        const wanted = versions.map(({ key = "", resourceVersion = "" }) => ({ key, resourceVersion }));
        const waitMs = Math.min(MAX_WAIT_MS, timeoutMs);
        return { replicated: await operations.replicated(wanted, waitMs, cancelled.signal) };
      },
    ),
  };
}
