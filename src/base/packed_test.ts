import { assert, assertEquals } from "@std/assert";
import { pack, PACKED_ABOVE, unpack } from "./packed.ts";

Deno.test("unpack() gives the text that was packed, whatever is in it, and a large one takes a fraction", () => {
  const line = (i: number) => `{"kind":"Deployment","name":"app-${i}","status":"Synced"},`;
  const large = Array.from({ length: 2_000 }, (_, i) => line(i)).join("");
  const texts = [
    "",
    "small",
    "x".repeat(PACKED_ABOVE),
    "x".repeat(PACKED_ABOVE + 1),
    large,
    `\uFEFF${large}`,
    `${large}äß中文🚀\u0000\u2028`,
    `${large}\uD800`,
  ];
  for (const text of texts) {
    const packed = pack(text);
    assertEquals(packed.length, text.length);
    assert(unpack(packed) === text);
    if (text.length <= PACKED_ABOVE) assertEquals(packed, text);
  }
  const packed = pack(large);
  assert(typeof packed !== "string" && packed.bytes.buffer.byteLength * 5 < large.length);
});
