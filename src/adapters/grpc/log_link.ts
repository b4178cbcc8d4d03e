/** A pod's log on its way from the ACTIVE to a replica's reader: one call each, so that a slow reader holds up its own alone. */
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import { LOG_BUFFER } from "../../domain/proxy/log_buffer.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { PeerService } from "../../principal/ports/peer.ts";
import type { StreamedAnswer } from "../../principal/ports/resource_proxy.ts";
import { failStream } from "./server.ts";
import { answerOf, answerWith, goneOf } from "./web_streams.ts";

type Part = argocdagentha.v1.LogPart;
export type LogCall = grpc.ServerWritableStream<argocdagentha.v1.LogRequest, Part>;

/** Serves the ACTIVE's side. */
export async function serveLog(call: LogCall, service: Pick<PeerService, "log">): Promise<void> {
  const gone = goneOf(call);
  const { agent = "", url = "" } = call.request;
  try {
    const answer = await service.log(agent, url, gone);
    await answerWith(call, "stream" in answer ? answer.stream : answer, (data) => ({ data }), gone);
  } catch (error) {
    if (!gone.aborted) failStream(call, error);
  }
}

/** Reads it on the replica's side. @throws what `translated` makes of an error @throws the reason of `signal` */
export async function readLog(
  call: grpc.ClientReadableStream<Part>,
  translated: (error: unknown) => Error,
  signal: AbortSignal,
): Promise<HttpAnswer | StreamedAnswer> {
  const part = ({ data }: Part) => data?.length ? data : undefined;
  const answer = await answerOf<Part, Uint8Array>(call, { part, strategy: LOG_BUFFER, translated }, signal);
  return answer instanceof ReadableStream ? { status: 200, stream: answer } : answer;
}
