/** Dialling: channels to the peer's port with our server certificate as client certificate, and typed calls. */
import type { Buffer } from "node:buffer";
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import grpc from "@grpc/grpc-js";
import { printable, printableMessage } from "../../base/printable.ts";
import type { TlsMaterial } from "../tls/files.ts";

export type Client = grpc.Client;
export type Method<Q, S> = grpc.MethodDefinition<Q, S>;

/**
 * A channel to the peer; a new one for each attempt, so that rotated certificates are used.
 *
 * @param presented hears the certificate at the address; what it returns ends the connection
 */
export function dialPeer(
  address: string,
  material: TlsMaterial,
  maxMessageBytes: number,
  presented: (der: Buffer) => Error | undefined = () => undefined,
  interceptors: grpc.Interceptor[] = [],
): grpc.Client {
  const host = hostOf(address);
  const credentials = grpc.credentials.createSsl(material.ca, material.key, material.cert, {
    checkServerIdentity: (_: string, certificate: PeerCertificate) =>
      checkServerIdentity(host, certificate) ?? presented(certificate.raw),
  });
  return new grpc.Client(address, credentials, {
    interceptors,
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.max_send_message_length": maxMessageBytes,
    "grpc.enable_retries": 0,
    // Redialling is the caller's, with its own backoff; channels are not shared between attempts.
    "grpc.initial_reconnect_backoff_ms": 600_000,
    "grpc.max_reconnect_backoff_ms": 600_000,
    "grpc.use_local_subchannel_pool": 1,
    ...nameFor(address),
  });
}

/** A plaintext channel to an admin listener. */
export function dialAdmin(address: string, interceptors: grpc.Interceptor[] = []): grpc.Client {
  return new grpc.Client(address, grpc.credentials.createInsecure(), {
    interceptors,
    "grpc.enable_retries": 0,
  });
}

/** Makes every text of every answer printable, refusals included: for clients whose answers people read. */
export const printableAnswers: grpc.Interceptor = (options, nextCall) =>
  new grpc.InterceptingCall(nextCall(options), {
    start: (metadata, _listener, next) =>
      next(metadata, {
        onReceiveMetadata: (received, pass) => pass(received),
        onReceiveMessage: (message, pass) => pass(printableMessage(message)),
        onReceiveStatus: (status, pass) => pass({ ...status, details: printable(status.details) }),
      }),
  });

/** The host of `host:port`. */
export function hostOf(address: string): string {
  return address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/** SNI must be a name: for an address it is another one, and the certificate is checked against the real host. */
export function nameFor(address: string): grpc.ChannelOptions {
  return isIP(hostOf(address)) ? { "grpc.ssl_target_name_override": "principal" } : {};
}

/** Under this name our CLI says who types. */
export const OPERATOR_METADATA = "x-argocd-agent-ha-operator";

/** Metadata of a demotion that overrides a refusal: its message has no field for that, and the Go CLI asks for none. */
export const FORCE_METADATA = "argocd-agent-ha-force";

/** Metadata that says who types, and whether a refusal is overridden. */
export function operatorMetadata(name: string, force = false): grpc.Metadata {
  const metadata = new grpc.Metadata();
  if (force) metadata.set(FORCE_METADATA, "true");
  if (/^[\x21-\x7e]+$/.test(name)) metadata.set(OPERATOR_METADATA, name);
  return metadata;
}

/** One unary call within `timeoutMs`. @throws grpc.ServiceError */
export function call<Q, S>(
  client: grpc.Client,
  method: grpc.MethodDefinition<Q, S>,
  request: Q,
  timeoutMs: number,
  metadata = new grpc.Metadata(),
): Promise<S> {
  return new Promise((resolve, reject) =>
    client.makeUnaryRequest(
      method.path,
      method.requestSerialize,
      method.responseDeserialize,
      request,
      metadata,
      { deadline: Date.now() + timeoutMs },
      (error, response) => error ? reject(error) : resolve(response as S),
    )
  );
}

/** Opens a bidirectional stream; the caller must handle "error". */
export function openStream<Q, S>(
  client: grpc.Client,
  method: grpc.MethodDefinition<Q, S>,
): grpc.ClientDuplexStream<Q, S> {
  return client.makeBidiStreamRequest(method.path, method.requestSerialize, method.responseDeserialize);
}

/** Opens a server stream; the caller must handle "error". */
export function openServerStream<Q, S>(
  client: grpc.Client,
  method: grpc.MethodDefinition<Q, S>,
  request: Q,
  metadata = new grpc.Metadata(),
): grpc.ClientReadableStream<S> {
  return client.makeServerStreamRequest(
    method.path,
    method.requestSerialize,
    method.responseDeserialize,
    request,
    metadata,
  );
}

/** The first message of a server stream, which is then cancelled; undefined when there is none within `timeoutMs`. */
export function firstOf<S>(stream: grpc.ClientReadableStream<S>, timeoutMs = 2_000): Promise<S | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => end(undefined), timeoutMs);
    const end = (message: S | undefined) => {
      clearTimeout(timer);
      resolve(message);
      stream.cancel();
    };
    stream.on("data", end);
    stream.on("error", () => end(undefined));
    stream.on("end", () => end(undefined));
  });
}
