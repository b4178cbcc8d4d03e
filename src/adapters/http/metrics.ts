/** `/metrics`: the principal's series, read at each scrape, and those of the process. */
import { closeSync, openSync } from "node:fs";
import process from "node:process";
import { Hono } from "hono";
import { Counter, Gauge, Registry } from "prom-client";
import { VERSION } from "../../base/version.ts";
import { monotonicMs } from "../../base/clock.ts";
import type { Rows, Series } from "../../principal/ports/telemetry.ts";

/** The metrics of the process. */
export const PROCESS: readonly Series[] = [
  {
    name: "argocd_agent_build_info",
    help: "Build of this principal",
    type: "gauge",
    labels: ["version", "git_revision"],
    read: () => [[{ version: VERSION, git_revision: "" }, 1]],
  },
  {
    name: "process_resident_memory_bytes",
    help: "Resident memory",
    type: "gauge",
    labels: [],
    read: () => Deno.memoryUsage().rss,
  },
  {
    name: "process_cpu_seconds_total",
    help: "Processor time",
    type: "counter",
    labels: [],
    read: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
  },
  {
    name: "process_open_fds",
    help: "Open file descriptors: as many are below the next one",
    type: "gauge",
    labels: [],
    read: nextDescriptor,
  },
  {
    name: "process_start_time_seconds",
    help: "Start of the process",
    type: "gauge",
    labels: [],
    read: () => (Date.now() - monotonicMs()) / 1_000,
  },
];

/** The number of the next descriptor, which is the lowest free one; no value where there is none left. */
function nextDescriptor(): number | Rows {
  try {
    const descriptor = openSync("/dev/null", "r");
    closeSync(descriptor);
    return descriptor;
  } catch {
    return [];
  }
}

function register(registry: Registry, { name, help, type, labels, read }: Series): void {
  const rows = (): Rows => {
    const value = read();
    return typeof value === "number" ? [[{}, value]] : value;
  };
  const base = { name, help, labelNames: [...labels], registers: [registry] };
  if (type === "gauge") {
    new Gauge({
      ...base,
      collect() {
        this.reset();
        for (const [set, value] of rows()) this.set(set, value);
      },
    });
  } else {
    new Counter({
      ...base,
      collect() {
        this.reset();
        for (const [set, value] of rows()) this.inc(set, value);
      },
    });
  }
}

/** Serves these series, and those of a registry that keeps its own. */
export function metricsApp(series: readonly Series[], processing: Registry): Hono {
  const registry = new Registry();
  for (const one of [...PROCESS, ...series]) register(registry, one);
  const app = new Hono();
  app.get("/metrics", async (c) => {
    c.header("Content-Type", registry.contentType);
    return c.body(await Registry.merge([registry, processing]).metrics());
  });
  app.notFound((c) => c.text("not found; this port serves /metrics\n", 404));
  return app;
}
