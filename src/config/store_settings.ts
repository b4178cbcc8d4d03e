/** From flags to settings: the store of a principal, and the scope within it. */
import { Pattern } from "../base/pattern.ts";
import { reasonOf } from "../base/reason.ts";
import { isDnsLabel } from "../domain/resources/keys.ts";
import { type LabelSelector, parseLabelSelector } from "../domain/resources/label_selector.ts";
import { type NamePattern, patternOf } from "../domain/resources/patterns.ts";
import type { Scope } from "../domain/resources/scope.ts";
import { boolOf, listOf, UsageError, type Value } from "./usage.ts";

/** The store to open, and its options. */
export type StoreSettings =
  | { type: "sqlite"; path: string }
  | {
    type: "kubernetes";
    /** Empty: as client-go looks for one, and then the pod's service account. */
    kubeconfig: string;
    /** Empty: the current one. */
    context: string;
    writeConcurrency: number;
    /** Undefined: the replica creates no namespaces. */
    createNamespaces: { pattern: Pattern | undefined; labels: Record<string, string> } | undefined;
  };

/** Above this an API server's own limits (APF) decide, and more only queues. */
const MAX_WRITE_CONCURRENCY = 1_000;
/** Flags that name a cluster. */
const CLUSTER_FLAGS = ["kubeconfig", "kubecontext"];

/** Variables of the environment that name a cluster: a pod's own, and the kubeconfig files of client-go. */
const CLUSTER_VARIABLES = ["KUBERNETES_SERVICE_HOST", "KUBECONFIG"];

/**
 * The store: `--store`; without it the cluster that a flag or the environment names, and else the embedded store. A ~/.kube/config alone
 * names none: a principal that is tried out must not write to the cluster that its user last worked with.
 */
export function storeOf(value: Value, env: (name: string) => string | undefined): StoreSettings {
  const named = CLUSTER_FLAGS.some((name) => value(name) !== "") ||
    CLUSTER_VARIABLES.some((name) => (env(name) ?? "") !== "");
  const store = value("store") || (named ? "kubernetes" : `sqlite:${value("data-dir")}/principal.db`);
  const [, path] = /^sqlite:(.+)$/s.exec(store) ?? [];
  if (path) {
    for (const name of CLUSTER_FLAGS) {
      if (value(name) !== "") {
        throw new UsageError(`--${name} needs the kubernetes store; --store is "${store}"`);
      }
    }
    return { type: "sqlite", path };
  }
  if (store !== "kubernetes") throw new UsageError(`--store "${store}": must be kubernetes or sqlite:FILE`);
  const writeConcurrency = Number(value("kube-write-concurrency"));
  if (writeConcurrency < 1 || writeConcurrency > MAX_WRITE_CONCURRENCY) {
    throw new UsageError(
      `--kube-write-concurrency "${writeConcurrency}": must be between 1 and ${MAX_WRITE_CONCURRENCY}`,
    );
  }
  return {
    type: "kubernetes",
    kubeconfig: value("kubeconfig"),
    context: value("kubecontext"),
    writeConcurrency,
    createNamespaces: namespaceCreation(value),
  };
}

function namespaceCreation(value: Value) {
  if (!boolOf(value, "namespace-create-enable")) return undefined;
  const labels = new Map<string, string>();
  for (const part of listOf(value, "namespace-create-labels")) {
    const [, name, text] = /^([^=]+)=(.+)$/.exec(part) ?? [];
    if (!name || !text) throw new UsageError(`--namespace-create-labels "${part}": must be NAME=VALUE`);
    labels.set(name, text);
  }
  const pattern = value("namespace-create-pattern");
  return {
    pattern: pattern === "" ? undefined : regex("namespace-create-pattern", pattern),
    labels: Object.fromEntries(labels),
  };
}

/** Flags that name Secrets of this principal. */
const OWN_SECRETS = [
  "tls-secret-name",
  "tls-ca-secret-name",
  "jwt-secret-name",
  "self-registration-client-cert-secret",
  "redis-proxy-server-tls-secret-name",
];

/** The scope. */
export function scopeOf(value: Value, namespace: string): Scope {
  const clusterSecrets = value("ha-replicate-cluster-secrets");
  if (clusterSecrets !== "self-registered" && clusterSecrets !== "all") {
    throw new UsageError(
      `--ha-replicate-cluster-secrets "${clusterSecrets}": must be self-registered or all`,
    );
  }
  return {
    namespace,
    allowedNamespaces: listOf(value, "allowed-namespaces").map(namespacePattern),
    labelSelector: selector(value("label-selector")),
    destinationMapping: boolOf(value, "destination-based-mapping"),
    clusterSecrets,
    inClusterApplications: boolOf(value, "ha-replicate-in-cluster-applications"),
    ownSecrets: OWN_SECRETS.map((name) => value(name)).filter((name) => name !== ""),
  };
}

function selector(text: string): LabelSelector | undefined {
  try {
    return parseLabelSelector(text);
  } catch (error) {
    throw new UsageError(`--label-selector "${text}": ${reasonOf(error)}`);
  }
}

function namespacePattern(text: string): NamePattern {
  if (!isDnsLabel(text) && !/[*?[{]|^\/.*\/$/s.test(text)) {
    throw new UsageError(
      `--allowed-namespaces "${text}": must be a namespace, a glob such as team-*, or /REGEX/`,
    );
  }
  try {
    return patternOf(text);
  } catch (error) {
    throw new UsageError(`--allowed-namespaces "${text.slice(1, -1)}": ${reasonOf(error)}`);
  }
}

function regex(flag: string, source: string): Pattern {
  try {
    return Pattern.of(source);
  } catch (error) {
    throw new UsageError(`--${flag} "${source}": ${reasonOf(error)}`);
  }
}
