import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Frame, FrameReader, MalformedFrame } from "./frames.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The frames of a text that comes in pieces of so many bytes: their bytes, and what is known of each. */
function framesOf(text: string, pieces: number, types?: string): [string, Frame][] {
  const reader = new FrameReader(types);
  const found: [string, Frame][] = [];
  let bytes = "";
  const all = encoder.encode(text);
  for (let at = 0; at < all.length; at += pieces) {
    for (const part of reader.read(all.subarray(at, at + pieces))) {
      if (part.begins !== undefined) assertEquals(bytes, "");
      bytes += decoder.decode(part.bytes);
      if (!part.ends) continue;
      found.push([bytes, part.ends]);
      bytes = "";
    }
  }
  assertEquals(reader.within, bytes !== "");
  if (bytes !== "") found.push([bytes, { type: "unfinished", count: 0, texts: [] }]);
  return found;
}

const FRAMES: [text: string, type: string, count: number, texts: (string | undefined)[]][] = [
  ["*2\r\n$3\r\nget\r\n$1\r\nk\r\n", "*", 2, ["get", "k"]],
  ["*1\r\n$4\r\nPING\r\n", "*", 1, ["PING"]],
  ["*0\r\n", "*", 0, []],
  ["*-1\r\n", "*", -1, []],
  ["+OK\r\n", "+", 1, ["OK"]],
  ["-ERR no such thing\r\n", "-", 1, ["ERR no such thing"]],
  [":-12\r\n", ":", 1, ["-12"]],
  ["$-1\r\n", "$", 1, [undefined]],
  ["$0\r\n\r\n", "$", 1, [""]],
  ["$4\r\n\r\n+O\r\n", "$", 1, ["\r\n+O"]],
  ["_\r\n", "_", 1, [""]],
  ["#t\r\n", "#", 1, ["t"]],
  [",1.5e3\r\n", ",", 1, ["1.5e3"]],
  ["(123456789012345678901234567890\r\n", "(", 1, ["123456789012345678901234567890"]],
  ["!5\r\nERR x\r\n", "!", 1, ["ERR x"]],
  ["=7\r\ntxt:abc\r\n", "=", 1, ["txt:abc"]],
  ["%2\r\n+a\r\n:1\r\n+b\r\n*2\r\n:1\r\n:2\r\n", "%", 2, ["a", "1", "b"]],
  ["~1\r\n+x\r\n", "~", 1, ["x"]],
  [">3\r\n$7\r\nmessage\r\n$2\r\nch\r\n$0\r\n\r\n", ">", 3, ["message", "ch", ""]],
  ["*1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", "*", 1, ["subscribe", "c", "1"]],
  ["|1\r\n+ttl\r\n:9\r\n$1\r\nv\r\n", "|", 1, ["ttl", "9", "v"]],
  [`*3\r\n$3\r\nset\r\n$1\r\nk\r\n$5000\r\n${"v".repeat(5_000)}\r\n`, "*", 3, ["set", "k", undefined]],
  [`+${"long ".repeat(1_000)}\r\n`, "+", 1, [undefined]],
];

Deno.test("FrameReader divides a stream into frames, however it comes in pieces, and changes no byte of it", () => {
  const stream = FRAMES.map(([text]) => text).join("");
  for (const pieces of [1, 2, 3, 7, 64, 1_000, stream.length]) {
    const found = framesOf(stream, pieces);
    assertEquals(found.map(([text]) => text), FRAMES.map(([text]) => text), `${pieces} bytes at a time`);
    for (const [i, [, type, count, texts]] of FRAMES.entries()) {
      assertEquals(found[i]?.[1], { type, count, texts }, `frame ${i}, ${pieces} bytes at a time`);
    }
  }
});

Deno.test("FrameReader refuses what is no RESP, and keeps nothing of a length that is only announced", () => {
  const malformed = [
    "GET k\r\n",
    "*x\r\n",
    "*1 \r\n",
    "*+1\r\n",
    "*1\r\n?\r\n",
    "$1x\r\n",
    "*99999999999\r\n",
    `*${"1".repeat(100)}`,
    "*1\r\r\n$1\r\na\r\n",
  ];
  for (const text of [...malformed, "+OK\r\n"]) {
    const error = assertThrows(() => framesOf(text, 3, "*"), text);
    assert(error instanceof MalformedFrame, text);
  }
  assertEquals(framesOf("*1000000000\r\n$1000000000\r\nabc", 5), [
    ["*1000000000\r\n$1000000000\r\nabc", { type: "unfinished", count: 0, texts: [] }],
  ]);
});
