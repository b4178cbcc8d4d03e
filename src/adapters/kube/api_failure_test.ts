import { assertEquals } from "@std/assert";
import { ApiFailure, failureOf } from "./api_failure.ts";

Deno.test("failureOf() takes what a Status says, and stands proxies that answer something else", () => {
  const status = (rest: object) => JSON.stringify({ kind: "Status", ...rest });
  const cases: [body: string, headers: HeadersInit, expected: Partial<ApiFailure>][] = [
    [
      status({ message: "gone", reason: "Expired" }),
      {},
      {
        message: "cannot ask: the API server answers 410: gone",
        reason: "Expired",
        about: "",
        retryAfterMs: 0,
      },
    ],
    [status({ message: "x", details: { kind: "namespaces" } }), {}, { about: "namespaces" }],
    [status({ details: { retryAfterSeconds: 3 } }), {}, { retryAfterMs: 3_000 }],
    [status({ details: { retryAfterSeconds: 3 } }), { "retry-after": "1" }, { retryAfterMs: 1_000 }],
    [status({}), { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" }, { retryAfterMs: 0 }],
    [status({}), {}, { message: "cannot ask: the API server answers 410: no explanation" }],
    ["<html>Bad Gateway", {}, { message: "cannot ask: the API server answers 410: <html>Bad Gateway" }],
    ["null", {}, { reason: "" }],
    ["", {}, { message: "cannot ask: the API server answers 410: no explanation" }],
  ];
  for (const [body, headers, expected] of cases) {
    const failure = failureOf("ask", 410, body, new Headers(headers));
    for (const [name, value] of Object.entries(expected)) {
      assertEquals(failure[name as keyof ApiFailure], value, `${name} of ${body}`);
    }
  }
});

Deno.test("ApiFailure.passing: no answer, 401, 429 and 5xx may succeed soon; a refusal will not", () => {
  const passing = [0, 401, 429, 500, 503];
  for (const status of [0, 400, 401, 403, 404, 409, 410, 413, 422, 429, 500, 503]) {
    assertEquals(new ApiFailure(status, "").passing, passing.includes(status), String(status));
  }
});
