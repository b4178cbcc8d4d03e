/** The composition root of what this process dials beside its store: the peer, and a collector of traces. */
import { Collector } from "./adapters/grpc/collector.ts";
import type { DialledCalls } from "./adapters/grpc/dialled_calls.ts";
import { GrpcPeer } from "./adapters/grpc/peer.ts";
import { accessTo } from "./adapters/grpc/peer_access.ts";
import { tracedDials } from "./adapters/grpc/traced_calls.ts";
import type { TlsWatch } from "./adapters/tls/files.ts";
import type { Log } from "./base/log.ts";
import type { Settings } from "./config/settings.ts";
import type { Peer } from "./principal/ports/peer.ts";
import { NO_TRACING, type Tracing } from "./principal/ports/tracing.ts";

/** The way to the peer. */
export function peerOf(
  settings: Settings,
  tls: TlsWatch | undefined,
  calls: DialledCalls,
  tracing: Tracing,
): Peer {
  const { peerAddress, peerHealthz, maxMessageBytes, peerIdentity, auth } = settings;
  const configured = {
    address: peerAddress,
    healthz: peerHealthz,
    maxMessageBytes,
    identity: peerIdentity,
    rule: auth.method === "mtls" ? auth.rule : undefined,
  };
  const material = () => {
    if (tls) return tls.current;
    throw new Error("this principal serves without TLS and has no peer");
  };
  return new GrpcPeer(accessTo(configured, material, calls, tracing.on ? [tracedDials(tracing)] : []));
}

/** A tracer, where a collector is configured, and how to close it; OpenTelemetry's SDK is loaded only then. */
export async function openTracer(
  { otlp }: Settings,
  log: Log,
): Promise<{ tracing: Tracing; close(): Promise<void> }> {
  if (!otlp) return { tracing: NO_TRACING, close: () => Promise.resolve() };
  const { openTracing } = await import("./adapters/tracing/otlp.ts");
  const tracing = openTracing(otlp, new Collector(otlp), log);
  return { tracing, close: () => tracing.close() };
}
