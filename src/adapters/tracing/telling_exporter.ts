/** Sends batches of spans, and tells once that they cannot be sent and once that they can: a collector that is away fills no log. */
import { type ExportResult, ExportResultCode } from "@opentelemetry/core";
import { ProtobufTraceSerializer } from "@opentelemetry/otlp-transformer";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";

/** The way to a collector. */
export interface SpanTransport {
  /** For the log. */
  readonly address: string;
  /** Sends one `ExportTraceServiceRequest`. @throws Error where it was not taken in time */
  send(request: Uint8Array): Promise<void>;
  close(): void;
}

export class TellingExporter implements SpanExporter {
  /** Spans that were not sent since the collector is away; undefined: it is not. */
  #lost: number | undefined;

  constructor(private readonly transport: SpanTransport, private readonly log: Log) {}

  export(spans: ReadableSpan[], done: (result: ExportResult) => void): void {
    this.#send(spans).then(
      () => {
        this.#told(undefined, 0);
        done({ code: ExportResultCode.SUCCESS });
      },
      (error) => {
        this.#told(reasonOf(error), spans.length);
        done({ code: ExportResultCode.FAILED, error });
      },
    );
  }

  shutdown(): Promise<void> {
    return Promise.resolve();
  }

  async #send(spans: ReadableSpan[]): Promise<void> {
    const request = ProtobufTraceSerializer.serializeRequest(spans);
    if (request) await this.transport.send(request);
  }

  #told(problem: string | undefined, spans: number): void {
    const { log, transport: { address } } = this;
    const before = this.#lost;
    if (problem === undefined) {
      this.#lost = undefined;
      if (before !== undefined) log.info("spans reach the collector again", { address, lost: before });
      return;
    }
    this.#lost = (before ?? 0) + spans;
    if (before !== undefined) return;
    const what = `cannot send spans to the collector "${address}": ${problem}`;
    log.warn(`${what}; they are dropped until it answers, and nothing else waits for it`);
  }
}
