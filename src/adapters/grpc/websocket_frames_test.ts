import { assertEquals, assertMatch } from "@std/assert";
import { Buffer } from "node:buffer";
import {
  END_OF_STREAM,
  fieldsOf,
  frameProblem,
  isEndOfStream,
  isMetadata,
  metadataFrame,
  prefixed,
} from "./websocket_frames.ts";

Deno.test("metadataFrame() has the lines of HTTP/1 without a blank one, and nothing that only HTTP/2 has", () => {
  const frame = metadataFrame({
    ":status": 200,
    "grpc-status": 0,
    "set-cookie": ["a=1", "b=2"],
    gone: undefined,
  });
  assertEquals([...frame.subarray(0, 5)], [0x80, 0, 0, 0, frame.length - 5]);
  assertEquals(frame.subarray(5).toString(), "grpc-status: 0\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n");
  assertEquals([isMetadata(frame), isEndOfStream(frame), frameProblem(frame)], [true, false, undefined]);
});

Deno.test("metadataFrame() lets no value begin a line of its own", () => {
  const fields = fieldsOf(
    metadataFrame({ "grpc-status": 16, "grpc-message": "no\r\ngrpc-status: 0\n\nmore" }),
  );
  assertEquals(Object.fromEntries(fields), { "grpc-status": "16", "grpc-message": "no grpc-status: 0 more" });
});

Deno.test("frameProblem() names what is no frame", () => {
  const cases: [number[], RegExp][] = [
    [[], /0 bytes/],
    [[0, 0, 0, 0], /4 bytes/],
    [[0, 0, 0, 0, 1], /0 bytes that says 1/],
    [[0, 0, 0, 0, 0, 1], /1 bytes that says 0/],
    [[0, 0xff, 0xff, 0xff, 0xff], /says 4294967295/],
    [[0x81, 0, 0, 0, 0], /flags 129/],
  ];
  for (const [bytes, problem] of cases) assertMatch(frameProblem(Buffer.from(bytes)) ?? "", problem);
  for (const flags of [0, 1, 0x80]) assertEquals(frameProblem(prefixed(flags, Buffer.from("x"))), undefined);
  assertEquals(isEndOfStream(END_OF_STREAM), true);
});
