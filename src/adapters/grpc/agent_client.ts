/** An agent's side of the wire: what a Go agent does to connect, in its order (Authenticate, Version, Subscribe). */
import grpc from "@grpc/grpc-js";
import type { authapi, eventstreamapi, principal, terminalstreamapi } from "../../../proto/gen.d.ts";
import { type AgentEvent, decodeEvent, encodeEvent } from "../../domain/events/cloudevent.ts";
import type { TlsMaterial } from "../tls/files.ts";
import { call, dialPeer } from "./dial.ts";
import {
  authenticationService,
  eventStreamService,
  logStreamService,
  terminalStreamService,
  versionService,
} from "./services.ts";

const MAX_MESSAGE_BYTES = 200 * 1024 * 1024;
const TIMEOUT_MS = 20_000;

export interface AgentHandshake {
  address: string;
  /** Undefined: without TLS. */
  material: TlsMaterial | undefined;
  request: authapi.AuthRequest;
  /** The metadata that a proxy in front would add. */
  headers?: Record<string, string>;
}

/** An open stream. */
export interface AgentConnection {
  principalNamespace: string;
  accessToken: string;
  refreshToken: string;
  /** False when it should wait for `drained`. */
  send(event: AgentEvent): boolean;
  /** Resolves when what was sent has left, or the stream is over. */
  drained(): Promise<void>;
  pause(): void;
  resume(): void;
  close(): void;
  /** Opens a call that brings a log; absent: this way knows none. */
  bringLog?(): LogUpload;
  /** Opens a call that brings a terminal. `received` gets what the principal sends; undefined: nothing more comes. */
  bringTerminal?(received: (message: TerminalMessage | undefined) => void): TerminalUpload;
}

/** A call of an agent. */
export interface Upload<Message> {
  /** Resolves when there is room for more, or the call is over. */
  send(message: Message): Promise<void>;
  /** Nothing follows. */
  end(): void;
  cancel(): void;
  /** Resolves with the code of the call's status. */
  readonly over: Promise<number>;
}

export type LogUpload = Upload<principal.apis.logstreamapi.LogStreamData>;
export type TerminalMessage = terminalstreamapi.TerminalStreamData;

export interface TerminalUpload extends Upload<TerminalMessage> {
  /** Reads nothing more. */
  pause(): void;
}

export interface AgentConnectionEvents {
  received(event: AgentEvent): void;
  /** The stream is over; the code of its status, and its text. */
  ended(code: number, details: string): void;
}

/** Connects and opens the stream. @throws grpc.ServiceError */
export async function connectAgent(
  { address, material, request, headers = {} }: AgentHandshake,
  events: AgentConnectionEvents,
  interceptors: grpc.Interceptor[] = [],
): Promise<AgentConnection> {
  const client = material
    ? dialPeer(address, material, MAX_MESSAGE_BYTES, undefined, interceptors)
    : plaintext(address, interceptors);
  try {
    const given = metadata(headers);
    const tokens = await call(client, authenticationService.Authenticate, request, TIMEOUT_MS, given);
    await call(client, versionService.Version, {}, TIMEOUT_MS);
    return subscribe(client, tokens, events);
  } catch (error) {
    client.close();
    throw error;
  }
}

/** As `connectAgent`, over WebSockets rather than HTTP/2. */
export const connectOverWebSockets: typeof connectAgent = async (handshake, events) => {
  const { webSocketCalls } = await import("./websocket_call.ts");
  const { address, material } = handshake;
  return await connectAgent(handshake, events, [webSocketCalls(address, material)]);
};

type Stream = grpc.ClientDuplexStream<eventstreamapi.Event, eventstreamapi.Event>;

/** Opens the stream of an agent that has its tokens. */
export function subscribe(
  client: grpc.Client,
  tokens: authapi.AuthResponse,
  events: AgentConnectionEvents,
): AgentConnection {
  const { path, requestSerialize, responseDeserialize } = eventStreamService.Subscribe;
  const token = metadata({ authorization: tokens.accessToken ?? "" });
  const stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, token);
  watch(stream, client, events);
  return {
    principalNamespace: tokens.principalNamespace ?? "",
    accessToken: tokens.accessToken ?? "",
    refreshToken: tokens.refreshToken ?? "",
    send: (event) => stream.write({ event: encodeEvent(event) }),
    drained: () =>
      new Promise((resolve) => {
        if (!stream.writableNeedDrain) return resolve();
        const ends = ["drain", "close", "error"];
        const done = () => {
          for (const event of ends) stream.off(event, done);
          resolve();
        };
        for (const event of ends) stream.on(event, done);
      }),
    pause: () => stream.pause(),
    resume: () => stream.resume(),
    close: () => {
      stream.cancel();
      client.close();
    },
    bringLog: () => logUpload(client, token),
    bringTerminal: (received) => terminalUpload(client, token, received),
  };
}

function logUpload(client: grpc.Client, token: grpc.Metadata): LogUpload {
  const { path, requestSerialize, responseDeserialize } = logStreamService.StreamLogs;
  const over = Promise.withResolvers<number>();
  const call = client.makeClientStreamRequest(
    path,
    requestSerialize,
    responseDeserialize,
    token,
    (error) => over.resolve(error?.code ?? grpc.status.OK),
  );
  return upload(call, over.promise);
}

function terminalUpload(
  client: grpc.Client,
  token: grpc.Metadata,
  received: (message: TerminalMessage | undefined) => void,
): TerminalUpload {
  const { path, requestSerialize, responseDeserialize } = terminalStreamService.StreamTerminal;
  const over = Promise.withResolvers<number>();
  const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, token);
  call.on("data", received).on("end", () => received(undefined));
  call.on("status", ({ code }: grpc.StatusObject) => over.resolve(code));
  return { ...upload(call, over.promise), pause: () => void call.pause() };
}

function upload<Message>(
  call: grpc.ClientWritableStream<Message>,
  over: Promise<number>,
): Upload<Message> {
  call.on("error", () => {});
  let drained: Promise<unknown> | undefined;
  return {
    send: async (message) => {
      if (call.write(message)) return;
      drained ??= Promise.race([new Promise((resolve) => call.once("drain", resolve)), over])
        .finally(() => drained = undefined);
      await drained;
    },
    end: () => call.end(),
    cancel: () => call.cancel(),
    over,
  };
}

function watch(stream: Stream, client: grpc.Client, events: AgentConnectionEvents): void {
  let over = false;
  stream.on("data", (message: eventstreamapi.Event) => {
    const event = decodeEvent(message.event);
    if (!over && !("problem" in event)) events.received(event);
  });
  stream.on("error", () => {});
  stream.on("status", ({ code, details }: grpc.StatusObject) => {
    if (over) return;
    over = true;
    client.close();
    events.ended(code, details);
  });
}

function plaintext(address: string, interceptors: grpc.Interceptor[]): grpc.Client {
  return new grpc.Client(address, grpc.credentials.createInsecure(), {
    interceptors,
    "grpc.enable_retries": 0,
    "grpc.use_local_subchannel_pool": 1,
  });
}

function metadata(fields: Record<string, string>): grpc.Metadata {
  const result = new grpc.Metadata();
  for (const [name, value] of Object.entries(fields)) result.set(name, value);
  return result;
}
