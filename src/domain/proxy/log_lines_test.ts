import { assertEquals } from "@std/assert";
import { LogLines } from "./log_lines.ts";

const AT = (n: number, fraction = "") => `2026-01-01T00:00:0${n}${fraction}Z`;
const encoder = new TextEncoder();

/** Pushes texts one after another, each call in pieces of `size` bytes; a new call for each text. */
function read(timestamps: boolean, size: number, ...calls: string[]): string {
  const lines = new LogLines(timestamps);
  const decoder = new TextDecoder();
  let read = "";
  const heard = (parts: Uint8Array[]) => {
    for (const part of parts) read += decoder.decode(part, { stream: true });
  };
  for (const [n, call] of calls.entries()) {
    if (n > 0) lines.resume();
    const bytes = encoder.encode(call);
    for (let at = 0; at < bytes.length; at += size) heard(lines.push(bytes.subarray(at, at + size)));
  }
  heard(lines.end());
  return read;
}

const SIZES = [1, 3, 7, 64, 1_000];

Deno.test("LogLines takes timestamps off where the reader wants none, wherever the bytes are cut", () => {
  const text = `${AT(1)} one\n${AT(2, ".5")} zwö lf\n${AT(3)} \nno timestamp here\n\n${AT(4)} no end`;
  for (const size of SIZES) {
    assertEquals(read(true, size, text), text);
    assertEquals(read(false, size, text), "one\nzwö lf\n\nno timestamp here\n\nno end", `size ${size}`);
  }
});

Deno.test("LogLines leaves out what a new call repeats, lines of one timestamp included", () => {
  const before = `${AT(1)} a\n${AT(2, ".1")} b\n${AT(2, ".10")} c\n`;
  const after = `${AT(2, ".100")} b\n${AT(2, ".1")} c\n${AT(2, ".1")} d\n${AT(2, ".2")} e\n`;
  for (const size of SIZES) {
    assertEquals(read(false, size, before, after), "a\nb\nc\nd\ne\n", `size ${size}`);
    assertEquals(
      read(false, size, before, after, `${AT(2)} x\n${AT(2, ".2")} e\n${AT(3)} f\n`),
      "a\nb\nc\nd\ne\nf\n",
    );
  }
});

Deno.test("LogLines goes on within a line at which a call broke, and ends it where the line does not come again", () => {
  const before = `${AT(1)} a\n${AT(2)} begun`;
  for (const size of SIZES) {
    assertEquals(read(false, size, before, `${AT(1)} a\n${AT(2)} begun and ended\n`), "a\nbegun and ended\n");
    assertEquals(
      read(true, size, before, `${AT(2)} begun and ended\n`),
      `${AT(1)} a\n${AT(2)} begun and ended\n`,
    );
    assertEquals(read(false, size, before, `${AT(3)} other\n`), "a\nbegun\nother\n", `size ${size}`);
    assertEquals(read(false, size, `${AT(1)} a\n2026-01`, `${AT(2)} b\n`), "a\nb\n");
  }
});
