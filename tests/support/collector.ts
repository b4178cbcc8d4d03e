/** An OpenTelemetry collector on a real socket: it reads OTLP by its own copy of the protocol, and keeps every span. */
import { Buffer } from "node:buffer";
import grpc from "@grpc/grpc-js";
import protobuf from "protobufjs";
import { listen } from "../../src/adapters/grpc/server.ts";
import { until } from "./until.ts";

/** The parts of OpenTelemetry's protocol that are looked at here. */
const PROTO = `syntax = "proto3";
message Request { repeated ResourceSpans resource_spans = 1; }
message ResourceSpans { Resource resource = 1; repeated ScopeSpans scope_spans = 2; }
message Resource { repeated KeyValue attributes = 1; }
message ScopeSpans { repeated Span spans = 2; }
message Span {
  bytes trace_id = 1; bytes span_id = 2; string trace_state = 3; bytes parent_span_id = 4; string name = 5;
  uint32 kind = 6; fixed64 start_time_unix_nano = 7; fixed64 end_time_unix_nano = 8;
  repeated KeyValue attributes = 9; repeated Event events = 11; repeated Link links = 13; Status status = 15;
}
message Event { string name = 2; }
message Link { bytes trace_id = 1; bytes span_id = 2; }
message Status { string message = 2; uint32 code = 3; }
message KeyValue { string key = 1; AnyValue value = 2; }
message AnyValue { oneof value { string string_value = 1; bool bool_value = 2; int64 int_value = 3; double double_value = 4; } }
`;
const REQUEST = protobuf.parse(PROTO).root.lookupType("Request");
const KINDS = ["unspecified", "internal", "server", "client", "producer", "consumer"];
const ERROR = 2;

/** A span as it came. */
export interface CollectedSpan {
  service: string;
  name: string;
  kind: string;
  traceId: string;
  spanId: string;
  /** Empty: it begins its trace. */
  parentId: string;
  traceState: string;
  attributes: Record<string, string | number | boolean>;
  events: string[];
  links: string[];
  /** Undefined: it did not fail. */
  problem: string | undefined;
  startMs: number;
  endMs: number;
}

interface Pair {
  key: string;
  value: Record<string, string | number | boolean>;
}

export class FakeCollector {
  readonly spans: CollectedSpan[] = [];
  /** The metadata of the last call. */
  metadata: Record<string, unknown> = {};
  requests = 0;
  #server: grpc.Server | undefined;
  #port = 0;

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Listens, once more on the same port after `stop`. */
  async start(credentials = grpc.ServerCredentials.createInsecure(), port = this.#port): Promise<void> {
    const server = new grpc.Server();
    const bytes = (given: Uint8Array) => Buffer.from(given);
    server.addService({
      Export: {
        path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        requestStream: false,
        responseStream: false,
        requestSerialize: bytes,
        requestDeserialize: (given: Buffer) => given,
        responseSerialize: bytes,
        responseDeserialize: (given: Buffer) => given,
      },
    }, {
      Export: (
        call: grpc.ServerUnaryCall<Buffer, Uint8Array>,
        answer: grpc.sendUnaryData<Uint8Array>,
      ) => {
        this.requests++;
        this.metadata = call.metadata.getMap();
        this.spans.push(...read(call.request));
        answer(null, new Uint8Array());
      },
    });
    // Deno's HTTP/2 needs what our own servers do at the end of a connection.
    this.#port = await listen(server, `127.0.0.1:${port}`, credentials);
    this.#server = server;
  }

  stop(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
  }

  /** Waits for a span. */
  async find(what: string, matches: (span: CollectedSpan) => boolean): Promise<CollectedSpan> {
    let found: CollectedSpan | undefined;
    await until(
      () => (found = this.spans.find(matches)) !== undefined,
      20_000,
      () => `no span is ${what}:\n${this.spans.map(shown).join("\n")}`,
      20,
    );
    return found as CollectedSpan;
  }
}

function shown({ service, name, spanId, parentId, traceId, problem }: CollectedSpan): string {
  return `${service} ${name} ${traceId.slice(0, 6)} ${parentId || "-"} > ${spanId} ${problem ?? ""}`;
}

function read(request: Uint8Array): CollectedSpan[] {
  const options = { bytes: String, longs: Number, defaults: true, arrays: true };
  const { resourceSpans } = REQUEST.toObject(REQUEST.decode(request), options) as {
    resourceSpans: { resource: { attributes: Pair[] }; scopeSpans: { spans: Record<string, unknown>[] }[] }[];
  };
  return resourceSpans.flatMap(({ resource, scopeSpans }) => {
    const service = String(pairs(resource.attributes)["service.name"]);
    return scopeSpans.flatMap(({ spans }) => spans.map((span) => collected(service, span)));
  });
}

// deno-lint-ignore no-explicit-any
function collected(service: string, span: any): CollectedSpan {
  return {
    service,
    name: span.name,
    kind: KINDS[span.kind] ?? "",
    traceId: hex(span.traceId),
    spanId: hex(span.spanId),
    parentId: hex(span.parentSpanId),
    traceState: span.traceState,
    attributes: pairs(span.attributes),
    events: span.events.map(({ name }: { name: string }) => name),
    links: span.links.map(({ spanId }: { spanId: string }) => hex(spanId)),
    problem: span.status?.code === ERROR ? span.status.message : undefined,
    startMs: span.startTimeUnixNano / 1e6,
    endMs: span.endTimeUnixNano / 1e6,
  };
}

function pairs(list: Pair[]): Record<string, string | number | boolean> {
  return Object.fromEntries(list.map(({ key, value }) => [key, Object.values(value)[0] ?? ""]));
}

function hex(base64: string): string {
  return Buffer.from(base64, "base64").toString("hex");
}
