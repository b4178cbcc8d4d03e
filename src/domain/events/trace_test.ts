import { assertEquals } from "@std/assert";
import { traceOf } from "./trace.ts";

const GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

Deno.test("traceOf() takes what W3C Trace Context allows, and nothing else", () => {
  assertEquals(traceOf({ traceparent: GOOD }), { traceparent: GOOD });
  assertEquals(traceOf({ traceparent: GOOD, tracestate: "a=1,b=2" }), {
    traceparent: GOOD,
    tracestate: "a=1,b=2",
  });
  const later = GOOD.replace("00-", "01-") + "-more";
  assertEquals(traceOf({ traceparent: later }), { traceparent: later });
  const none = [
    undefined,
    "",
    7,
    GOOD.toUpperCase(),
    GOOD.replace("00-", "ff-"),
    GOOD.replace("0af7651916cd43dd8448eb211c80319c", "0".repeat(32)),
    GOOD.replace("b7ad6b7169203331", "0".repeat(16)),
    GOOD + "x",
    GOOD + "-".repeat(100),
  ];
  for (const traceparent of none) assertEquals(traceOf({ traceparent }), undefined, String(traceparent));
});

Deno.test("traceOf() leaves notes of tracers out that are too long or no text", () => {
  for (const tracestate of ["x".repeat(513), "a=\n", "a=é", "", 7]) {
    assertEquals(traceOf({ traceparent: GOOD, tracestate }), { traceparent: GOOD });
  }
});
