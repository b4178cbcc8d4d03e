/** Logs for the readers of a side that is not ACTIVE: each comes from the peer over a call of its own, and ends with it. */
import { reasonOf } from "../../base/reason.ts";
import type { Model } from "../../domain/ha/state.ts";
import { type LogRequest, logUrl } from "../../domain/proxy/log_request.ts";
import { failure, type HttpAnswer } from "../../domain/proxy/status.ts";
import type { LogSource } from "../ports/logs.ts";
import { type Peer, PeerError } from "../ports/peer.ts";
import type { StreamedAnswer } from "../ports/resource_proxy.ts";

const STAND_BY_S = 5;

/** The part of the principal that this needs. */
export interface ForwardedLogsParts {
  readonly settings: { readonly peerAddress: string; readonly plainContract: boolean };
  readonly peer: Pick<Peer, "connect">;
  model(): Pick<Model, "state">;
}

export class ForwardedLogs implements LogSource {
  constructor(private readonly parts: ForwardedLogsParts) {}

  async open(agent: string, request: LogRequest, signal: AbortSignal): Promise<HttpAnswer | StreamedAnswer> {
    const { settings: { peerAddress, plainContract }, peer } = this.parts;
    if (peerAddress === "" || plainContract) return this.#refused(agent, "no peer forwards logs");
    const connection = peer.connect();
    try {
      const answer = await connection.log(agent, logUrl(request), signal);
      if (!("stream" in answer)) {
        connection.close();
        return answer;
      }
      return { status: 200, stream: ending(answer.stream, request, () => connection.close()) };
    } catch (error) {
      connection.close();
      if (!(error instanceof PeerError)) throw error;
      const unknown = error.kind === "unimplemented"
        ? "the release of the peer forwards no logs; update it"
        : "";
      return this.#refused(agent, unknown || reasonOf(error));
    }
  }

  #refused(agent: string, why: string): HttpAnswer {
    const message =
      `cannot read a log of agent "${agent}": this principal is ${this.parts.model().state}; ${why}`;
    return failure(503, message, { retryAfterS: STAND_BY_S });
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
