/** The way to Argo CD's Redis and the proxy in front of it, with their certificates, which are reread. */
import { serveRedisProxy } from "./adapters/redis/proxy.ts";
import type { Upstream } from "./adapters/redis/upstream.ts";
import type { Gate } from "./adapters/net/gate.ts";
import { TlsWatch } from "./adapters/tls/files.ts";
import { Reread } from "./adapters/tls/reread.ts";
import { redisCa, redisProxySource, rereadMs } from "./adapters/tls/secrets.ts";
import type { Log } from "./base/log.ts";
import type { Settings } from "./config/settings.ts";
import type { AgentCaches } from "./principal/ports/agent_caches.ts";
import type { Store } from "./principal/ports/store.ts";

type Undo = (() => Promise<void> | void)[];

/** Argo CD's Redis, and the certificate of the proxy in front of it. */
export interface RedisDoor {
  readonly upstream: Upstream;
  /** Undefined: without TLS. */
  readonly tls: TlsWatch | undefined;
}

/** Reads what Redis and its proxy need; undefined: this side has no Redis. @throws Error that names the file or the Secret */
export async function openRedis(
  { redis, namespace }: Settings,
  store: Store,
  log: Log,
  undo: Undo,
): Promise<RedisDoor | undefined> {
  if (!redis) return undefined;
  const { address, tls, proxy } = redis;
  if (!tls) return { upstream: { address, tls: undefined }, tls: undefined };
  const ca = await Reread.open(async () => (await redisCa(tls, namespace, store))?.text.toString() ?? "", {
    everyMs: rereadMs(tls.caPath),
    same: (a, b) => a === b,
    unusable: (problem) =>
      log.warn("the CA of Redis cannot be used, keeping the last good one", { reason: problem }),
  });
  undo.push(() => ca.close());
  const own = proxy?.tls;
  const tell = (level: "info" | "warn", message: string) =>
    log[level](`Redis proxy: ${message}`, { event: "certificates" });
  const source = own && redisProxySource(own, namespace, store);
  const watch = source && await TlsWatch.open(source, tell, rereadMs(own.cert));
  undo.push(() => watch?.close());
  return { upstream: { address, tls: { ca: () => ca.current, insecure: tls.insecure } }, tls: watch };
}

/** The parts of the listener. */
export interface RedisListenerParts extends RedisDoor {
  readonly settings: Settings;
  readonly hostname: string;
  readonly gate: Gate;
  readonly log: Log;
}

/** Opens the proxy; its port, 0 where it is off. @throws Error where the address is taken */
export async function openRedisProxy(
  caches: AgentCaches,
  { settings, hostname, gate, log, upstream, tls }: RedisListenerParts,
  undo: Undo,
): Promise<number> {
  const proxy = settings.redis?.proxy;
  if (!proxy) return 0;
  const served = await serveRedisProxy({
    listen: { hostname, port: proxy.port },
    tls: tls && {
      current: tls.current,
      onRotation: (listener) => tls.onRotation(listener),
      versions: settings.tlsVersions,
    },
    redis: upstream,
    ...{ caches, gate, log },
  });
  undo.push(() => served.close());
  return served.port;
}
