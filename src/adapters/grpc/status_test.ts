import { assertEquals } from "@std/assert";
import grpc from "@grpc/grpc-js";
import { explainCall } from "./status.ts";

Deno.test("explainCall() says the same of a broken connection, whichever end of it broke first", () => {
  const cases = [
    { code: grpc.status.UNAVAILABLE, details: "Connection dropped" },
    {
      code: grpc.status.INTERNAL,
      details: "Received RST_STREAM with code 2 triggered by internal client error: write EPIPE",
    },
    {
      code: grpc.status.INTERNAL,
      details: "Received RST_STREAM with code 2 triggered by internal client error: read ECONNRESET",
    },
  ];
  for (const error of cases) assertEquals(explainCall(error, "b:8443"), "the connection to b:8443 broke");
  const other = { code: grpc.status.INTERNAL, details: "cannot do it" };
  assertEquals(explainCall(other, "b:8443"), "cannot do it");
});
