/** From flags and environment to settings that are known to be usable, or to one clear error. */
import { parseArgs } from "@std/cli/parse-args";
import { isDnsLabel } from "../domain/resources/keys.ts";
import { GUARD_MODES, type GuardPolicy } from "../domain/ha/deletion_guard.ts";
import type { Scope } from "../domain/resources/scope.ts";
import type { AuthMethod } from "../domain/agents/identity.ts";
import type { AgentBounds } from "../domain/agents/usage.ts";
import type { VersionPolicy } from "../domain/agents/version.ts";
import { authOf, resourceProxyOf, type ResourceProxySettings, selfRegistrationOf } from "./agent_settings.ts";
import { redisOf, type RedisSettings } from "./redis_settings.ts";
import { identityWarnings, subjectMatchOf } from "./identity_settings.ts";
import { envOf, type Flag } from "./flag.ts";
import { goNotes, goWarnings } from "./go_settings.ts";
import { FLAGS } from "./flags.ts";
import type { LogSettings } from "../base/log.ts";
import { otlpOf, type OtlpSettings } from "./otlp_settings.ts";
import { logOf, logWarnings } from "./log_settings.ts";
import { scopeOf, storeOf, type StoreSettings } from "./store_settings.ts";
import {
  generatesTls,
  requiresClientCerts,
  tlsFilesOf,
  type TlsVersions,
  tlsVersionsOf,
} from "./tls_settings.ts";
import { PARAMS } from "./params.ts";
import { boolOf, listOf, oneOf, portOf, UsageError, type Value } from "./usage.ts";

/** The configuration of a principal. */
export interface Settings {
  listenHost: string;
  /** Of probes, metrics and proxies; empty: `listenHost`, `*`: every address. */
  servicesHost: string;
  listenPort: number;
  namespace: string;
  scope: Scope;
  store: StoreSettings;
  /** The directory of the embedded store. */
  dataDir: string;
  auth: AuthMethod;
  agentVersionPolicy: VersionPolicy;
  /** The most that one agent may have here; 0: no bound. */
  agentQuota: AgentBounds;
  /** Serves without TLS, behind a proxy that has it. */
  plaintext: boolean;
  /** Whether agents are served over WebSocket too. */
  webSockets: boolean;
  /** Undefined: people make the cluster Secrets. */
  selfRegistration: { secret: string; proxyAddress: string } | undefined;
  /** Undefined: it is off. */
  resourceProxy: ResourceProxySettings | undefined;
  /** Undefined: agents' states do not go to Argo CD's Redis. */
  redis: RedisSettings | undefined;
  /** Stands before the keys of Argo CD's clients. */
  redisKeyPrefix: string;
  /** Files; empty: the Secrets named below. */
  tls: { cert: string; key: string; ca: string };
  /** A server certificate is made at the start, which nobody can check. */
  generateTls: boolean;
  tlsSecretName: string;
  caSecretName: string;
  tlsVersions: TlsVersions;
  requireClientCerts: boolean;
  /** `--client-cert-subject-match`, where client certificates are required. */
  subjectMatch: boolean;
  jwtKey: string;
  jwtSecretName: string;
  generateJwtKey: boolean;
  maxMessageBytes: number;
  /** Of the port for agents and replication. */
  connections: { connections: number; perSource: number };
  /** 0: off. */
  metricsPort: number;
  healthzPort: number;
  /** 0: off. */
  pprofPort: number;
  log: LogSettings;
  /** Undefined: nothing is traced. */
  otlp: OtlpSettings | undefined;
  haEnabled: boolean;
  preferredRole: "primary" | "replica";
  /** As operators call this side. */
  sideName: string;
  peerAddress: string;
  /** URL of `/healthz` of a Go principal as peer; empty: it is not asked. */
  peerHealthz: string;
  adminPort: number;
  /** A second admin listener, over mTLS; undefined: none. */
  adminListen: { address: string; readers: string[]; operators: string[] } | undefined;
  allowedReplicationClients: string[];
  allowAnyReplicationClient: boolean;
  /** Empty: not given, see domain/ha/peer_identity.ts. */
  peerIdentity: string;
  initialAckTimeoutMs: number;
  peerCheckTimeoutMs: number;
  /** How long a process that no longer renews its lock on the cluster keeps others waiting. */
  leaseMs: number;
  /** The UID of the pod in which this process runs; empty: unknown. */
  podUid: string;
  /** The ConfigMaps from which a pod has its settings, each with the keys that are read; empty: this is no pod. */
  params: ReadonlyMap<string, ReadonlySet<string>>;
  /** The Deployment on which this side's state is shown; empty: none. */
  haDeployment: string;
  plainContract: boolean;
  /** Which deletions wait for an operator; without HA, where no operator could release them, none. */
  deletionGuard: GuardPolicy;
}

