/**
 * Texts that are kept long and read seldom: a large one is kept compressed. An Application with a status of megabytes shrinks to about a
 * ninth; one of ordinary size stays as it is, and costs nothing more. Invariant: unpacked, every text is the one that was packed.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";

/** Characters above which a text is packed: compressing one of this length takes about as long as parsing it. */
export const PACKED_ABOVE = 32 * 1024;

/** A text in as many bytes as it takes. */
export type Packed = string | { readonly bytes: Uint8Array<ArrayBuffer>; readonly length: number };

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The form in which a text is kept. */
export function pack(text: string): Packed {
  // UTF-8 has no lone surrogates.
  if (text.length <= PACKED_ABOVE || !text.isWellFormed()) return text;
  // Copied, for the result may be a part of a larger buffer.
  return { bytes: new Uint8Array(deflateRawSync(encoder.encode(text), { level: 1 })), length: text.length };
}

/** The text. */
export function unpack(packed: Packed): string {
  return typeof packed === "string" ? packed : decoder.decode(inflateRawSync(packed.bytes));
}
