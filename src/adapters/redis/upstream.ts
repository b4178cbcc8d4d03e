/** The way to Argo CD's Redis on this side. */
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";

/** Where Redis is, and how its certificate is checked. */
export interface Upstream {
  address: string;
  /** Undefined: without TLS. */
  tls: UpstreamTls | undefined;
}

/** How the certificate of Redis is checked. */
export interface UpstreamTls {
  /** PEM, asked at every connection; empty: the system's authorities. */
  ca(): string;
  insecure: boolean;
}

const DEFAULT_PORT = 6379;

/** Host and port of `host`, `host:port` or `[address]:port`. */
export function hostAndPort(address: string): { host: string; port: number } {
  const [, bracketed, plain = "", port] = /^(?:\[(.+)\]|([^:]+))(?::(\d+))?$/.exec(address) ?? [];
  return { host: bracketed ?? plain, port: port === undefined ? DEFAULT_PORT : Number(port) };
}

/** Dials; `connected` is called when commands can be answered. */
export function dialRedis({ address, tls }: Upstream, connected: () => void): Socket {
  const target = hostAndPort(address);
  if (!tls) return connect(target, connected);
  const ca = tls.ca();
  return connectTls({
    ...target,
    ...(isIP(target.host) === 0 ? { servername: target.host } : {}),
    ...(ca === "" ? {} : { ca }),
    rejectUnauthorized: !tls.insecure,
  }, connected);
}