/**
 * Parses the arguments after `principal`. Malformed environment values fall back to the default with a warning,
 * as in the Go principal; malformed flags are an error. @throws UsageError
 */
export function parseSettings(
  args: string[],
  env: (name: string) => string | undefined,
): { settings: Settings; warnings: string[]; notes: string[] } {
  const warnings: string[] = [];
  const given = parseFlags(args);
  const values = new Map<string, string>();
  for (const flag of FLAGS) {
    const typed = given.get(flag.name);
    const fromEnv = env(envOf(flag));
    if (typed !== undefined) {
      const problem = valueProblem(flag, typed);
      if (problem) throw new UsageError(`--${flag.name} "${typed}": ${problem}`);
    }
    let value = typed ?? fromEnv ?? flag.default;
    if (typed === undefined && fromEnv !== undefined && valueProblem(flag, fromEnv)) {
      warnings.push(`${envOf(flag)}="${fromEnv}": ${valueProblem(flag, fromEnv)}; using "${flag.default}"`);
      value = flag.default;
    }
    values.set(flag.name, value);
  }
  const value = (name: string) => values.get(name) ?? "";
  const settings = settingsOf(value, env);
  const told = [...logWarnings(value), ...identityWarnings(value, settings), ...goWarnings(value, settings)];
  return { settings, warnings: [...warnings, ...told], notes: goNotes(value, settings) };
}

function parseFlags(args: string[]): Map<string, string> {
  const names = FLAGS.map((flag) => flag.name);
  const booleans = FLAGS.filter((flag) => flag.type === "bool").map((flag) => flag.name);
  const isBoolean = (name: string) => booleans.includes(name);
  const parsed = parseArgs(args.map((arg) => explicitBoolean(arg, isBoolean)), {
    string: names,
    collect: names,
    alias: { namespace: "n" },
    unknown: (arg) => {
      const name = arg.replace(/=.*$/s, "");
      throw new UsageError(
        arg.startsWith("-")
          ? `unknown flag ${name}; see: argocd-agent-ha principal --help`
          : `unexpected argument "${arg}"`,
      );
    },
  });
  const given = new Map<string, string>();
  for (const flag of FLAGS) {
    const typed = parsed[flag.name] as string[];
    if (typed.length === 0) continue;
    given.set(flag.name, flag.type === "list" ? typed.join(",") : String(typed.at(-1)));
  }
  return given;
}

/** `--flag` of a boolean means `--flag=true`, as in the Go principal; the flag never takes the next argument. */
function explicitBoolean(arg: string, isBoolean: (name: string) => boolean): string {
  return arg.startsWith("--") && isBoolean(arg.slice(2)) ? `${arg}=true` : arg;
}

function valueProblem(flag: Flag, value: string): string | undefined {
  switch (flag.type) {
    case "bool":
      return /^(true|false|1|0|t|f|T|F|TRUE|FALSE|True|False)$/.test(value)
        ? undefined
        : "must be true or false";
    case "int":
      return /^\d{1,10}$/.test(value) ? undefined : "must be a whole number";
    case "duration":
      return parseDuration(value) === undefined ? "must be a duration such as 30s or 5m" : undefined;
    default:
      return undefined;
  }
}

const UNIT_MS = new Map<string, number>([
  ["ns", 1e-6],
  ["us", 1e-3],
  ["µs", 1e-3],
  ["ms", 1],
  ["s", 1_000],
  ["m", 60_000],
  ["h", 3_600_000],
]);

