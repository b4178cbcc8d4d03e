/** Our own operator service on the loopback listener: live reports, and waiting for a replica's acknowledgement. */
import grpc from "@grpc/grpc-js";
import { delay } from "@std/async/delay";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Context } from "../../principal/core/context.ts";
import { lagMs } from "../../principal/core/following.ts";
import { onStreamEnd, unary } from "./server.ts";
import { Status } from "./status.ts";

type Report = argocdagentha.v1.Report;
type Version = argocdagentha.v1.Version;

const MIN_INTERVAL_MS = 50;
const MAX_INTERVAL_MS = 60_000;
const MAX_VERSIONS = 100_000;
const MAX_WAIT_MS = 600_000;
/** How often a waiter looks at what replicas have acknowledged. */
const LOOK_MS = 10;

export function operatorHandlers(ctx: Context): grpc.UntypedServiceImplementation {
  return {
    Watch: (call: grpc.ServerWritableStream<argocdagentha.v1.WatchRequest, Report>) => {
      const interval = call.request.intervalMs || 1_000;
      let writable = call.write(report(ctx));
      const send = () => {
        if (writable) writable = call.write(report(ctx));
      };
      const timer = setInterval(send, Math.min(MAX_INTERVAL_MS, Math.max(MIN_INTERVAL_MS, interval)));
      call.on("drain", () => writable = true);
      onStreamEnd(call, () => clearInterval(timer));
    },
    WaitReplicated: unary<argocdagentha.v1.WaitReplicatedRequest, argocdagentha.v1.WaitReplicatedResponse>(
      async (request, call) => {
        const versions = request.versions ?? [];
        if (versions.length > MAX_VERSIONS) {
          throw new Status(grpc.status.INVALID_ARGUMENT, `more than ${MAX_VERSIONS} versions in one request`);
        }
        const until = monotonicMs() + Math.min(MAX_WAIT_MS, request.timeoutMs ?? 0);
        for (;;) {
          const replicated = versions.map((version) => isReplicated(ctx, version));
          if (replicated.every(Boolean) || monotonicMs() >= until || call.cancelled) return { replicated };
          await delay(LOOK_MS);
        }
      },
    ),
  };
}

/**
 * Whether a replica has durably applied this version of a resource or a newer one. resourceVersions are compared
 * as numbers, which Kubernetes allows since 1.35 and the embedded store guarantees.
 */
function isReplicated(ctx: Context, { key = "", resourceVersion = "" }: Version): boolean {
  const entry = ctx.index.get(key);
  if (!entry || !(Number(entry.version) >= Number(resourceVersion))) return false;
  return [...ctx.replicas].some((replica) => replica.appliedRevision >= entry.revision);
}

/** Everything that `ha watch` shows. */
export function report(ctx: Context): Report {
  const { following } = ctx;
  const model = ctx.model();
  return {
    standing: ctx.standing(),
    preferredRole: model.preferredRole,
    explanation: model.explanation,
    peerAddress: model.peerAddress,
    peerReachable: ctx.peerReachable(),
    peer: model.peer,
    contract: following.contract,
    resources: ctx.index.size,
    digest: ctx.index.digests.root(),
    lagMs: model.state === "active" ? 0 : lagMs(ctx.following, monotonicMs()) ?? -1,
    pending: following.behind,
    snapshotDone: model.progress.done,
    snapshotTotal: model.progress.total,
    snapshotComplete: model.memory.complete,
    replicas: [...ctx.replicas].map((replica) => ({
      identity: replica.identity,
      contract: replica.contract,
      standing: replica.standing,
      sent: replica.sent,
      applied: replica.applied,
      pending: replica.pending,
      heldTotal: replica.heldTotal,
      sinceMs: replica.sinceMs,
    })),
    held: following.held,
    heldTotal: following.heldTotal,
    history: ctx.history.slice(-10),
    lastEventMs: following.lastEventMs,
    lastSequence: following.lastSequence,
    refused: ctx.counters.total("refused"),
    storeProblem: ctx.storeProblem(),
  };
}
