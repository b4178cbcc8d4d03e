/**
 * Every flag of `principal`, as data: parsing, help, shell completion and docs/reference.md come from here. Names,
 * environment variables and defaults are the Go principal's where it has the flag.
 */

export type FlagType = "string" | "bool" | "int" | "duration" | "list";

export interface Flag {
  name: string;
  /** Suffix of ARGOCD_PRINCIPAL_, or the whole name in `envWhole`. */
  env?: string;
  envWhole?: string;
  type: FlagType;
  default: string;
  help: string;
  /** A flag of the Go principal that is accepted and not implemented yet. */
  later?: true;
}

export const ENV_PREFIX = "ARGOCD_PRINCIPAL_";

const flag = (name: string, type: FlagType, value: string, help: string, env?: string): Flag => ({
  name,
  type,
  default: value,
  help,
  env: env ?? name.toUpperCase().replaceAll("-", "_"),
});

/** A flag of ours, which the Go principal does not have. */
const ours = flag;

const later = (name: string, type: FlagType, value: string, env?: string): Flag => ({
  ...flag(name, type, value, "not served yet", env),
  later: true,
});

export const FLAGS: readonly Flag[] = [
  flag("listen-host", "string", "", "address to listen on; empty: all"),
  flag("listen-port", "int", "8443", "port for agents and replication"),
  flag("namespace", "string", "", "the principal's namespace (-n); required"),
  ours(
    "store",
    "string",
    "",
    "kubernetes or sqlite:FILE; default: kubernetes in a pod or with --kubeconfig, --kubecontext or KUBECONFIG, else principal.db in the data directory",
  ),
  ours("data-dir", "string", "argocd-agent-ha-data", "directory of the embedded store"),
  flag(
    "kubeconfig",
    "string",
    "",
    "kubeconfig of the principal's cluster; empty: the files of KUBECONFIG, else ~/.kube/config, else the pod's service account",
  ),
  flag("kubecontext", "string", "", "its context; empty: the current one"),
  ours(
    "pod-uid",
    "string",
    "",
    "UID of this process's pod (deploy/ sets it): a restarted container resumes at once, without waiting for its own Lease to expire",
  ),
  ours("kube-write-concurrency", "int", "32", "write requests to the API server at a time"),
  flag(
    "allowed-namespaces",
    "list",
    "",
    "namespaces of Applications and ApplicationSets: names, globs or /regex/; empty: all (in the Go principal: none)",
  ),
  flag(
    "label-selector",
    "string",
    "",
    "only Applications, AppProjects and ApplicationSets with these labels, as in kubectl -l",
  ),
  flag(
    "destination-based-mapping",
    "bool",
    "false",
    "an Application's agent is its destination's name; Applications without one are not replicated",
  ),
  flag("namespace-create-enable", "bool", "false", "create namespaces that replicated Applications need"),
  flag("namespace-create-pattern", "string", "", "only those whose name matches this regular expression"),
  flag("namespace-create-labels", "list", "", "labels of namespaces that are created, NAME=VALUE,…"),
  flag(
    "tls-secret-name",
    "string",
    "argocd-agent-principal-tls",
    "Secret with tls.crt and tls.key, where --tls-cert is not given (kubernetes store)",
  ),
  flag(
    "tls-ca-secret-name",
    "string",
    "argocd-agent-ca",
    "Secret with the CA in tls.crt or ca.crt, where --root-ca-path is not given (kubernetes store)",
    "TLS_SERVER_ROOT_CA_SECRET_NAME",
  ),
  flag(
    "jwt-secret-name",
    "string",
    "argocd-agent-jwt",
    "Secret with jwt.key, where --jwt-key is not given (kubernetes store)",
  ),
  flag(
    "auth",
    "string",
    "",
    "how agents are identified: mtls:[subject:|uri:]REGEX with one group, userpass:FILE or header:NAME:REGEX",
  ),
  ours(
    "agent-version-policy",
    "string",
    "any",
    "which releases of the agent are let in: exact, minor (the same x.y) or any",
  ),
  ours(
    "agent-max-objects",
    "int",
    "20000",
    "objects that one agent may have here: what an autonomous agent brought; 0: no bound",
  ),
  ours(
    "agent-max-bytes",
    "int",
    "268435456",
    "their bytes as JSON, or those of a managed agent's Applications, of which it writes the status; 0: no bound",
  ),
  ours(
    "agents-max-total-bytes",
    "int",
    "536870912",
    "the bytes of all agents together, counted in the same way; 0: no bound",
  ),
  flag(
    "insecure-plaintext",
    "bool",
    "false",
    "serve without TLS, behind a proxy that has it; not with mtls and not with HA",
  ),
  flag(
    "client-cert-subject-match",
    "bool",
    "false",
    "refuse a token whose name is not the common name of the connection's certificate; needs --require-client-certs, or mtls",
    "TLS_CLIENT_CERT_MATCH_SUBJECT",
  ),
  flag(
    "keepalive-min-interval",
    "duration",
    "0",
    "without effect: no agent is cut off for its pings",
    "KEEP_ALIVE_MIN_INTERVAL",
  ),
  flag(
    "event-processors",
    "int",
    "10",
    "without effect: every agent's events are processed beside the others'",
  ),
  flag(
    "enable-self-cluster-registration",
    "bool",
    "false",
    "make a cluster Secret for each agent that authenticates",
  ),
  flag(
    "self-registration-client-cert-secret",
    "string",
    "",
    "Secret with tls.crt, tls.key and ca.crt that self-registered clusters carry",
  ),
  flag(
    "enable-resource-proxy",
    "bool",
    "true",
    "serve Argo CD's servers the Kubernetes API of agents' clusters; with the embedded store only where the three files below are given",
  ),
  ours("resource-proxy-port", "int", "9090", "its port; in the Go principal always 9090"),
  flag(
    "resource-proxy-secret-name",
    "string",
    "argocd-agent-resource-proxy-tls",
    "Secret with its tls.crt and tls.key, where --resource-proxy-cert-path is not given (kubernetes store)",
  ),
  flag(
    "resource-proxy-cert-path",
    "string",
    "",
    "its server certificate (PEM)",
    "RESOURCE_PROXY_TLS_CERT_PATH",
  ),
  flag("resource-proxy-key-path", "string", "", "its private key (PEM)", "RESOURCE_PROXY_TLS_KEY_PATH"),
  flag(
    "resource-proxy-ca-secret-name",
    "string",
    "argocd-agent-ca",
    "Secret with the CA of its clients in tls.crt or ca.crt, where --resource-proxy-ca-path is not given (kubernetes store)",
  ),
  flag(
    "resource-proxy-ca-path",
    "string",
    "",
    "CA of its clients (PEM)",
    "RESOURCE_PROXY_TLS_CA_PATH",
  ),
  ours(
    "resource-proxy-callers",
    "list",
    "",
    "common names of the client certificates that may call, with a token of a self-registered cluster; empty: every certificate of the CA, which without a token reaches the agent of its own name",
  ),
  flag(
    "resource-proxy-address",
    "string",
    "argocd-agent-resource-proxy:9090",
    "host:port of the resource proxy, in self-registered clusters",
  ),
  flag(
    "redis-server-address",
    "string",
    "",
    "host:port of Argo CD's Redis, for agents' states in its UI; empty: off (in the Go principal: argocd-redis:6379)",
  ),
  flag("redis-compression-type", "string", "gzip", "gzip or none"),
  { ...flag("redis-password", "string", "", "its password"), envWhole: "REDIS_PASSWORD" },
  {
    ...flag("redis-creds-dir-path", "string", "", "directory with the password in the file auth"),
    envWhole: "REDIS_CREDS_DIR_PATH",
  },
  flag("redis-tls-enabled", "bool", "false", "speak TLS with Redis"),
  flag("redis-ca-path", "string", "", "its CA (PEM)"),
  flag("redis-tls-insecure", "bool", "false", "do not check its certificate"),
  flag(
    "tls-cert",
    "string",
    "",
    "server certificate (PEM); also our client certificate towards the peer",
    "TLS_SERVER_CERT_PATH",
  ),
  flag("tls-key", "string", "", "its private key (PEM)", "TLS_SERVER_KEY_PATH"),
  flag(
    "root-ca-path",
    "string",
    "",
    "CA of client certificates and of the peer (PEM)",
    "TLS_SERVER_ROOT_CA_PATH",
  ),
  flag(
    "require-client-certs",
    "bool",
    "false",
    "refuse clients without a certificate; forced by mtls auth",
    "TLS_CLIENT_CERT_REQUIRE",
  ),
  flag("tls-min-version", "string", "tls1.3", "tls1.2 or tls1.3"),
  flag("jwt-key", "string", "", "RSA private key (PKCS#8 PEM) that signs agents' tokens", "JWT_KEY_PATH"),
  flag("insecure-jwt-generate", "bool", "false", "make a signing key at each start", "JWT_ALLOW_GENERATE"),
  flag("grpc-max-message-size", "int", "209715200", "largest message in bytes"),
  ours("max-connections", "int", "10000", "open connections to the port for agents and replication, in all"),
  ours(
    "max-connections-per-source",
    "int",
    "2500",
    "… and from one address; many agents share one behind a proxy or a translation of addresses",
  ),
  flag("metrics-port", "int", "8000", "port of /metrics; 0: off"),
  flag("healthz-port", "int", "8003", "port of /healthz, /livez and /readyz", "HEALTH_CHECK_PORT"),
  flag("log-level", "string", "info", "trace, debug, info, warn or error"),
  flag("log-format", "string", "text", "text or json"),
  flag("ha-enabled", "bool", "false", "replicate to, or follow, a peer"),
  flag("ha-preferred-role", "string", "primary", "primary or replica, when nothing is remembered"),
  flag("ha-peer-address", "string", "", "host:port of the other principal"),
  flag("ha-admin-port", "int", "8405", "port of HAAdmin on 127.0.0.1"),
  ours(
    "ha-admin-listen",
    "string",
    "",
    "host:port of a second admin listener, over mTLS, for the identities of the two flags below; empty: none",
  ),
  ours(
    "ha-admin-readers",
    "list",
    "",
    "identities that may ask there: status, explain, preflight, diff, drill, …",
  ),
  ours(
    "ha-admin-operators",
    "list",
    "",
    "identities that may also change: promote, demote, switchover, reconcile, repair",
  ),
  flag(
    "ha-allowed-replication-clients",
    "list",
    "",
    "identities that may replicate from us (read everything), comma separated",
  ),
  ours(
    "ha-peer-identity",
    "string",
    "",
    "the peer's identity, by the rule of --auth: only its word moves a role, and it may replicate; empty: the only other identity in the list above, or else that of the certificate at --ha-peer-address",
  ),
  ours(
    "ha-allow-any-replication-client",
    "bool",
    "false",
    "let any client certificate replicate: every agent reads everything",
  ),
  flag(
    "ha-replication-initial-ack-timeout",
    "duration",
    "5m",
    "how long a replica of the plain contract may take for its first acknowledgement",
  ),
  ours(
    "ha-replicate-cluster-secrets",
    "string",
    "all",
    "which cluster Secrets replicate: all, or self-registered (only those that agents registered themselves)",
  ),
  ours(
    "ha-replicate-in-cluster-applications",
    "bool",
    "false",
    "also replicate Applications in our own namespace that Argo CD deploys into its own cluster",
  ),
  ours(
    "ha-peer-healthz",
    "string",
    "",
    "URL of /healthz of a peer that is a Go principal: asked before going ACTIVE",
  ),
  ours("ha-peer-check-timeout", "duration", "3s", "how long the peer is asked before going ACTIVE"),
  ours(
    "ha-plain-contract",
    "bool",
    "false",
    "speak only the Go principal's replication contract, in both roles",
  ),
  ours(
    "ha-deletion-guard",
    "string",
    "transitions",
    "when many deletions at once wait for ha deletions: transitions (after a start or change of role, and whatever is concluded from absence), always or off",
  ),
  ours(
    "ha-deletion-guard-count",
    "int",
    "10",
    "more deletions than this wait, if they also are a larger share",
  ),
  ours(
    "ha-deletion-guard-percent",
    "int",
    "20",
    "the share of what the agent, or this side's copy, has, in percent",
  ),
  ours(
    "ha-deletion-guard-window",
    "duration",
    "15m",
    "how long after a start, promotion, switchover or restore every deletion is guarded",
  ),
  ours(
    "ha-lease-duration",
    "duration",
    "15s",
    "a process of this side whose Lease is not renewed for so long is succeeded by another (kubernetes store); it stops serving after two thirds of it",
  ),
  flag(
    "ha-failover-timeout",
    "duration",
    "30s",
    "accepted without effect, as in the Go principal: a principal never promotes itself",
  ),
  later("insecure-tls-generate", "bool", "false", "TLS_SERVER_ALLOW_GENERATE"),
  later("tls-max-version", "string", ""),
  later("tls-ciphersuites", "list", ""),
  later("enable-websocket", "bool", "false"),
  later("pprof-port", "int", "0"),
  later("full-detail", "list", ""),
  later("disable-redis-proxy", "bool", "false"),
  later("redis-proxy-server-tls-cert", "string", "", "REDIS_PROXY_SERVER_TLS_CERT_PATH"),
  later("redis-proxy-server-tls-key", "string", "", "REDIS_PROXY_SERVER_TLS_KEY_PATH"),
  later("redis-proxy-server-tls-secret-name", "string", "argocd-redis-proxy-tls"),
  later("redis-ca-secret-name", "string", "argocd-redis-tls"),
  later("otlp-address", "string", ""),
  later("otlp-insecure", "bool", "false"),
];

/** The environment variable of a flag. */
export function envOf(flag: Flag): string {
  return flag.envWhole ?? ENV_PREFIX + flag.env;
}
