/** The planned move on the wire: the operator's call on either side, the replica's to its active, and the handover itself. */
import grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { Standing } from "../../domain/ha/state.ts";
import type { Context } from "../../principal/core/context.ts";
import { Refusal } from "../../domain/ha/refusal.ts";
import { reasonOf } from "../../base/reason.ts";
import { DEFAULT_TIMEOUT_MS, type Switchover } from "../../principal/operations/switchover.ts";
import { operatorOf } from "./admin.ts";
import { authorizeReplication, type ReplicationPolicy } from "./auth.ts";
import { openServerStream } from "./dial.ts";
import { failStream, unary } from "./server.ts";
import { linkService } from "./services.ts";
import { explainCall, Status } from "./status.ts";
import { digestFromWire, digestToWire, standingFromWire, standingToWire } from "./wire.ts";

type Progress = argocdagentha.v1.SwitchoverProgress;
type Call = grpc.ServerWritableStream<argocdagentha.v1.SwitchoverRequest, Progress>;

/** `Link/Prove`, `Link/Prepare`, `Link/TakeOver` and `Link/Switchover`, for the peer. */
export function switchoverLinkHandlers(
  ctx: Context,
  switchover: Switchover,
  policy: ReplicationPolicy,
): grpc.UntypedServiceImplementation {
  const forPeer = <Q, S>(handle: (request: Q) => Promise<S>) =>
    unary<Q, S>(async (request, call) => {
      authorizeReplication(call, policy);
      return await handle(request).catch((error) => {
        throw refusal(error);
      });
    });
  return {
    Prove: forPeer<argocdagentha.v1.ProveRequest, argocdagentha.v1.ProveResponse>(
      async ({ digest }) => ({ digest: digestToWire(await switchover.prove(digestFromWire(digest))) }),
    ),
    Prepare: forPeer<argocdagentha.v1.PrepareRequest, argocdagentha.v1.PrepareResponse>(
      async ({ standing, who = "" }) => ({
        promised_epoch: await switchover.prepare(standingOf(standing), who.slice(0, 200)),
      }),
    ),
    TakeOver: forPeer<argocdagentha.v1.TakeOverRequest, argocdagentha.v1.TakeOverResponse>(
      async ({ standing, epoch = 0 }) => {
        await switchover.takeOver(standingOf(standing), epoch);
        return { standing: standingToWire(ctx.standing()) };
      },
    ),
    Switchover: (call: Call) => {
      try {
        authorizeReplication(call as unknown as Parameters<typeof authorizeReplication>[0], policy);
        run(call, switchover, call.request.who ?? "");
      } catch (error) {
        failStream(call, error);
      }
    },
  };
}

function standingOf(wire: argocdagentha.v1.Standing | null | undefined): Standing {
  const standing = standingFromWire(wire);
  if (!standing) {
    throw new Status(grpc.status.INVALID_ARGUMENT, "the principal that asks does not say what it is");
  }
  return standing;
}

/** `Operator/Switchover`: here where this principal is ACTIVE, otherwise at the peer. */
export function switchoverHandler(ctx: Context, switchover: Switchover) {
  return (call: Call) => {
    const who = operatorOf(call.metadata);
    if (ctx.activeScope()) return run(call, switchover, who);
    const { peerAddress } = ctx.settings;
    if (peerAddress === "") {
      return failStream(
        call,
        new Status(grpc.status.FAILED_PRECONDITION, "cannot switch over: no peer is configured"),
      );
    }
    const client = ctx.peer.dial();
    const stream = openServerStream(client, linkService.Switchover, { ...call.request, who });
    stream.on("data", (progress: Progress) => call.write(progress));
    stream.on("error", (error: grpc.ServiceError) => {
      client.close();
      const precondition = error.code === grpc.status.FAILED_PRECONDITION;
      const text = precondition
        ? error.details
        : `cannot ask the ACTIVE peer: ${explainCall(error, peerAddress)}`;
      failStream(call, new Status(grpc.status.FAILED_PRECONDITION, text));
    });
    stream.on("end", () => {
      client.close();
      call.end();
    });
  };
}

/** Nobody needs to listen to the end: a switchover is not stopped by a stream that breaks. */
function run(call: Call, switchover: Switchover, who: string): void {
  let open = true;
  call.on("cancelled", () => open = false);
  const options = {
    who: who.slice(0, 200) || "admin listener",
    dryRun: call.request.dry_run ?? false,
    timeoutMs: call.request.timeout_ms || DEFAULT_TIMEOUT_MS,
  };
  switchover.run(options, (progress) => open && call.write(progress)).then((receipt) => {
    if (!open) return;
    call.write({ phase: "done", text: "", receipt });
    call.end();
  }, (error) => open && failStream(call, refusal(error)));
}

/** A refusal goes out as it is; of anything else the operator is told the reason. */
function refusal(error: unknown): Error {
  return error instanceof Refusal || error instanceof Status
    ? error
    : new Status(grpc.status.INTERNAL, reasonOf(error));
}
