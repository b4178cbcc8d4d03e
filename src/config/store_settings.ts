/** From flags to settings: the store of a principal, and the scope within it. */
import { isDnsLabel } from "../domain/resources/keys.ts";
import { patternOf } from "../domain/resources/patterns.ts";
import type { Scope } from "../domain/resources/scope.ts";
import { boolOf, listOf, UsageError, type Value } from "./usage.ts";

/** The store to open, and its options. */
export type StoreSettings =
  | { type: "sqlite"; path: string }
  | {
    type: "kubernetes";
    kubeconfig: string;
    context: string;
    labelSelector: string;
    writeConcurrency: number;
    /** Undefined: the replica creates no namespaces. */
    createNamespaces: { pattern: RegExp | undefined; labels: Record<string, string> } | undefined;
  };

/** Above this an API server's own limits (APF) decide, and more only queues. */
const MAX_WRITE_CONCURRENCY = 1_000;

/** The store of `--store`; by default the cluster if there is one, else the embedded store. */
export function storeOf(value: Value, inCluster: boolean): StoreSettings {
  const store = value("store") ||
    (inCluster || value("kubeconfig") !== "" ? "kubernetes" : `sqlite:${value("data-dir")}/principal.db`);
  const [, path] = /^sqlite:(.+)$/s.exec(store) ?? [];
  if (path) {
    for (const name of ["kubeconfig", "kubecontext", "label-selector"]) {
      if (value(name) !== "") {
        throw new UsageError(`--${name} needs the kubernetes store; --store is "${store}"`);
      }
    }
    return { type: "sqlite", path };
  }
  if (store !== "kubernetes") throw new UsageError(`--store "${store}": must be kubernetes or sqlite:FILE`);
  if (!inCluster && value("kubeconfig") === "") {
    throw new UsageError("--store kubernetes outside a cluster needs --kubeconfig FILE");
  }
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
    labelSelector: value("label-selector"),
    writeConcurrency,
    createNamespaces: namespaceCreation(value),
  };
}

function namespaceCreation(value: Value) {
  if (!boolOf(value, "namespace-create-enable")) return undefined;
  const labels: Record<string, string> = {};
  for (const part of listOf(value, "namespace-create-labels")) {
    const [, name, text] = /^([^=]+)=(.+)$/.exec(part) ?? [];
    if (!name || !text) throw new UsageError(`--namespace-create-labels "${part}": must be NAME=VALUE`);
    labels[name] = text;
  }
  const pattern = value("namespace-create-pattern");
  return { pattern: pattern === "" ? undefined : regex("namespace-create-pattern", pattern), labels };
}

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
    destinationMapping: boolOf(value, "destination-based-mapping"),
    clusterSecrets,
  };
}

function namespacePattern(text: string): RegExp {
  if (!isDnsLabel(text) && !/[*?[{]|^\/.*\/$/s.test(text)) {
    throw new UsageError(
      `--allowed-namespaces "${text}": must be a namespace, a glob such as team-*, or /REGEX/`,
    );
  }
  try {
    return patternOf(text);
  } catch (error) {
    throw new UsageError(`--allowed-namespaces "${text.slice(1, -1)}": ${(error as Error).message}`);
  }
}

function regex(flag: string, source: string): RegExp {
  try {
    return new RegExp(source);
  } catch (error) {
    throw new UsageError(`--${flag} "${source}": ${(error as Error).message}`);
  }
}
