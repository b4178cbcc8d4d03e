import { assertEquals } from "@std/assert";
import { isLog, logRequestOf, logUrl, MAX_STATIC_BYTES } from "./log_request.ts";
import { parseTarget, type Target } from "./path.ts";

const LOG = "/api/v1/namespaces/shop/pods/web/log";
const POD = { namespace: "shop", podName: "web" };
const read = (url: string) => logRequestOf(parseTarget(url) as Target);

Deno.test("logRequestOf() takes the parameters that it can read, and bounds a log that nothing bounds", () => {
  const cases: [query: string, request: Record<string, unknown>][] = [
    ["", { ...POD, limitBytes: MAX_STATIC_BYTES }],
    ["?follow=TRUE&timestamps=true&previous=false", { ...POD, follow: true, timestamps: true }],
    ["?tailLines=5&tailLines=9&sinceSeconds=x&container=a", { ...POD, tailLines: 5, container: "a" }],
    ["?limitBytes=1e9&sinceTime=2026-01-01T00:00:00Z", { ...POD, sinceTime: "2026-01-01T00:00:00Z" }],
    ["?insecureSkipTLSVerifyBackend=True&limitBytes=7", {
      ...POD,
      insecureSkipTLSVerifyBackend: true,
      limitBytes: 7,
    }],
  ];
  for (const [query, request] of cases) assertEquals({ ...read(`${LOG}${query}`) }, request, query);
  assertEquals(read("/api/v1/pods/web/log"), undefined);
  assertEquals(isLog(parseTarget("/apis/x/v1/namespaces/shop/pods/web/log") as Target), false);
});

Deno.test("logUrl() is read as the request that it is made of", () => {
  const request = {
    ...POD,
    follow: true,
    container: "a&b=c d",
    tailLines: 3,
    sinceTime: "2026-01-01T00:00:00+01:00",
  } as const;
  assertEquals(read(logUrl(request)), request);
});
