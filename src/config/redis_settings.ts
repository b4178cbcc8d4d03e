/** From flags to settings: Argo CD's Redis, and the proxy in front of it. */
import { readFileSync } from "node:fs";
import { reasonOf } from "../base/reason.ts";
import type { StoreSettings } from "./store_settings.ts";
import { boolOf, certificateOf, portOf, UsageError, type Value } from "./usage.ts";

/** Argo CD's Redis on this side. */
export interface RedisSettings {
  address: string;
  password: string;
  compression: "gzip" | "none";
  /** Undefined: without TLS. */
  tls: RedisTls | undefined;
  /** Undefined: Argo CD's own servers ask the Redis itself. */
  proxy: RedisProxySettings | undefined;
}

/** How the certificate of Redis is checked. */
export interface RedisTls {
  /** Any certificate will do. */
  insecure: boolean;
  /** A file; empty: the Secret, and where none is named either, the system's authorities. */
  caPath: string;
  caSecretName: string;
}

/** The proxy, which Argo CD's servers ask in place of Redis. */
export interface RedisProxySettings {
  port: number;
  /** Undefined: without TLS. Files; empty: the Secret. */
  tls: { cert: string; key: string; secretName: string } | undefined;
}

/** The Go principal's default. */
export const DEFAULT_REDIS = "argocd-redis:6379";
/** No Redis. */
const OFF = "off";

/** `--redis-*`; without an address, no UI shows agents' states. @throws UsageError */
export function redisOf(value: Value, store: StoreSettings): RedisSettings | undefined {
  const given = value("redis-server-address");
  const address = given || (store.type === "kubernetes" ? DEFAULT_REDIS : OFF);
  if (address === OFF) return undefined;
  if (!/^(\[[0-9a-fA-F:]+\]|[^:[\]]+)(:\d{1,5})?$/.test(address)) {
    throw new UsageError(`--redis-server-address "${address}": must be host:port`);
  }
  const compression = value("redis-compression-type");
  if (compression !== "gzip" && compression !== "none") {
    throw new UsageError(`--redis-compression-type "${compression}": must be gzip or none`);
  }
  const directory = value("redis-creds-dir-path");
  const password = directory === "" ? value("redis-password") : fileText(`${directory}/auth`).trim();
  return { address, password, compression, tls: tlsOf(value, store), proxy: proxyOf(value, store) };
}

/** `--redis-tls-*` and `--redis-ca-*`: one way to check the certificate. @throws UsageError */
function tlsOf(value: Value, store: StoreSettings): RedisTls | undefined {
  if (!boolOf(value, "redis-tls-enabled")) return undefined;
  const insecure = boolOf(value, "redis-tls-insecure");
  const caPath = value("redis-ca-path");
  if (insecure && caPath !== "") {
    throw new UsageError("--redis-tls-insecure and --redis-ca-path exclude each other: give one of them");
  }
  const isRead = !insecure && caPath === "" && store.type === "kubernetes";
  return { insecure, caPath, caSecretName: isRead ? value("redis-ca-secret-name") : "" };
}

function proxyOf(value: Value, store: StoreSettings): RedisProxySettings | undefined {
  const port = portOf(value, "redis-proxy-port");
  if (boolOf(value, "disable-redis-proxy") || port === 0) return undefined;
  if (!boolOf(value, "redis-tls-enabled")) return { port, tls: undefined };
  const own = certificateOf(value, "redis-proxy-server-tls-cert", "redis-proxy-server-tls-key");
  if (own.cert === "" && store.type !== "kubernetes") {
    throw new UsageError(
      "--redis-tls-enabled: the Redis proxy needs --redis-proxy-server-tls-cert and --redis-proxy-server-tls-key; " +
        "without it: --disable-redis-proxy",
    );
  }
  return { port, tls: { ...own, secretName: value("redis-proxy-server-tls-secret-name") } };
}

function fileText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`cannot read "${path}": ${reasonOf(error)}`);
  }
}
