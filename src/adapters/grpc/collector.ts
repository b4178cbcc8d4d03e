/** The way to an OpenTelemetry collector: OTLP over gRPC, one unary call a batch. */
import { Buffer } from "node:buffer";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import grpc from "@grpc/grpc-js";
import { hostOf, nameFor } from "./dial.ts";

/** A collector, and how it is reached. */
export interface CollectorAccess {
  address: string;
  insecure: boolean;
  /** PEM; empty: the system's authorities, and no certificate of this side's. */
  tls: { ca: string; cert: string; key: string };
  headers: Readonly<Record<string, string>>;
  gzip: boolean;
  timeoutMs: number;
}

const EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/** grpc-js' number of the algorithm. */
const GZIP = 2;
/** A collector that comes back is found within this time. */
const MAX_REDIAL_MS = 5_000;

/** The collector's service of traces; it is dialled with the first batch. */
export class Collector {
  readonly address: string;
  readonly #client: grpc.Client;
  readonly #metadata = new grpc.Metadata();

  constructor(private readonly access: CollectorAccess) {
    this.address = access.address;
    this.#client = new grpc.Client(access.address, credentialsOf(access), {
      "grpc.max_reconnect_backoff_ms": MAX_REDIAL_MS,
      "grpc.use_local_subchannel_pool": 1,
      ...nameFor(access.address),
      ...(access.gzip ? { "grpc.default_compression_algorithm": GZIP } : {}),
    });
    for (const [name, value] of Object.entries(access.headers)) this.#metadata.set(name, value);
  }

  /** Sends one `ExportTraceServiceRequest`. @throws Error with the status, e.g. where no connection is made in time */
  send(request: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) =>
      this.#client.makeUnaryRequest(
        EXPORT,
        (bytes: Uint8Array) => Buffer.from(bytes),
        (bytes) => bytes,
        request,
        this.#metadata,
        { deadline: Date.now() + this.access.timeoutMs },
        (error) => error ? reject(new Error(explained(error))) : resolve(),
      )
    );
  }

  close(): void {
    this.#client.close();
  }
}

/** The reason alone, and the variable that helps. */
function explained({ details, message }: grpc.ServiceError): string {
  const reason = (details || message)
    .replace(/^No connection established\. Last error: (Error: )?/, "")
    .replace(/\.? Resolution note:.*$/s, "")
    .slice(0, 300);
  const isCertificate = /self.signed|issuer|verify|certificate/i.test(reason);
  return isCertificate ? `${reason} (its CA: OTEL_EXPORTER_OTLP_CERTIFICATE)` : reason;
}

function credentialsOf({ address, insecure, tls }: CollectorAccess): grpc.ChannelCredentials {
  if (insecure) return grpc.credentials.createInsecure();
  const pem = (text: string) => text === "" ? null : Buffer.from(text);
  const verifyOptions = {
    checkServerIdentity: (_: string, certificate: PeerCertificate) =>
      checkServerIdentity(hostOf(address), certificate),
  };
  return grpc.credentials.createSsl(pem(tls.ca), pem(tls.key), pem(tls.cert), verifyOptions);
}
