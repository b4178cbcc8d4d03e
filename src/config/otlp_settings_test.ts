import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { otlpOf } from "./otlp_settings.ts";
import { UsageError } from "./usage.ts";

const read = (address: string, env: Record<string, string> = {}) =>
  otlpOf((name) => name === "otlp-address" ? address : "false", (name) => env[name]);

Deno.test("otlpOf() traces nothing without an address, and everything with the defaults of OpenTelemetry", () => {
  assertEquals(read("", { OTEL_TRACES_SAMPLER: "nonsense" }), undefined);
  const settings = read("collector.example:4317");
  assertEquals(
    [settings?.service, settings?.insecure, settings?.sampler],
    ["principal", false, { ratio: 1, parentBased: true }],
  );
  assertEquals(
    [settings?.maxQueue, settings?.maxBatch, settings?.scheduleMs, settings?.timeoutMs],
    [2_048, 512, 5_000, 10_000],
  );
});

Deno.test("otlpOf() honours OpenTelemetry's variables, those of traces first", () => {
  const settings = read("[::1]:4317", {
    OTEL_SERVICE_NAME: "hub",
    OTEL_RESOURCE_ATTRIBUTES: "region=eu,service.name=other, k8s.cluster.name=a%2Cb",
    OTEL_EXPORTER_OTLP_HEADERS: "authorization=Bearer%20x",
    OTEL_EXPORTER_OTLP_TIMEOUT: "7000",
    OTEL_EXPORTER_OTLP_TRACES_TIMEOUT: "3000",
    OTEL_EXPORTER_OTLP_COMPRESSION: "gzip",
    OTEL_BSP_MAX_QUEUE_SIZE: "100",
    OTEL_BSP_SCHEDULE_DELAY: "soon",
    OTEL_TRACES_SAMPLER: "parentbased_traceidratio",
    OTEL_TRACES_SAMPLER_ARG: "0.25",
  });
  assertEquals(settings?.service, "hub");
  assertEquals(settings?.attributes, {
    region: "eu",
    "service.name": "other",
    "k8s.cluster.name": "a,b",
  });
  assertEquals(settings?.headers, { authorization: "Bearer x" });
  assertEquals([settings?.timeoutMs, settings?.gzip, settings?.maxQueue, settings?.scheduleMs], [
    3_000,
    true,
    100,
    5_000,
  ]);
  assertEquals(settings?.sampler, { ratio: 0.25, parentBased: true });
});

Deno.test("otlpOf() refuses mistakes with one clear line", () => {
  const cases: [string, Record<string, string>, string][] = [
    ["http://collector:4317", {}, '--otlp-address "http://collector:4317": must be host:port'],
    ["collector", {}, '--otlp-address "collector": must be host:port'],
    ["c:1", { OTEL_TRACES_SAMPLER: "some" }, 'OTEL_TRACES_SAMPLER="some": must be one of always_on'],
    ["c:1", { OTEL_TRACES_SAMPLER: "toString" }, 'OTEL_TRACES_SAMPLER="toString": must be one of'],
    [
      "c:1",
      { OTEL_TRACES_SAMPLER: "traceidratio", OTEL_TRACES_SAMPLER_ARG: "2" },
      'OTEL_TRACES_SAMPLER_ARG="2": must be a number from 0 to 1',
    ],
    [
      "c:1",
      { OTEL_EXPORTER_OTLP_CERTIFICATE: "/nowhere/ca.crt" },
      'OTEL_EXPORTER_OTLP_CERTIFICATE: cannot read "/nowhere/ca.crt"',
    ],
  ];
  for (const [address, env, message] of cases) {
    const error = assertThrows(() => read(address, env));
    assert(error instanceof UsageError);
    assertStringIncludes(error.message, message);
  }
});