/** A Go duration (`1m30s`, `500ms`, `0`) in ms, or undefined. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^(\d+(\.\d+)?(ns|us|µs|ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, number = "", unit = ""] of text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(number) * (UNIT_MS.get(unit) ?? 0);
  }
  return total;
}

function settingsOf(value: Value, env: (name: string) => string | undefined): Settings {
  const bool = (name: string) => boolOf(value, name);
  const namespace = namespaceOf(value);
  const store = storeOf(value, env);
  const settings: Settings = {
    listenHost: value("listen-host"),
    servicesHost: value("services-listen-host"),
    listenPort: portOf(value, "listen-port"),
    namespace,
    scope: scopeOf(value, namespace),
    store,
    dataDir: store.type === "sqlite" ? store.path.replace(/[^/]*$/, "") || "." : value("data-dir"),
    auth: authOf(value),
    agentVersionPolicy: oneOf(value, "agent-version-policy", ["exact", "minor", "any"]),
    agentQuota: {
      objects: Number(value("agent-max-objects")),
      bytes: Number(value("agent-max-bytes")),
      totalBytes: Number(value("agents-max-total-bytes")),
    },
    plaintext: bool("insecure-plaintext"),
    webSockets: bool("enable-websocket"),
    selfRegistration: selfRegistrationOf(value),
    resourceProxy: resourceProxyOf(value, store.type),
    redis: redisOf(value, store),
    redisKeyPrefix: value("redis-key-prefix"),
    tls: tlsFilesOf(value, store),
    generateTls: generatesTls(value),
    tlsSecretName: value("tls-secret-name"),
    caSecretName: value("tls-ca-secret-name"),
    tlsVersions: tlsVersionsOf(value),
    requireClientCerts: requiresClientCerts(value),
    subjectMatch: subjectMatchOf(value),
    jwtKey: value("jwt-key"),
    jwtSecretName: value("jwt-secret-name"),
    generateJwtKey: bool("insecure-jwt-generate"),
    maxMessageBytes: Number(value("grpc-max-message-size")),
    connections: connectionsOf(value),
    metricsPort: portOf(value, "metrics-port", 32_767),
    healthzPort: portOf(value, "healthz-port", 32_767),
    pprofPort: portOf(value, "pprof-port"),
    log: { ...logOf(value), ...(bool("ha-enabled") ? { side: sideNameOf(value) } : {}) },
    otlp: otlpOf(value, env),
    haEnabled: bool("ha-enabled"),
    preferredRole: oneOf(value, "ha-preferred-role", ["primary", "replica"]),
    sideName: sideNameOf(value),
    peerAddress: value("ha-peer-address"),
    peerHealthz: value("ha-peer-healthz"),
    adminPort: portOf(value, "ha-admin-port") || 8405,
    adminListen: adminListenOf(value),
    allowedReplicationClients: listOf(value, "ha-allowed-replication-clients"),
    allowAnyReplicationClient: bool("ha-allow-any-replication-client"),
    peerIdentity: value("ha-peer-identity"),
    initialAckTimeoutMs: parseDuration(value("ha-replication-initial-ack-timeout")) || 300_000,
    peerCheckTimeoutMs: parseDuration(value("ha-peer-check-timeout")) || 3_000,
    leaseMs: leaseMsOf(value),
    podUid: value("pod-uid"),
    params: value("pod-uid") === "" ? new Map() : PARAMS,
    haDeployment: value("ha-deployment"),
    plainContract: bool("ha-plain-contract"),
    deletionGuard: deletionGuardOf(value, bool("ha-enabled")),
  };
  if (settings.healthzPort === 0) throw new UsageError("--healthz-port must be between 1 and 32767");
  if (settings.haEnabled) checkHa(settings);
  return settings;
}

function sideNameOf(value: Value): string {
  const name = value("ha-name") || value("ha-preferred-role");
  if (isDnsLabel(name)) return name;
  throw new UsageError(`--ha-name "${name}": must be a DNS-1123 label, such as the region's name`);
}

/** A third of it must be well above the second by which a measurement may be off (src/base/clock.ts). */
const MIN_LEASE_MS = 5_000;

function leaseMsOf(value: Value): number {
  const leaseMs = parseDuration(value("ha-lease-duration")) ?? 0;
  if (leaseMs >= MIN_LEASE_MS) return leaseMs;
  throw new UsageError(`--ha-lease-duration "${value("ha-lease-duration")}": must be at least 5s`);
}

