/**
 * Reads the messages of a call, and away what is too large of an event. A stream that ended there would begin again with the same event for
 * ever; so the event is handed on without its payload, and is refused, named and acknowledged like any other that cannot be used.
 * Invariant: of an event that is too large at most `HEAD_BYTES` are kept.
 */
import { Buffer } from "node:buffer";
import { constants, gunzipSync, inflateSync } from "node:zlib";
import grpc from "@grpc/grpc-js";
import protobuf from "protobufjs/minimal.js";
import type { io } from "../../../proto/gen.d.ts";
// @ts-types="../../../proto/gen.d.ts"
import { eventstreamapi, io as codecs } from "../../../proto/gen.js";
import { CUT_BYTES } from "../../domain/events/cloudevent.ts";
import { codeOf } from "./status.ts";

/** An event's attributes, which come before its payload, are in its first so many bytes. */
const HEAD_BYTES = 64 * 1024;
/** So many packed bytes unpack to a megabyte at most. */
const PACKED_HEAD_BYTES = 1_024;
/** Compressed or not, and the length. */
const PREFIX_BYTES = 5;
const FIRST_DATA_FIELD = 6;
const LENGTH_DELIMITED = 2;

/** The parts of grpc-js' innermost call that read. */
export interface ReadingCall {
  decoder: { write(data: Buffer): Buffer[] };
  readonly incomingEncoding: string;
  decompressMessage(frame: Buffer, encoding: string): Buffer | Promise<Buffer>;
}

/** @param maxFrameBytes a larger one still ends the call */
export function cutEvents(call: ReadingCall, maxBytes: number, maxFrameBytes: number): void {
  const cut = (head: Buffer, encoding: string, bytes: number) =>
    withoutPayload(encoding === "identity" ? head : unpackedHead(head, encoding), bytes);
  call.decoder = new CuttingDecoder(
    maxBytes,
    maxFrameBytes,
    (head, compressed, bytes) => cut(head, compressed ? call.incomingEncoding : "identity", bytes),
  );
  const unpack = call.decompressMessage.bind(call);
  call.decompressMessage = async (frame, encoding) => {
    try {
      return await unpack(frame, encoding);
    } catch (error) {
      if (codeOf(error) !== grpc.status.RESOURCE_EXHAUSTED) throw error;
      return cut(frame.subarray(PREFIX_BYTES), encoding, maxBytes + 1);
    }
  };
}

type Cut = (head: Buffer, compressed: boolean, bytes: number) => Buffer;

/** Frames of gRPC from the pieces in which they come. */
export class CuttingDecoder {
  readonly #prefix = Buffer.alloc(PREFIX_BYTES);
  #prefixHas = 0;
  #kept: Buffer[] = [];
  #toKeep = 0;
  #left = 0;

  constructor(
    private readonly maxBytes: number,
    private readonly maxFrameBytes: number,
    private readonly cut: Cut,
  ) {}

  /** The frames that are whole now. @throws Error where one is larger than a frame may be */
  write(data: Buffer): Buffer[] {
    const frames: Buffer[] = [];
    let rest = data;
    while (rest.length > 0) {
      rest = this.#prefixHas < PREFIX_BYTES ? this.#readPrefix(rest) : this.#readMessage(rest);
      if (this.#prefixHas < PREFIX_BYTES || this.#left > 0) continue;
      frames.push(this.#frame());
      this.#prefixHas = 0;
    }
    return frames;
  }

  get #size(): number {
    return this.#prefix.readUInt32BE(1);
  }

  #readPrefix(data: Buffer): Buffer {
    const taken = Math.min(data.length, PREFIX_BYTES - this.#prefixHas);
    data.copy(this.#prefix, this.#prefixHas, 0, taken);
    this.#prefixHas += taken;
    if (this.#prefixHas === PREFIX_BYTES) {
      const size = this.#size;
      if (size > this.maxFrameBytes) {
        throw new Error(`Received message larger than max (${size} vs ${this.maxFrameBytes})`);
      }
      this.#left = size;
      this.#toKeep = size > this.maxBytes ? HEAD_BYTES : size;
      this.#kept = [];
    }
    return data.subarray(taken);
  }

  #readMessage(data: Buffer): Buffer {
    const taken = Math.min(data.length, this.#left);
    const kept = Math.min(taken, this.#toKeep);
    if (kept > 0) this.#kept.push(data.subarray(0, kept));
    this.#toKeep -= kept;
    this.#left -= taken;
    return data.subarray(taken);
  }

  #frame(): Buffer {
    const size = this.#size;
    const kept = this.#kept;
    this.#kept = [];
    if (size <= this.maxBytes) return Buffer.concat([this.#prefix, ...kept]);
    const message = this.cut(Buffer.concat(kept), this.#prefix[0] === 1, size);
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(message.length, 1);
    return Buffer.concat([prefix, message]);
  }
}

/** The event of a message's first bytes, without its payload; with nothing at all where they cannot be understood. */
function withoutPayload(head: Buffer, bytes: number): Buffer {
  const event = { ...attributesOf(head) };
  event.attributes = { ...event.attributes, [CUT_BYTES]: { ce_integer: bytes } };
  return Buffer.from(eventstreamapi.Event.encode({ event }).finish());
}

function attributesOf(head: Buffer): io.cloudevents.v1.CloudEvent {
  try {
    const event = protobuf.Reader.create(head);
    event.tag();
    event.uint32();
    const from = event.pos;
    let to = from;
    while (event.pos < event.len) {
      const tag = event.tag();
      if (tag >>> 3 >= FIRST_DATA_FIELD || (tag & 7) !== LENGTH_DELIMITED) break;
      event.skip(event.uint32());
      to = event.pos;
    }
    return codecs.cloudevents.v1.CloudEvent.decode(head.subarray(from, to));
  } catch {
    return {};
  }
}

function unpackedHead(packed: Buffer, encoding: string): Buffer {
  const unpack = encoding === "gzip" ? gunzipSync : inflateSync;
  try {
    const head = unpack(packed.subarray(0, PACKED_HEAD_BYTES), { finishFlush: constants.Z_SYNC_FLUSH });
    return Buffer.from(head.subarray(0, HEAD_BYTES));
  } catch {
    return Buffer.alloc(0);
  }
}
