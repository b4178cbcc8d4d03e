/** Calls of a client over WebSocket, as a Go agent with `--enable-websocket` makes them: a connection for each, without HTTP/2. */
import type { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import grpc from "@grpc/grpc-js";
import { text } from "node:stream/consumers";
import type { TlsMaterial } from "../tls/files.ts";
import { hostOf } from "./dial.ts";
import { CLOSE, OPEN, WebSocket } from "./websocket.ts";
import {
  END_OF_STREAM,
  fieldsOf,
  frameProblem,
  isMetadata,
  MAX_FRAME_BYTES,
  PREFIX_BYTES,
  prefixed,
  SUBPROTOCOL,
} from "./websocket_frames.ts";

type BaseCall = ConstructorParameters<typeof grpc.InterceptingCall>[0];
type Listener = NonNullable<Parameters<BaseCall["start"]>[1]>;
type Context = Parameters<BaseCall["sendMessageWithContext"]>[0];
type Options = Parameters<grpc.Interceptor>[0];

/** For a channel's options: its calls are made over WebSockets, and the channel itself never connects. */
export function webSocketCalls(address: string, material: TlsMaterial | undefined): grpc.Interceptor {
  return (options) => new grpc.InterceptingCall(new WebSocketCall(options, address, material));
}

class WebSocketCall implements BaseCall {
  #webSocket: WebSocket | undefined;
  /** The same once its handshake is over: until then it cannot be paused. */
  #opened: WebSocket | undefined;
  #listener: Listener = {};
  #unsent: { frame: Buffer; sent: () => void }[] = [];
  /** Messages that are not asked for yet. */
  readonly #received: Buffer[] = [];
  #asked: boolean;
  /** Handed on once every message is. */
  #status: grpc.StatusObject | undefined;
  #over = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly options: Options,
    private readonly address: string,
    private readonly material: TlsMaterial | undefined,
  ) {
    this.#asked = !options.method_definition.responseStream;
  }

  start(metadata: grpc.Metadata, listener: Listener = {}): void {
    this.#listener = listener;
    const { path } = this.options.method_definition;
    const headers = { ...metadata.toHttp2Headers(), "content-type": "application/grpc", te: "trailers" };
    const scheme = this.material ? "wss" : "ws";
    const webSocket = new WebSocket(`${scheme}://${this.address}${path}`, [SUBPROTOCOL], {
      headers,
      maxPayload: MAX_FRAME_BYTES,
      perMessageDeflate: false,
      ...tlsOf(this.address, this.material),
    });
    this.#webSocket = webSocket;
    webSocket.on("open", () => {
      this.#opened = webSocket;
      this.#flush();
    });
    webSocket.on("message", (message, isBinary) => this.#take(message, isBinary));
    webSocket.on("error", (error) => this.#ends(grpc.status.UNAVAILABLE, error.message));
    webSocket.on(
      "close",
      (code, reason) => this.#ends(grpc.status.UNAVAILABLE, `the WebSocket was closed: ${code} ${reason}`),
    );
    webSocket.on("unexpected-response", (_, response) => {
      void text(response).catch(() => "").then((said) =>
        this.#ends(grpc.status.UNAVAILABLE, `${response.statusCode} ${said}`)
      );
    });
    this.#endAt(this.options.deadline);
  }

  sendMessageWithContext({ callback }: Context, message: unknown): void {
    const frame = prefixed(0, this.options.method_definition.requestSerialize(message));
    this.#unsent.push({ frame, sent: () => callback?.() });
    this.#flush();
  }

  sendMessage(message: unknown): void {
    this.sendMessageWithContext({}, message);
  }

  startRead(): void {
    this.#asked = true;
    this.#deliver();
  }

  halfClose(): void {
    this.#unsent.push({ frame: END_OF_STREAM, sent: () => {} });
    this.#flush();
  }

  cancelWithStatus(code: grpc.status, details: string): void {
    this.#received.length = 0;
    this.#ends(code, details);
  }

  getPeer(): string {
    return this.address;
  }

  getAuthContext(): null {
    return null;
  }

  #flush(): void {
    if (this.#opened?.readyState !== OPEN) return;
    for (const { frame, sent } of this.#unsent.splice(0)) this.#opened.send(frame, () => sent());
  }

  #take(message: Buffer, isBinary: boolean): void {
    const problem = isBinary ? frameProblem(message) : "a text message";
    if (problem !== undefined) return this.#ends(grpc.status.INTERNAL, problem);
    if (!isMetadata(message)) {
      this.#received.push(message);
      return this.#deliver();
    }
    const fields = fieldsOf(message);
    const code = fields.get("grpc-status");
    if (code === undefined) this.#listener.onReceiveMetadata?.(new grpc.Metadata());
    else this.#ends(Number(code), decodeURI(fields.get("grpc-message") ?? ""));
  }

  #deliver(): void {
    if (this.#asked && this.#received.length > 0) {
      const frame = this.#received.shift() as Buffer;
      this.#asked = false;
      const { responseDeserialize } = this.options.method_definition;
      this.#listener.onReceiveMessage?.(responseDeserialize(frame.subarray(PREFIX_BYTES)));
    }
    if (this.#received.length > 0) return this.#opened?.pause();
    this.#opened?.resume();
    if (!this.#status || this.#over) return;
    this.#over = true;
    this.#listener.onReceiveStatus?.(this.#status);
  }

  #ends(code: grpc.status, details: string): void {
    if (this.#status) return;
    this.#status = { code, details, metadata: new grpc.Metadata() };
    clearTimeout(this.#timer);
    if (code === grpc.status.OK) this.#webSocket?.close(CLOSE.normal);
    else this.#webSocket?.terminate();
    this.#deliver();
  }

  #endAt(deadline: Options["deadline"]): void {
    if (deadline === undefined) return;
    const ended = () => this.cancelWithStatus(grpc.status.DEADLINE_EXCEEDED, "Deadline exceeded");
    this.#timer = setTimeout(ended, Math.max(0, Number(deadline) - Date.now()));
  }
}

function tlsOf(address: string, material: TlsMaterial | undefined): Record<string, unknown> {
  if (!material) return {};
  const host = hostOf(address);
  const { ca, cert, key } = material;
  return {
    ...{ ca, cert, key },
    // SNI must be a name; the check is against the real host.
    servername: isIP(host) ? "principal" : host,
    checkServerIdentity: (_: string, certificate: PeerCertificate) => checkServerIdentity(host, certificate),
  };
}
