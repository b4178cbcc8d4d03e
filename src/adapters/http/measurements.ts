/**
 * The measurements of a process that are counted where they happen, under the Go principal's names: the handling of agents' events, gRPC
 * calls (as go-grpc-middleware names them) and requests to the API server (as client-go names them).
 */
import { Counter, Histogram, Registry } from "prom-client";
import type {
  ApiRequestCounting,
  ApiRequestMeter,
  CallCounting,
  CallKind,
  CallMeter,
  ProcessedEvent,
  Processing,
} from "../../principal/ports/telemetry.ts";
import { monotonicMs } from "../../base/clock.ts";

/** The labels of `targetLabel`. */
const TARGETS = [
  "application",
  "appproject",
  "resourceResync",
  "clusterCacheInfoUpdate",
  "heartbeat",
  "other",
];
const STATUSES: readonly ProcessedEvent["status"][] = ["success", "failure", "not-allowed"];

/** All of them, in one registry. */
export class Measurements {
  readonly registry = new Registry();
  readonly processing = new ProcessingTimes(this.registry);
  readonly calls = new CallTimes(this.registry);
  readonly apiRequests = new ApiRequestTimes(this.registry);

  /** Name, meaning and type of each. */
  get described(): { name: string; help: string; type: string }[] {
    return this.registry.getMetricsAsArray().map((metric) => {
      const { name, help } = metric as unknown as { name: string; help: string };
      return { name, help, type: metric instanceof Histogram ? "histogram" : "counter" };
    });
  }
}

/** The processing time of agents' events. A series lives while its agent is connected. */
class ProcessingTimes implements Processing {
  readonly #histogram: Histogram<"status" | "agent_name" | "resource_type">;

  constructor(registry: Registry) {
    this.#histogram = new Histogram({
      name: "principal_event_processing_time",
      help: "Handling of events of agents, in seconds",
      labelNames: ["status", "agent_name", "resource_type"],
      registers: [registry],
    });
  }

  observe({ status, agent, target, seconds }: ProcessedEvent): void {
    this.#histogram.observe({ status, agent_name: agent, resource_type: target }, seconds);
  }

  forget(agent: string): void {
    for (const status of STATUSES) {
      for (const resource_type of TARGETS) {
        this.#histogram.remove({ status, agent_name: agent, resource_type });
      }
    }
  }
}

const CALL = ["grpc_type", "grpc_service", "grpc_method"] as const;

/** The gRPC calls of every listener. */
class CallTimes implements CallCounting {
  readonly #started;
  readonly #handled;
  readonly #received;
  readonly #sent;
  readonly #seconds;
  #open = 0;

  constructor(registry: Registry) {
    const registers = [registry];
    const counter = (name: string, help: string) => new Counter({ name, help, labelNames: CALL, registers });
    this.#started = counter("grpc_server_started_total", "gRPC calls that began");
    this.#received = counter("grpc_server_msg_received_total", "Messages received in gRPC calls");
    this.#sent = counter("grpc_server_msg_sent_total", "Messages sent in gRPC calls");
    this.#handled = new Counter({
      name: "grpc_server_handled_total",
      help: "gRPC calls that ended, by code",
      labelNames: [...CALL, "grpc_code"] as const,
      registers,
    });
    this.#seconds = new Histogram({
      name: "grpc_server_handling_seconds",
      help: "Duration of gRPC calls",
      labelNames: CALL,
      registers,
    });
  }

  /** Calls that are open now. */
  get open(): number {
    return this.#open;
  }

  started({ type, service, method }: CallKind): CallMeter {
    const labels = { grpc_type: type, grpc_service: service, grpc_method: method };
    const [received, sent] = [this.#received.labels(labels), this.#sent.labels(labels)];
    const startedAtMs = monotonicMs();
    let over = false;
    this.#started.inc(labels);
    this.#open++;
    return {
      received: () => received.inc(),
      sent: () => sent.inc(),
      handled: (code) => {
        if (over) return;
        over = true;
        this.#open--;
        this.#handled.inc({ ...labels, grpc_code: code });
        this.#seconds.observe(labels, (monotonicMs() - startedAtMs) / 1_000);
      },
    };
  }
}

const REQUEST = ["code", "method", "host"] as const;

/** The requests to the API server; none with the embedded store. */
class ApiRequestTimes implements ApiRequestCounting {
  readonly #requests;
  readonly #retries;
  readonly #seconds;
  readonly #waits;

  constructor(registry: Registry) {
    const registers = [registry];
    const counter = (name: string, help: string) =>
      new Counter({ name, help, labelNames: REQUEST, registers });
    const histogram = (name: string, help: string) =>
      new Histogram({ name, help, labelNames: ["verb", "host"] as const, registers });
    this.#requests = counter("rest_client_requests_total", "Requests to the API server, by status");
    this.#retries = counter("rest_client_request_retries_total", "Retries of requests to the API server");
    this.#seconds = histogram(
      "rest_client_request_duration_seconds",
      "Duration of requests to the API server",
    );
    this.#waits = histogram(
      "rest_client_rate_limiter_duration_seconds",
      "Wait of writes for their turn; see --kube-write-concurrency",
    );
  }

  of(host: string): ApiRequestMeter {
    return {
      answered: (method, code, seconds) => {
        this.#requests.inc({ code, method, host });
        this.#seconds.observe({ verb: method, host }, seconds);
      },
      retried: (method, code) => this.#retries.inc({ code, method, host }),
      waited: (verb, seconds) => this.#waits.observe({ verb, host }, seconds),
    };
  }
}
