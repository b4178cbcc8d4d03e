/** Calls as no gRPC library makes them: frames by hand over HTTP/2. */
import { Buffer } from "node:buffer";
import http2 from "node:http2";
import { connect } from "node:tls";
import type { TlsMaterial } from "../../src/adapters/tls/files.ts";

/** A frame of a message: its length as told, which need not be true. */
export function frame(body: Uint8Array, { compressed = false, told = body.length } = {}): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(compressed ? 1 : 0, 0);
  head.writeUInt32BE(told, 1);
  return Buffer.concat([head, body]);
}

/** A connection, over TLS where there is material. */
export function rawConnection(port: number, tls?: TlsMaterial): http2.ClientHttp2Session {
  const options = tls
    ? {
      ca: tls.ca,
      cert: tls.cert,
      key: tls.key,
      servername: "principal",
      checkServerIdentity: () => undefined,
    }
    : {};
  const session = http2.connect(`${tls ? "https" : "http"}://127.0.0.1:${port}`, options);
  session.on("error", () => {});
  return session;
}

/** How a raw call ended. */
export interface RawOutcome {
  /** Undefined: the stream was closed without one. */
  status: number | undefined;
  message: string;
}

/** Opens a call and leaves it to the caller how it goes on. */
export function rawCall(
  session: http2.ClientHttp2Session,
  path: string,
  headers: Record<string, string> = {},
): { stream: http2.ClientHttp2Stream; ended: Promise<RawOutcome> } {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  }, { endStream: false });
  const ended = new Promise<RawOutcome>((resolve) => {
    let seen: RawOutcome = { status: undefined, message: "" };
    const heard = (headers: http2.IncomingHttpHeaders) => {
      if (headers["grpc-status"] === undefined) return;
      seen = {
        status: Number(headers["grpc-status"]),
        message: decodeURI(String(headers["grpc-message"] ?? "")),
      };
      resolve(seen);
    };
    stream.on("response", heard).on("trailers", heard).on("error", () => {}).on("close", () => resolve(seen));
    stream.resume();
  });
  return { stream, ended };
}

const RST_STREAM = 3;
const HEADER_BYTES = 9;

/** A frame of HTTP/2. */
function http2Frame(type: number, flags: number, stream: number, body: Buffer): Buffer {
  const head = Buffer.alloc(HEADER_BYTES);
  head.writeUIntBE(body.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, body]);
}

/** Opens streams on one connection whatever its server's settings say; counts those that were refused, until the server has had enough. */
export function flood(
  port: number,
  tls: TlsMaterial,
  path: string,
  count: number,
): { refused: number; closed: boolean; end(): void } {
  const { ca, cert, key } = tls;
  const socket = connect({
    host: "127.0.0.1",
    port,
    ca,
    cert,
    key,
    servername: "principal",
    ALPNProtocols: ["h2"],
    checkServerIdentity: () => undefined,
  });
  const flooded = { refused: 0, closed: false, end: () => socket.destroy() };
  const literal = (text: string) => [Buffer.from([text.length]), Buffer.from(text)];
  const headers = {
    ":method": "POST",
    ":scheme": "https",
    ":path": path,
    ":authority": "x",
    "content-type": "application/grpc",
    te: "trailers",
  };
  const block = Buffer.concat(
    Object.entries(headers).flatMap((
      [name, value],
    ) => [Buffer.from([0]), ...literal(name), ...literal(value)]),
  );
  socket.on("close", () => flooded.closed = true).on("error", () => {}).on("secureConnect", () => {
    socket.write(
      Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), http2Frame(4, 0, 0, Buffer.alloc(0))]),
    );
    for (let n = 0; n < count; n++) socket.write(http2Frame(1, 4, 1 + 2 * n, block));
  });
  let rest: Buffer = Buffer.alloc(0);
  socket.on("data", (data: Buffer) => {
    rest = Buffer.concat([rest, data]);
    while (rest.length >= HEADER_BYTES && rest.length >= HEADER_BYTES + rest.readUIntBE(0, 3)) {
      if (rest.readUInt8(3) === RST_STREAM) flooded.refused++;
      rest = rest.subarray(HEADER_BYTES + rest.readUIntBE(0, 3));
    }
  });
  return flooded;
}
