import { assertEquals } from "@std/assert";
import { MAX_VALUE_BYTES, redisRequest, redisSaid } from "./requests.ts";

const encoder = new TextEncoder();
const said = (body: unknown) =>
  redisSaid({ payload: encoder.encode(JSON.stringify({ uuid: "u", connectionUuid: "c", body })) });

Deno.test("redisRequest() is the contract's message", () => {
  const text = (question: Parameters<typeof redisRequest>[2]) =>
    new TextDecoder().decode(redisRequest("u", "c", question));
  assertEquals(text({ get: { key: "k" } }), '{"uuid":"u","connectionUuid":"c","body":{"get":{"key":"k"}}}');
  assertEquals(
    text({ subscribe: { channel: "ch" } }),
    '{"uuid":"u","connectionUuid":"c","body":{"subscribe":{"channel":"ch"}}}',
  );
  assertEquals(text({ ping: {} }), '{"uuid":"u","connectionUuid":"c","body":{"ping":{}}}');
});

Deno.test("redisSaid() reads what an agent says, whatever it says", () => {
  const value = (bytes: unknown) => said({ get: { bytes, cacheHit: true, error: "" } });
  assertEquals(value("H4sA/w=="), { said: "value", value: Uint8Array.of(31, 139, 0, 255) });
  assertEquals(value(null), { said: "value", value: new Uint8Array() });
  assertEquals(said({ get: { bytes: null, cacheHit: false, error: "" } }), { said: "miss" });
  assertEquals(said({ get: { bytes: null, cacheHit: false, error: "down" } }), {
    said: "error",
    message: "down",
  });
  assertEquals(said({ subscribeResponse: { error: "" } }), { said: "subscribed" });
  assertEquals(said({ subscribeResponse: { error: "no" } }), { said: "error", message: "no" });
  assertEquals(said({ pong: {} }), { said: "pong" });
  assertEquals(said({ pushFromSubscribe: { channelName: "ch" } }), {
    said: "notice",
    channel: "ch",
    connection: "c",
  });
  for (const strange of [{}, { get: 1 }, { other: {} }, null, []]) {
    assertEquals(said(strange).said, "error", JSON.stringify(strange));
  }
  for (const text of ["", "{", "[]", '{"body":', "[".repeat(100_000)]) {
    assertEquals(redisSaid({ payload: encoder.encode(text) }).said, "error", text.slice(0, 20));
  }
  assertEquals(value(7).said, "error");
  assertEquals(value("no base64!").said, "error");
  assertEquals(redisSaid({}).said, "error");
  for (const large of [{ payload: new Uint8Array(MAX_VALUE_BYTES * 2) }, { cutBytes: 100_000_000 }]) {
    assertEquals(redisSaid(large), {
      said: "error",
      message: `the value is larger than ${MAX_VALUE_BYTES} bytes`,
    });
  }
});
