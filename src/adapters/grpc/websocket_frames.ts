/**
 * gRPC over WebSocket, as Go agents speak it: each binary message is one frame of gRPC (flags, length, body). Headers and trailers are
 * frames of their own, with a flag that gRPC does not have; so is the end of what a client says.
 */
import { Buffer } from "node:buffer";

/** The subprotocol of a handshake. */
export const SUBPROTOCOL = "grpc-ws";
/** A Go agent reads no larger message, its prefix included. */
export const MAX_FRAME_BYTES = 64 * 1024 * 1024;
/** Flags and length. */
export const PREFIX_BYTES = 5;

const COMPRESSED = 0x01;
const METADATA = 0x80;

/** A client's last message. */
export const END_OF_STREAM = prefixed(METADATA, Buffer.alloc(0));

/** Values of headers, as node:http2 has them. */
export type Fields = Record<string, string | string[] | number | undefined>;

/** Headers or trailers as a frame: lines of HTTP/1, without the fields that only HTTP/2 has. */
export function metadataFrame(fields: Fields): Buffer {
  const lines = Object.entries(fields).flatMap(([name, value = []]) =>
    name.startsWith(":") ? [] : [value].flat().map((one) => `${name}: ${oneLine(one)}\r\n`)
  );
  return prefixed(METADATA, Buffer.from(lines.join(""), "latin1"));
}

/** The fields of a frame of metadata, names in lower case. */
export function fieldsOf(frame: Buffer): Map<string, string> {
  const lines = frame.subarray(PREFIX_BYTES).toString("latin1").split("\r\n");
  return new Map(lines.flatMap((line): [string, string][] => {
    const [, name, value = ""] = /^([^:]+):\s*(.*)$/.exec(line) ?? [];
    return name === undefined ? [] : [[name.toLowerCase(), value]];
  }));
}

export function isMetadata(frame: Buffer): boolean {
  return frame[0] === METADATA;
}

export function isEndOfStream(frame: Buffer): boolean {
  return frame.equals(END_OF_STREAM);
}

/** Why a message is no frame; undefined: it is one. */
export function frameProblem(message: Buffer): string | undefined {
  if (message.length < PREFIX_BYTES) return `a frame of ${message.length} bytes`;
  const [flags = 0] = message;
  if (flags !== 0 && flags !== COMPRESSED && flags !== METADATA) return `a frame with the flags ${flags}`;
  const [told, length] = [message.readUInt32BE(1), message.length - PREFIX_BYTES];
  return told === length ? undefined : `a frame of ${length} bytes that says ${told}`;
}

/** A frame with these flags. */
export function prefixed(flags: number, body: Uint8Array): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt8(flags, 0);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

/** A value that cannot begin another line. */
function oneLine(value: string | number): string {
  return String(value).replaceAll(/[\r\n\0]+/g, " ");
}
