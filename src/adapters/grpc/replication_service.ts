/** `replicationapi.Replication`, the Go principal's contract, for its replicas. Refusals are held back for a while. */
import type grpc from "@grpc/grpc-js";
import { delay } from "@std/async/delay";
import type { replicationapi } from "../../../proto/gen.d.ts";
import type { PlainPeerService } from "../../principal/ports/peer.ts";
import { type AuthenticatedCall, certificateOf } from "./auth.ts";
import { REFUSAL_DELAY_MS } from "./pacing.ts";
import { refuseStream, serveStream, unary } from "./server.ts";

type Call = grpc.ServerDuplexStream<replicationapi.ReplicationAck, replicationapi.ReplicatedEvent>;

const AS_IT_IS = {
  decode: (ack: replicationapi.ReplicationAck) => ack,
  encode: (event: replicationapi.ReplicatedEvent) => event,
};

export function replicationHandlers(service: PlainPeerService): grpc.UntypedServiceImplementation {
  const paced = <Q, S>(answer: (request: Q, identity: string) => Promise<S> | S) =>
    unary<Q, S>(async (request, call) => {
      try {
        return await answer(request, service.authorize(certificateOf(call), "read"));
      } catch (error) {
        await delay(REFUSAL_DELAY_MS);
        throw error;
      }
    });
  return {
    Subscribe: (call: Call) => {
      try {
        const identity = service.authorize(certificateOf(call as unknown as AuthenticatedCall), "read");
        serveStream(call, AS_IT_IS, (stream) => service.subscribe(identity, stream));
      } catch (error) {
        refuseStream(call, error);
      }
    },
    GetSnapshot: paced<replicationapi.SnapshotRequest, replicationapi.ReplicationSnapshot>(
      (_, identity) => service.snapshot(identity),
    ),
    Status: paced<replicationapi.StatusRequest, replicationapi.ReplicationStatus>(
      (_, identity) => service.status(identity),
    ),
    ConfirmMissingResources: paced<
      replicationapi.ConfirmMissingResourcesRequest,
      replicationapi.ConfirmMissingResourcesResponse
    >((request) => service.confirmMissing(request)),
  };
}
