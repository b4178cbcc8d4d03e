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

/** The rows of a metric: one a set of labels. */
export type Rows = [labels: Record<string, string>, value: number][];

/** One metric, read at each scrape. */
export interface Series {
  name: string;
  help: string;
  type: "gauge" | "counter";
  labels: readonly string[];
  read(): number | Rows;
}
