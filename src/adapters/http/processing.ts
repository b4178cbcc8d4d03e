/** The processing time of agents' events: the Go principal's histogram. A series lives while its agent is connected. */
import { Histogram, Registry } from "prom-client";
import type { ProcessedEvent, Processing } from "../../principal/ports/telemetry.ts";

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

export class ProcessingTimes implements Processing {
  readonly registry = new Registry();
  readonly #histogram = new Histogram({
    name: "principal_event_processing_time",
    help: "Handling of events of agents, in seconds",
    labelNames: ["status", "agent_name", "resource_type"],
    registers: [this.registry],
  });

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
