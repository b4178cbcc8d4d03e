/** The port to the measurements of a principal. */

/** How the handling of one event of an agent ended. */
export interface ProcessedEvent {
  status: "success" | "failure" | "not-allowed";
  agent: string;
  target: string;
  seconds: number;
}

/** Keeps how long events took, for metrics. */
export interface Processing {
  observe(event: ProcessedEvent): void;
  /** The agent has left. */
  forget(agent: string): void;
}

/** One gRPC call that a server takes. */
export interface CallKind {
  type: "unary" | "client_stream" | "server_stream" | "bidi_stream";
  service: string;
  method: string;
}

/** Hears of one call. */
export interface CallMeter {
  received(): void;
  sent(): void;
  /** The call is over, with this code in the Go libraries' spelling. */
  handled(code: string): void;
}

/** Counts the gRPC calls of a server. */
export interface CallCounting {
  started(call: CallKind): CallMeter;
}

/** Counts the requests to one API server. */
export interface ApiRequestMeter {
  /** @param code the status, or `<error>` where no answer came */
  answered(method: string, code: string, seconds: number): void;
  retried(method: string, code: string): void;
  /** A write waited so long for its turn. */
  waited(method: string, seconds: number): void;
}

/** Counts the requests to API servers. */
export interface ApiRequestCounting {
  /** @param host host and port */
  of(host: string): ApiRequestMeter;
}

/** Counts nothing. */
export const UNCOUNTED: ApiRequestCounting = {
  of: () => ({ answered: () => {}, retried: () => {}, waited: () => {} }),
};

/** The rows of a metric: one a set of labels. */
export type Rows = [labels: Record<string, string>, value: number][];

/** The connections and gRPC calls of a process. */
export interface OpenWork {
  /** Connections that were refused or closed at a bound, by listener and reason. */
  cuts(): Rows;
  /** Connections and calls that are open. */
  open(): number;
  /** File descriptors at the bounds of every listener that was opened. */
  descriptors(): number;
}

/** Of a process that listens nowhere. */
export const NO_WORK: OpenWork = { cuts: () => [], open: () => 0, descriptors: () => 0 };

/** One metric, read at each scrape. */
export interface Series {
  name: string;
  help: string;
  type: "gauge" | "counter";
  labels: readonly string[];
  read(): number | Rows;
}
