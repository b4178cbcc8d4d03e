/**
 * The keys of the ConfigMaps from which deploy/ sets flags. The Go principal's manifests have 48 in `argocd-agent-params`, and each is read
 * here; that ConfigMap stays as its operator wrote it. Ours are in one of our own. tests/e2e/takeover_test.ts compares with deploy/.
 */

/** The Go principal's ConfigMap. */
const GO_PARAMS = "argocd-agent-params";
/** Ours. */
const OWN_PARAMS = "argocd-agent-ha-params";

/** Flags by the Go principal's keys. */
const GO_KEYS = {
  "principal.listen.host": "listen-host",
  "principal.listen.port": "listen-port",
  "principal.log.level": "log-level",
  "principal.metrics.port": "metrics-port",
  "principal.healthz.port": "healthz-port",
  "principal.namespace": "namespace",
  "principal.allowed-namespaces": "allowed-namespaces",
  "principal.namespace-create.enable": "namespace-create-enable",
  "principal.namespace-create.pattern": "namespace-create-pattern",
  "principal.namespace-create.labels": "namespace-create-labels",
  "principal.tls.secret-name": "tls-secret-name",
  "principal.tls.server.cert-path": "tls-cert",
  "principal.tls.server.key-path": "tls-key",
  "principal.tls.server.allow-generate": "insecure-tls-generate",
  "principal.tls.client-cert.require": "require-client-certs",
  "principal.tls.server.root-ca-secret-name": "tls-ca-secret-name",
  "principal.tls.server.root-ca-path": "root-ca-path",
  "principal.tls.client-cert.match-subject": "client-cert-subject-match",
  "principal.tls.min-version": "tls-min-version",
  "principal.tls.max-version": "tls-max-version",
  "principal.tls.ciphersuites": "tls-ciphersuites",
  "principal.tls.insecure-plaintext": "insecure-plaintext",
  "principal.resource-proxy.enable": "enable-resource-proxy",
  "principal.resource-proxy.secret-name": "resource-proxy-secret-name",
  "principal.resource-proxy.tls.cert-path": "resource-proxy-cert-path",
  "principal.resource-proxy.tls.key-path": "resource-proxy-key-path",
  "principal.resource-proxy.ca.secret-name": "resource-proxy-ca-secret-name",
  "principal.resource-proxy.ca.path": "resource-proxy-ca-path",
  "principal.jwt.allow-generate": "insecure-jwt-generate",
  "principal.jwt.secret-name": "jwt-secret-name",
  "principal.jwt.key-path": "jwt-key",
  "principal.auth": "auth",
  "principal.log.format": "log-format",
  "principal.websocket.enable": "enable-websocket",
  "principal.redis.compression.type": "redis-compression-type",
  "principal.redis.server.address": "redis-server-address",
  "principal.keep-alive.min-interval": "keepalive-min-interval",
  "principal.pprof.port": "pprof-port",
  "principal.destination-based-mapping": "destination-based-mapping",
  "principal.label-selector": "label-selector",
  "principal.event-processors": "event-processors",
  "principal.redis.tls.enabled": "redis-tls-enabled",
  "principal.redis.proxy.server.tls.cert-path": "redis-proxy-server-tls-cert",
  "principal.redis.proxy.server.tls.key-path": "redis-proxy-server-tls-key",
  "principal.redis.proxy.server.tls.secret-name": "redis-proxy-server-tls-secret-name",
  "principal.redis.ca-path": "redis-ca-path",
  "principal.redis.ca-secret-name": "redis-ca-secret-name",
  "principal.redis.tls.insecure": "redis-tls-insecure",
};

/** Flags by our keys. */
const OWN_KEYS = {
  "principal.ha.enabled": "ha-enabled",
  "principal.ha.preferred-role": "ha-preferred-role",
  "principal.ha.name": "ha-name",
  "principal.ha.peer-address": "ha-peer-address",
  "principal.ha.peer-healthz": "ha-peer-healthz",
  "principal.ha.peer-identity": "ha-peer-identity",
  "principal.ha.allowed-replication-clients": "ha-allowed-replication-clients",
  "principal.agent-version-policy": "agent-version-policy",
  "principal.self-registration.enable": "enable-self-cluster-registration",
  "principal.self-registration.client-cert-secret": "self-registration-client-cert-secret",
  "principal.resource-proxy.address": "resource-proxy-address",
  "principal.redis.proxy.disable": "disable-redis-proxy",
  "principal.otlp.address": "otlp-address",
  "principal.otlp.insecure": "otlp-insecure",
};

/** Flags by key, by ConfigMap. */
export const KEYS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  [GO_PARAMS]: GO_KEYS,
  [OWN_PARAMS]: OWN_KEYS,
};

/** The keys that are read, by ConfigMap. */
export const PARAMS: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries(KEYS).map(([name, keys]) => [name, new Set(Object.keys(keys))]),
);