function checkHa(settings: Settings): void {
  if (settings.generateTls) {
    throw new UsageError(
      "--insecure-tls-generate is not for --ha-enabled: the peer cannot trust a certificate that is made at each start; " +
        "issue one of the common CA for --tls-cert and --tls-key",
    );
  }
  if (settings.preferredRole === "replica" && settings.peerAddress === "") {
    throw new UsageError("peer address is required for replica role: set --ha-peer-address host:port");
  }
  if (settings.peerAddress !== "" && !/^.+:\d{1,5}$/.test(settings.peerAddress)) {
    throw new UsageError(`--ha-peer-address "${settings.peerAddress}": must be host:port`);
  }
  if (settings.peerHealthz !== "" && !/^https?:$/.test(URL.parse(settings.peerHealthz)?.protocol ?? "")) {
    throw new UsageError(
      `--ha-peer-healthz "${settings.peerHealthz}": must be a URL such as http://b.example:8003/healthz`,
    );
  }
  const { allowedReplicationClients: allowed, allowAnyReplicationClient, peerIdentity } = settings;
  if (peerIdentity !== "" && !isDnsLabel(peerIdentity)) {
    throw new UsageError(`--ha-peer-identity "${peerIdentity}": must be a DNS-1123 label`);
  }
  if (allowed.length === 0 && !allowAnyReplicationClient && peerIdentity === "") {
    throw new UsageError(
      "no replication client is allowed: name the peer's identity in --ha-peer-identity, further readers in " +
        "--ha-allowed-replication-clients, or give --ha-allow-any-replication-client (then every agent's certificate reads everything)",
    );
  }
  if (settings.auth.method !== "mtls") {
    throw new UsageError(
      "--ha-enabled needs --auth mtls:REGEX: replication identifies its clients by certificate",
    );
  }
}

/** @throws UsageError */
function connectionsOf(value: Value): Settings["connections"] {
  const atLeastOne = (name: string) => {
    const number = Number(value(name));
    if (number < 1) throw new UsageError(`--${name} "${value(name)}": must be at least 1`);
    return number;
  };
  const [connections, perSource] = ["max-connections", "max-connections-per-source"].map(atLeastOne);
  return { connections: connections ?? 0, perSource: perSource ?? 0 };
}

/** @throws UsageError */
function deletionGuardOf(value: Value, haEnabled: boolean): GuardPolicy {
  const mode = oneOf(value, "ha-deletion-guard", GUARD_MODES);
  const percent = Number(value("ha-deletion-guard-percent"));
  if (percent > 100) throw new UsageError(`--ha-deletion-guard-percent "${percent}": must be at most 100`);
  return {
    mode: haEnabled ? mode : "off",
    count: Number(value("ha-deletion-guard-count")),
    percent,
    windowMs: parseDuration(value("ha-deletion-guard-window")) ?? 0,
  };
}

/** `--ha-admin-listen` and the identities that it serves. @throws UsageError */
function adminListenOf(value: Value): Settings["adminListen"] {
  const address = value("ha-admin-listen");
  const [readers, operators] = [listOf(value, "ha-admin-readers"), listOf(value, "ha-admin-operators")];
  const named = readers.length + operators.length > 0;
  if (address === "") {
    if (named) {
      throw new UsageError("--ha-admin-readers and --ha-admin-operators need --ha-admin-listen HOST:PORT");
    }
    return undefined;
  }
  if (!/^(\[[0-9a-fA-F:]+\]|[^:[\]]+):\d{1,5}$/.test(address)) {
    throw new UsageError(`--ha-admin-listen "${address}": must be host:port, e.g. 0.0.0.0:8406`);
  }
  if (!named) {
    throw new UsageError(
      `--ha-admin-listen "${address}" lets nobody in: name who may ask in --ha-admin-readers, and who may also promote, demote and ` +
        "switch over in --ha-admin-operators",
    );
  }
  return { address, readers, operators };
}

function namespaceOf(value: Value): string {
  const namespace = value("namespace") || value("pod-namespace");
  if (namespace === "") {
    throw new UsageError("namespace is required for principal identity: set --namespace, e.g. argocd");
  }
  if (!isDnsLabel(namespace)) throw new UsageError(`--namespace "${namespace}": must be a DNS-1123 label`);
  return namespace;
}
