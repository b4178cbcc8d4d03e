/** Logs for the readers of a side that is not ACTIVE: each comes from the peer over a call of its own, and ends with it. */
import { reasonOf } from "../../base/reason.ts";
import { type LogRequest, logUrl } from "../../domain/proxy/log_request.ts";
import type { HttpAnswer } from "../../domain/proxy/status.ts";
import type { LogSource } from "../ports/logs.ts";
import type { StreamedAnswer } from "../ports/resource_proxy.ts";
import { overPeer, type PeerWay } from "./peer_way.ts";

export class ForwardedLogs implements LogSource {
  constructor(private readonly parts: PeerWay) {}

  async open(agent: string, request: LogRequest, signal: AbortSignal): Promise<HttpAnswer | StreamedAnswer> {
    const about = `cannot read a log of agent "${agent}"`;
    return await overPeer<StreamedAnswer>(this.parts, { about, what: "logs" }, async (connection, over) => {
      const answer = await connection.log(agent, logUrl(request), signal);
      return "stream" in answer ? { status: 200, stream: ending(answer.stream, request, over) } : answer;
    });
  }
}

/** A log that ends with a line which says why, where its way breaks. */
function ending(
  log: ReadableStream<Uint8Array>,
  { timestamps }: LogRequest,
  over: () => void,
): ReadableStream<Uint8Array> {
  const reader = log.getReader();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await reader.read();
        if (!done) return controller.enqueue(value);
      } catch (error) {
        const time = timestamps ? `${new Date().toISOString()} ` : "";
        const line = `\n${time}the log ends here: ${reasonOf(error)}; read it again\n`;
        controller.enqueue(new TextEncoder().encode(line));
      }
      controller.close();
      over();
    },
    async cancel(reason) {
      await reader.cancel(reason).catch(() => {});
      over();
    },
  }, new ByteLengthQueuingStrategy({ highWaterMark: 0 }));
}
