/** Principals and simulated agents that send their spans to a collector of the test. */
import { Collector } from "../../src/adapters/grpc/collector.ts";
import { openTracing } from "../../src/adapters/tracing/otlp.ts";
import { createLog } from "../../src/base/log.ts";
import { traceOf } from "../../src/domain/events/trace.ts";
import type { OtlpSettings } from "../../src/config/otlp_settings.ts";
import { parseSettings, type Settings } from "../../src/config/settings.ts";
import type { Span, Tracing } from "../../src/principal/ports/tracing.ts";
import type { SimAgent } from "../../src/simagents/agent.ts";
import { FakeCollector } from "./collector.ts";
import type { Workshop } from "./principals.ts";

/** A collector that listens until the workshop closes. */
export async function collecting(workshop: Workshop): Promise<FakeCollector> {
  const collector = new FakeCollector();
  await collector.start();
  workshop.onClose(() => collector.stop());
  return collector;
}

/** The settings of `--otlp-address`, with batches that are sent soon. */
export function otlp(address: string, service: string, env: Record<string, string> = {}): OtlpSettings {
  const flags = ["--namespace=argocd", "--store=sqlite:x.db", "--auth=userpass:users"];
  const own = ["--insecure-plaintext", "--insecure-jwt-generate", `--otlp-address=${address}`];
  const known: Record<string, string> = { OTEL_SERVICE_NAME: service, OTEL_BSP_SCHEDULE_DELAY: "50", ...env };
  const { settings } = parseSettings([...flags, ...own, "--otlp-insecure"], (name) => known[name]);
  if (!settings.otlp) throw new Error("the settings have no collector");
  return settings.otlp;
}

/** Settings of a principal that traces. */
export function traced(settings: Settings, collector: FakeCollector, service: string): Settings {
  return { ...settings, otlp: otlp(collector.address, service) };
}

/** Lets an agent trace as a Go agent does: a span for each event, which its own events in answer to it continue. */
export function traceAgent(workshop: Workshop, agent: SimAgent, collector: FakeCollector): void {
  const settings = otlp(collector.address, agent.name);
  const log = createLog({ level: "error", format: "text", components: {}, details: [] });
  const tracing = openTracing(settings, new Collector(settings), log);
  workshop.onClose(() => tracing.close());
  const handling = new Map<string, Span>();
  let last: Span | undefined;
  agent.onWire = (way, event) => {
    const { eventid = "" } = event.extensions;
    if (event.target === "eventProcessed") {
      if (way === "to principal") handling.get(eventid)?.end();
      return;
    }
    if (way === "to agent") {
      const parent = traceOf(event.extensions);
      last = tracing.begin(`${event.target}.${event.type}`, parent, { kind: "consumer" });
      handling.set(eventid, last);
    } else if (event.target === "application" && last) continues(tracing, last, event.extensions);
  };
}

function continues(tracing: Tracing, span: Span, extensions: Record<string, string | undefined>): void {
  const own = tracing.begin("report", span.trace, { kind: "producer" });
  own.end();
  Object.assign(extensions, own.trace);
}
