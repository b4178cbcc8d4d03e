import { assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { CuttingDecoder } from "./cut_events.ts";

function frame(body: string, flag = 0): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flag, 0);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, Buffer.from(body)]);
}

Deno.test("CuttingDecoder gives every frame, however its bytes come, and of one that is too large what its head is made to", () => {
  const seen: unknown[] = [];
  const decoder = () =>
    new CuttingDecoder(10, 200_000, (head, compressed, bytes) => {
      seen.push([head.length, compressed, bytes]);
      return Buffer.from("cut");
    });
  const large = "x".repeat(100_000);
  const sent = Buffer.concat([frame(""), frame("a"), frame("0123456789", 1), frame(large, 1), frame("b")]);
  const wanted = [frame(""), frame("a"), frame("0123456789", 1), frame("cut"), frame("b")].map(String);
  for (const step of [1, 3, 7, 4_096, sent.length]) {
    const reading = decoder();
    const frames: Buffer[] = [];
    for (let at = 0; at < sent.length; at += step) {
      frames.push(...reading.write(sent.subarray(at, at + step)));
    }
    assertEquals(frames.map(String), wanted, `${step} bytes at a time`);
  }
  assertEquals(seen, Array.from({ length: 5 }, () => [65_536, true, 100_000]));
  assertThrows(() => decoder().write(frame("x".repeat(200_001)).subarray(0, 5)));
});
