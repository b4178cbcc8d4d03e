/**
 * OpenTelemetry's SDK behind the port `Tracing`: spans are batched and sent to a collector. Nothing waits for it: its queue is bounded,
 * and spans beyond are dropped; an operator hears once that the collector is away, and once that it is back.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import {
  type Attributes as OtelAttributes,
  ROOT_CONTEXT,
  type Span as OtelSpan,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { parseTraceParent, TraceState } from "@opentelemetry/core";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from "@opentelemetry/sdk-trace";
import { deadline } from "@std/async/deadline";
import type { Log } from "../../base/log.ts";
import { VERSION } from "../../base/version.ts";
import type { TraceContext } from "../../domain/events/trace.ts";
import type { Attributes, Span, SpanOptions, Tracing } from "../../principal/ports/tracing.ts";
import { type SpanTransport, TellingExporter } from "./telling_exporter.ts";

/** How traces are made and sent. */
export interface OtlpOptions {
  /** Of whom the spans are, beside `service.name` and its version. */
  service: string;
  attributes: Readonly<Record<string, string>>;
  sampler: SamplerOptions;
  /** Of spans; beyond it they are dropped. */
  maxQueue: number;
  maxBatch: number;
  /** A batch is sent at the latest after this time. */
  scheduleMs: number;
  /** One attempt to send a batch. */
  exportMs: number;
}

/** Which traces are kept: all, none, or this share of those that begin here; `parentBased`: others as their beginning says. */
export interface SamplerOptions {
  ratio: number;
  parentBased: boolean;
}

/** A tracer that is to be closed. */
export interface OpenTracing extends Tracing {
  /** Sends what waits, within a short time. */
  close(): Promise<void>;
}

/** At the end a collector that is away is not waited for. */
const FLUSH_MS = 1_000;
/** Characters of an attribute. */
const MAX_VALUE = 1_024;
const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
};

/** Opens a tracer. */
export function openTracing(options: OtlpOptions, transport: SpanTransport, log: Log): OpenTracing {
  const { service, attributes, maxQueue, maxBatch, scheduleMs, exportMs } = options;
  const exporter = new TellingExporter(transport, log);
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      "service.version": VERSION,
      "service.instance.id": crypto.randomUUID(),
      ...attributes,
      "service.name": service,
    }),
    sampler: samplerOf(options.sampler),
    spanLimits: { attributeValueLengthLimit: MAX_VALUE },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter,
        maxQueueSize: maxQueue,
        maxExportBatchSize: Math.min(maxBatch, maxQueue),
        scheduledDelayMillis: scheduleMs,
        exportTimeoutMillis: exportMs,
      }),
    ],
  });
  return new OtlpTracing(provider.getTracer("argocd-agent-ha", VERSION), async () => {
    await deadline(provider.shutdown(), FLUSH_MS).catch(() => {});
    transport.close();
  });
}

function samplerOf({ ratio, parentBased }: SamplerOptions): Sampler {
  const root = ratio >= 1
    ? new AlwaysOnSampler()
    : ratio <= 0
    ? new AlwaysOffSampler()
    : new TraceIdRatioBasedSampler(ratio);
  return parentBased ? new ParentBasedSampler({ root }) : root;
}

/** A span of this process until it ends, or a trace of another one, which code runs in. */
interface Inside {
  readonly trace: TraceContext | undefined;
  readonly ended?: boolean;
}

class OtlpTracing implements OpenTracing {
  readonly on = true;
  readonly #inside = new AsyncLocalStorage<Inside>();

  constructor(private readonly tracer: Tracer, readonly close: () => Promise<void>) {}

  begin(name: string, parent: TraceContext | undefined, options: SpanOptions = {}): OtlpSpan {
    const { kind = "internal", attributes = {}, links = [], startMs } = options;
    const given = contextOf(parent);
    return new OtlpSpan(this.tracer.startSpan(
      name,
      {
        kind: KINDS[kind],
        attributes: { "argocd.component.type": "principal", ...attributes },
        links: links.flatMap((link) => contextOf(link) ?? []).map((context) => ({ context })),
        ...(startMs === undefined ? {} : { startTime: startMs }),
      },
      given ? trace.setSpanContext(ROOT_CONTEXT, given) : ROOT_CONTEXT,
    ));
  }

  current(): TraceContext | undefined {
    const inside = this.#inside.getStore();
    return inside?.ended ? undefined : inside?.trace;
  }

  within<T>(inside: Span | TraceContext | undefined, act: () => T): T {
    if (!inside) return act();
    return this.#inside.run("end" in inside ? inside : { trace: inside }, act);
  }
}

class OtlpSpan implements Span {
  readonly trace: TraceContext;
  #ended = false;

  constructor(private readonly span: OtelSpan) {
    this.trace = written(span.spanContext());
  }

  get ended(): boolean {
    return this.#ended;
  }

  set(attributes: Attributes): void {
    this.span.setAttributes(attributes as OtelAttributes);
  }

  note(text: string): void {
    this.span.addEvent(text.slice(0, MAX_VALUE));
  }

  end(problem?: string): void {
    if (this.#ended) return;
    this.#ended = true;
    const message = problem?.slice(0, MAX_VALUE) ?? "";
    this.span.setStatus(
      problem === undefined ? { code: SpanStatusCode.OK } : { code: SpanStatusCode.ERROR, message },
    );
    this.span.end();
  }
}

function contextOf(given: TraceContext | undefined): SpanContext | undefined {
  const context = given && parseTraceParent(given.traceparent);
  if (!context) return undefined;
  const noted = given.tracestate ? { traceState: new TraceState(given.tracestate) } : {};
  return { ...context, ...noted, isRemote: true };
}

function written({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext {
  const traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, "0")}`;
  const tracestate = traceState?.serialize();
  return tracestate ? { traceparent, tracestate } : { traceparent };
}
