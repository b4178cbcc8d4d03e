/** `--otlp-address`, and OpenTelemetry's own environment variables, which are honoured as its libraries honour them. */
import { readFileSync } from "node:fs";
import { reasonOf } from "../base/reason.ts";
import { boolOf, UsageError, type Value } from "./usage.ts";

/** Where traces go, and which. */
export interface OtlpSettings {
  /** host:port of a collector, which speaks OTLP over gRPC. */
  address: string;
  /** Without TLS. */
  insecure: boolean;
  /** PEM; empty: the system's authorities, and no certificate of this side's. */
  tls: { ca: string; cert: string; key: string };
  /** Metadata of each call, e.g. a token. */
  headers: Record<string, string>;
  gzip: boolean;
  timeoutMs: number;
  service: string;
  attributes: Record<string, string>;
  sampler: { ratio: number; parentBased: boolean };
  maxQueue: number;
  maxBatch: number;
  scheduleMs: number;
  exportMs: number;
}

type Env = (name: string) => string | undefined;

const ADDRESS = /^(\[[0-9a-fA-F:]+\]|[^:[\]/\s]+):\d{1,5}$/;
/** Which share of the traces that begin here each sampler keeps; `ratio`: the one that is asked for. */
const SAMPLERS: Record<string, { ratio: 0 | 1 | "ratio"; parentBased: boolean }> = {
  always_on: { ratio: 1, parentBased: false },
  always_off: { ratio: 0, parentBased: false },
  traceidratio: { ratio: "ratio", parentBased: false },
  parentbased_always_on: { ratio: 1, parentBased: true },
  parentbased_always_off: { ratio: 0, parentBased: true },
  parentbased_traceidratio: { ratio: "ratio", parentBased: true },
};

/** Undefined: nothing is traced. @throws UsageError */
export function otlpOf(value: Value, env: Env): OtlpSettings | undefined {
  const address = value("otlp-address");
  if (address === "") return undefined;
  if (!ADDRESS.test(address)) {
    throw new UsageError(`--otlp-address "${address}": must be host:port, e.g. collector.example:4317`);
  }
  const of = (name: string) =>
    env(`OTEL_EXPORTER_OTLP_TRACES_${name}`) || env(`OTEL_EXPORTER_OTLP_${name}`) || "";
  const number = (name: string, otherwise: number) => numberOf(env, name, otherwise);
  const file = (name: string) => of(name) === "" ? "" : fileText(of(name), name);
  const attributes = pairsOf(env("OTEL_RESOURCE_ATTRIBUTES") ?? "");
  return {
    address,
    insecure: boolOf(value, "otlp-insecure"),
    tls: { ca: file("CERTIFICATE"), cert: file("CLIENT_CERTIFICATE"), key: file("CLIENT_KEY") },
    headers: pairsOf(of("HEADERS")),
    gzip: of("COMPRESSION") === "gzip",
    timeoutMs: Number(of("TIMEOUT")) > 0 ? Number(of("TIMEOUT")) : 10_000,
    service: env("OTEL_SERVICE_NAME") || attributes["service.name"] || "principal",
    attributes,
    sampler: samplerOf(env),
    maxQueue: number("OTEL_BSP_MAX_QUEUE_SIZE", 2_048),
    maxBatch: number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
    scheduleMs: number("OTEL_BSP_SCHEDULE_DELAY", 5_000),
    exportMs: number("OTEL_BSP_EXPORT_TIMEOUT", 30_000),
  };
}

/** @throws UsageError: a sampler that is misspelt would trace everything */
function samplerOf(env: Env): OtlpSettings["sampler"] {
  const name = env("OTEL_TRACES_SAMPLER") || "parentbased_always_on";
  const sampler = Object.hasOwn(SAMPLERS, name) ? SAMPLERS[name] : undefined;
  if (!sampler) {
    throw new UsageError(`OTEL_TRACES_SAMPLER="${name}": must be one of ${Object.keys(SAMPLERS).join(", ")}`);
  }
  if (sampler.ratio !== "ratio") return { ratio: sampler.ratio, parentBased: sampler.parentBased };
  const text = env("OTEL_TRACES_SAMPLER_ARG") || "1";
  const ratio = Number(text);
  if (!(ratio >= 0 && ratio <= 1)) {
    throw new UsageError(`OTEL_TRACES_SAMPLER_ARG="${text}": must be a number from 0 to 1`);
  }
  return { ratio, parentBased: sampler.parentBased };
}

/** `a=1,b=2`, values in percent-encoding. */
function pairsOf(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split(",").flatMap((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) return [];
      return [[pair.slice(0, at).trim(), decoded(pair.slice(at + 1).trim())]];
    }),
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function numberOf(env: Env, name: string, otherwise: number): number {
  const number = Number(env(name) ?? "");
  return Number.isInteger(number) && number > 0 ? number : otherwise;
}

function fileText(path: string, name: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`OTEL_EXPORTER_OTLP_${name}: cannot read "${path}": ${reasonOf(error)}`);
  }
}
