/** A pod's log on its way from the ACTIVE to a replica's reader: one call each, so that a slow reader holds up its own alone. */
import { onAbort } from "../../base/abort.ts";
import { once } from "node:events";
import type grpc from "@grpc/grpc-js";
import type { argocdagentha } from "../../../proto/gen.d.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { PeerService } from "../../principal/ports/peer.ts";
import type { StreamedAnswer } from "../../principal/ports/resource_proxy.ts";
import { failStream } from "./server.ts";

type Part = argocdagentha.v1.LogPart;
export type LogCall = grpc.ServerWritableStream<argocdagentha.v1.LogRequest, Part>;

const BUFFERED_BYTES = 256 * 1024;
const OK = 200;

/** Serves the ACTIVE's side. */
export async function serveLog(call: LogCall, service: Pick<PeerService, "log">): Promise<void> {
  const gone = new AbortController();
  for (const event of ["cancelled", "close", "error"]) {
    call.on(event, () => gone.abort(new Error("the peer is gone")));
  }
  const { agent = "", url = "" } = call.request;
  try {
    const answer = await service.log(agent, url, gone.signal);
    if ("stream" in answer) {
      call.write({ status: OK });
      await pass(answer.stream, call, gone.signal);
    } else {
      const { status, body, retryAfterS = 0 } = answer;
      call.write({ status, body, retryAfterS });
    }
    call.end();
  } catch (error) {
    if (!gone.signal.aborted) failStream(call, error);
  }
}

async function pass(stream: ReadableStream<Uint8Array>, call: LogCall, gone: AbortSignal): Promise<void> {
  const reader = stream.getReader();
  onAbort(gone, (reason) => void reader.cancel(reason).catch(() => {}));
  for (let read = await reader.read(); !read.done && !gone.aborted; read = await reader.read()) {
    if (call.write({ data: read.value })) continue;
    await once(call, "drain", { signal: gone }).catch(() => {});
  }
}

/** Reads it on the replica's side. @throws what `translated` makes of an error @throws the reason of `signal` */
export function readLog(
  call: grpc.ClientReadableStream<Part>,
  translated: (error: unknown) => Error,
  signal: AbortSignal,
): Promise<HttpAnswer | StreamedAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer | StreamedAnswer>();
  const unlisten = onAbort(signal, (reason) => {
    reject(reason);
    call.cancel();
  });
  let over = false;
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      const ended = (end: () => void) => {
        if (over) return;
        over = true;
        unlisten();
        end();
      };
      call.on("data", ({ status = 0, body = "", retryAfterS = 0, data }: Part) => {
        if (over) return;
        if (status === OK) resolve({ status: OK, stream });
        else if (status > 0) resolve({ status, body, ...(retryAfterS > 0 ? { retryAfterS } : {}) });
        else if (data?.length) controller.enqueue(data);
        if ((controller.desiredSize ?? 0) <= 0) call.pause();
      });
      call.on("error", (error) =>
        ended(() => {
          reject(translated(error));
          controller.error(translated(error));
        }));
      call.on("end", () => ended(() => controller.close()));
    },
    pull: () => void call.resume(),
    cancel: () => {
      over = true;
      unlisten();
      call.cancel();
    },
  }, new ByteLengthQueuingStrategy({ highWaterMark: BUFFERED_BYTES }));
  return promise;
}
