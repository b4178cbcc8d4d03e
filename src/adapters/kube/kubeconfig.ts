/**
 * Which cluster, as which user: a context of the merged kubeconfig files, or the pod's service account where there is no kubeconfig.
 * The entries are read by client-node; finding the files, merging them and their relative paths follow client-go.
 */
import { dirname, isAbsolute, join } from "node:path";
import { parse } from "yaml";
import { reasonOf } from "../../base/reason.ts";
import {
  type Cluster,
  type Context,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from "./client_node_internals.ts";
import { type Env, kubeconfigFiles } from "./kubeconfig_files.ts";

/** How to reach a cluster. */
export interface AccessOptions {
  /** A kubeconfig file; empty: as client-go looks for one, and then the pod's service account. */
  kubeconfig: string;
  /** The context to use; empty: the current one. */
  context: string;
}

/** Where this process runs. */
export interface Machine {
  env: Env;
  /** The folder in which a pod has its service account's files. */
  serviceAccountDir: string;
}

export const THIS_MACHINE: Machine = {
  env: (name) => Deno.env.get(name),
  serviceAccountDir: "/var/run/secrets/kubernetes.io/serviceaccount",
};

/** A cluster and a user of it, by the kubeconfig's name for the two. */
export interface Named {
  cluster: Cluster;
  user: User;
  context: string;
}

/** A configuration that cannot be used; the message names the file, the context and the fact. */
export class KubeconfigError extends Error {
  override readonly name = "KubeconfigError";
}

/** One kubeconfig, or several merged. */
interface Kubeconfig {
  clusters: Cluster[];
  users: User[];
  contexts: Context[];
  current: string;
}

/** Reads the configuration. @throws KubeconfigError */
export function loadKubeconfig(options: AccessOptions, machine: Machine = THIS_MACHINE): Named {
  const files = kubeconfigFiles(options.kubeconfig, machine.env);
  if (files.length === 0) return fromPod(options.context, machine);
  const shown = files.join(", ");
  const named = select(merge(files.map(read)), options.context, shown);
  const problem = unsupported(named);
  if (problem) throw new KubeconfigError(`kubeconfig "${shown}": ${problem}`);
  return named;
}

function read(path: string): Kubeconfig {
  try {
    const file = (parse(Deno.readTextFileSync(path)) ?? {}) as Record<string, never> & { users?: never[] };
    const absolute = (name: string | undefined) =>
      name && !isAbsolute(name) ? join(dirname(path), name) : name;
    return {
      clusters: newClusters(file["clusters"] ?? [])
        .map((cluster) => withFiles(cluster, { caFile: absolute(cluster.caFile) })),
      users: newUsers(file.users ?? []).map((user) => followTokenFile(user, file.users ?? []))
        .map((user) =>
          withFiles(user, { certFile: absolute(user.certFile), keyFile: absolute(user.keyFile) })
        ),
      contexts: newContexts(file["contexts"] ?? []),
      current: String(file["current-context"] ?? ""),
    };
  } catch (error) {
    throw new KubeconfigError(`kubeconfig "${path}" cannot be read: ${reasonOf(error)}`);
  }
}

/** The first file that names a cluster, user, context or current context wins. */
function merge(files: Kubeconfig[]): Kubeconfig {
  const first = <T extends { name: string }>(entries: T[]) =>
    [
      ...new Map(entries.toReversed().map((entry) => [entry.name, entry])).values(),
    ].toReversed();
  return {
    clusters: first(files.flatMap(({ clusters }) => clusters)),
    users: first(files.flatMap(({ users }) => users)),
    contexts: first(files.flatMap(({ contexts }) => contexts)),
    current: files.find(({ current }) => current !== "")?.current ?? "",
  };
}

function select({ clusters, users, contexts, current }: Kubeconfig, wanted: string, shown: string): Named {
  const name = wanted || current;
  const context = contexts.find((candidate) => candidate.name === name);
  if (!context) {
    const names = contexts.map((candidate) => candidate.name).join(", ") || "no context";
    throw new KubeconfigError(
      name === ""
        ? `kubeconfig "${shown}" has no current-context; give --kubecontext, one of: ${names}`
        : `--kubecontext "${name}" is not in "${shown}"; it has: ${names}`,
    );
  }
  const cluster = clusters.find((candidate) => candidate.name === context.cluster);
  const user = users.find((candidate) => candidate.name === context.user);
  if (!cluster || !user) {
    const missing = cluster ? `user "${context.user}"` : `cluster "${context.cluster}"`;
    throw new KubeconfigError(
      `kubeconfig "${shown}": context "${name}" names ${missing}, which is not in the file`,
    );
  }
  return { cluster, user, context: name };
}

function fromPod(context: string, { env, serviceAccountDir }: Machine): Named {
  const host = env("KUBERNETES_SERVICE_HOST") ?? "";
  const port = env("KUBERNETES_SERVICE_PORT") ?? "443";
  if (context !== "" || host === "") {
    throw new KubeconfigError(
      `cannot find ${
        context === "" ? "a cluster" : `--kubecontext "${context}"`
      }: no --kubeconfig, no KUBECONFIG and no ` +
        `~/.kube/config${
          host === "" ? ", and this is not a pod" : ""
        }; give --kubeconfig FILE, or --store sqlite:FILE`,
    );
  }
  const server = `https://${host.includes(":") ? `[${host}]` : host}:${port}`;
  const cluster = { name: "in-cluster", caFile: `${serviceAccountDir}/ca.crt`, server, skipTLSVerify: false };
  return {
    cluster,
    user: tokenFileUser("service account", `${serviceAccountDir}/token`),
    context: "in-cluster",
  };
}

/** A field of a kubeconfig that is not supported here, and what to do instead. */
function unsupported({ cluster, user }: Named): string | undefined {
  const provider = user.authProvider as { name?: string; config?: { tokenFile?: string } } | undefined;
  if (provider?.name && !provider.config?.tokenFile) {
    return `auth-provider "${provider.name}" is not supported; use its exec plugin (kubelogin, gke-gcloud-auth-plugin, …) ` +
      "or a token";
  }
  const field = cluster.tlsServerName
    ? "tls-server-name"
    : cluster.skipTLSVerify
    ? "insecure-skip-tls-verify"
    : "";
  if (field === "") return undefined;
  return `${field} is not supported; use an address that the API server's certificate names, and certificate-authority ` +
    "for a CA of your own";
}

/** client-node reads a user's `tokenFile` once; its authenticator reads it every minute, as client-go does. */
function followTokenFile(user: User, users: { name: string; user?: { tokenFile?: string } }[]): User {
  const tokenFile = users.find(({ name }) => name === user.name)?.user?.tokenFile;
  return tokenFile ? tokenFileUser(user.name, tokenFile) : user;
}

function tokenFileUser(name: string, tokenFile: string): User {
  return { name, authProvider: { name: "tokenFile", config: { tokenFile } } };
}

function withFiles<T extends object>(value: T, files: Partial<Record<keyof T, string | undefined>>): T {
  return { ...value, ...Object.fromEntries(Object.entries(files).filter(([, file]) => file)) };
}
